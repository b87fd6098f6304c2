"""What the schema says about one place in a configuration."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from memrouter.config.paths import KeyPath
from memrouter.config.schema import FOREIGN, PARSED, SUBSTITUTED, bare_schema

_REF = "#/$defs/"
_COUNTABLE = {"integer": "an integer", "number": "a number"}


class Shape:
    """One node of the JSON Schema, with what it refers to looked up.

    Args:
        node: The node.
        definitions: The schema's ``$defs``.
    """

    def __init__(self, node: Mapping[str, Any], definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._options = tuple(self._flatten(node))

    @classmethod
    @cache
    def of_settings(cls) -> "Shape":
        """Return the shape of a whole file; the same object every time, since building it is slow."""
        schema = bare_schema()
        return cls(schema, schema["$defs"])

    @property
    def is_foreign(self) -> bool:
        """Whether the value means nothing here."""
        return self._options == (FOREIGN,)

    @property
    def is_secret(self) -> bool:
        """Whether the value must not be shown."""
        return any(option.get("format") == "password" for option in self._options)

    @property
    def is_section(self) -> bool:
        """Whether the value is a mapping or a list that cannot be null."""
        return self._types <= {"object", "array"}

    @property
    def is_text(self) -> bool:
        """Whether any string may stand here."""
        texts = [option for option in self._options if option.get("type") == "string" and not _words(option)]
        return any(option != SUBSTITUTED for option in texts) and not self._types & set(_COUNTABLE)

    @property
    def is_number(self) -> bool:
        """Whether a number is wanted, and not a truth value."""
        return bool(self._types & set(_COUNTABLE)) and "boolean" not in self._types

    @property
    def tags(self) -> tuple[str, ...]:
        """Values of ``type`` that choose between mappings of different form; empty where there is no choice."""
        return tuple(sorted(self._tagged))

    @property
    def words(self) -> tuple[str, ...]:
        """The strings that may stand here, where they are a fixed set."""
        return tuple(word for option in self._options for word in _words(option))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that a mapping here may have, without those that would be ignored."""
        return tuple(key for key, node in self._properties.items() if node != FOREIGN)

    def variant(self, value: object) -> "Shape":
        """Return the form that ``value`` has chosen by its ``type``; itself where there is no choice."""
        chosen = value.get("type") if isinstance(value, dict) else None
        if isinstance(chosen, str) and chosen in self._tagged:
            return Shape({"$ref": self._tagged[chosen]}, self._definitions)
        return self

    def child(self, part: str | int, value: object) -> "Shape | None":
        """Return the shape below ``value``, which stands here; None where the schema knows nothing."""
        if isinstance(part, str):
            return self.variant(value).member(part)
        items = [option["items"] for option in self._options if "items" in option]
        return Shape(items[0], self._definitions) if items else None

    def member(self, key: str) -> "Shape | None":
        """Return the shape under a key of this very form; None where the schema has no such key."""
        nodes = [self._properties[key]] if key in self._properties else self._free_values
        return Shape(nodes[0], self._definitions) if nodes else None

    def describe(self) -> str:
        """Return in words what may stand here."""
        texts = [" | ".join(self.words)] if self.words else []
        texts += [self._describe(option) for option in self._options if option != SUBSTITUTED and not _words(option)]
        return " or ".join(dict.fromkeys(texts))

    @property
    def _types(self) -> set[str]:
        return {str(option.get("type", "object")) for option in self._options if option != SUBSTITUTED}

    @property
    def _properties(self) -> dict[str, Any]:
        return {key: node for option in self._options for key, node in option.get("properties", {}).items()}

    @property
    def _free_values(self) -> list[Mapping[str, Any]]:
        values = [option.get("additionalProperties") for option in self._options]
        return [value for value in values if isinstance(value, dict)]

    @property
    def _tagged(self) -> dict[str, str]:
        return {
            tag: ref
            for option in self._options
            for tag, ref in option.get("discriminator", {}).get("mapping", {}).items()
        }

    def _flatten(self, node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if "$ref" in node:
            yield from self._flatten(self._definitions[node["$ref"].removeprefix(_REF)])
        elif "anyOf" in node:
            for option in node["anyOf"]:
                yield from self._flatten(option)
        else:
            yield node

    def _describe(self, option: Mapping[str, Any]) -> str:
        kind = option.get("type", "object")
        if kind in _COUNTABLE:
            return _COUNTABLE[kind] + _range(option)
        if kind == "string":
            return _describe_text(option)
        if kind == "array":
            items = Shape(option["items"], self._definitions).describe()
            return f"a {'non-empty ' if option.get('minItems') else ''}list, each item {items}"
        return {"boolean": "true or false", "null": "nothing"}.get(kind, "a mapping")


def walk(data: object, shape: Shape | None, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Shape | None, object]]:
    """Yield every place of plain data, parents first, with its shape; None where the schema knows nothing.

    Nothing below a foreign key is yielded.
    """
    yield path, shape, data
    if shape is not None and shape.is_foreign:
        return
    items: list[tuple[str | int, object]] = []
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    for part, value in items:
        child = shape.child(part, data) if shape is not None else None
        yield from walk(value, child, (*path, part))


def _words(option: Mapping[str, Any]) -> list[str]:
    return [str(word) for word in (option["enum"] if "enum" in option else [option.get("const")]) if word is not None]


def _range(option: Mapping[str, Any]) -> str:
    low, high = option.get("minimum"), option.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    above = option.get("exclusiveMinimum")
    texts = [f"of at least {low}"] * (low is not None) + [f"of at most {high}"] * (high is not None)
    return "".join(f" {text}" for text in [*texts, *[f"greater than {above}"] * (above is not None)])


def _describe_text(option: Mapping[str, Any]) -> str:
    if option in PARSED.values():
        return str(option["description"])
    if "pattern" in option:
        return f"a string that matches {option['pattern']}"
    return "a non-empty string" if option.get("minLength") else "a string"
