"""The JSON Schema of a configuration file: what editors check, and what messages about allowed values say."""

from typing import Any

from pydantic import SecretStr
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from memrouter.config.base import parse_seconds
from memrouter.config.field_texts import field_texts
from memrouter.config.routing import FOREIGN_PLUGINS, parse_token_count
from memrouter.config.settings import Settings

FOREIGN: JsonSchemaValue = {"description": "Belongs to the Go router; accepted, and ignored with a warning."}
"""What stands for a key that is accepted and means nothing here."""

SUBSTITUTED: JsonSchemaValue = {"type": "string", "pattern": r"^\$\{.+\}$", "description": "Taken from outside."}
"""What stands for ``${NAME}`` where the value is not a string."""

PARSED: dict[object, JsonSchemaValue] = {
    parse_seconds: {
        "type": "string",
        "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?\s*$",
        "description": "a duration such as 300s, 5m, 1h or 250ms",
    },
    parse_token_count: {
        "type": "string",
        "pattern": r"^\s*[0-9]+(\.[0-9]+)?[KkMm]?\s*$",
        "description": "a number of tokens such as 32K or 1M",
    },
}
"""By the function that reads them: the texts that stand for a number."""


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    schema = Settings.model_json_schema(schema_generator=_DescribedSchema)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "memrouter configuration"}


def bare_schema() -> dict[str, Any]:
    """Return the same without defaults and descriptions, which take most of the time."""
    return Settings.model_json_schema(schema_generator=_FileSchema)


class _FileSchema(GenerateJsonSchema):
    """Describes the file rather than the settings: foreign keys, ``${NAME}``, secrets in files, empty sections."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        return value

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        properties = result.setdefault("properties", {})
        for name, field in schema["cls"].model_fields.items():
            if field.annotation is SecretStr:
                properties[f"{name}_file"] = {
                    "type": "string",
                    "title": f"{properties[name]['title']} File",
                    "description": f"A file with the value of {name}, instead of {name}.",
                }
        properties.update(dict.fromkeys(sorted(schema["cls"].foreign_keys), FOREIGN))
        return result

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return {"anyOf": [super().int_schema(schema), SUBSTITUTED]}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"anyOf": [super().float_schema(schema), SUBSTITUTED]}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        return {"anyOf": [super().bool_schema(schema), SUBSTITUTED]}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        result = super().function_before_schema(schema)
        parsed = PARSED.get(schema["function"]["function"])
        return result if parsed is None else {"anyOf": [*result["anyOf"], parsed]}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        result = super().tagged_union_schema(schema)
        foreign = {
            **FOREIGN,
            "type": "object",
            "properties": {"type": {"enum": sorted(FOREIGN_PLUGINS)}},
            "required": ["type"],
        }
        return {**result, "oneOf": [*result["oneOf"], foreign]}


class _DescribedSchema(_FileSchema):
    """Says for people what the fields mean and what they are by default."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        for name, text in field_texts(schema["cls"]).items():
            key = schema["cls"].model_fields[name].alias or name
            result["properties"][key].setdefault("description", text)
        return result

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = GenerateJsonSchema.default_schema(self, schema)
        if isinstance(result.get("default"), dict):
            result.pop("default")
        return result
