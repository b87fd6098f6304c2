"""The reference of the HTTP routes, from the OpenAPI description that a running router serves."""

import asyncio
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from memrouter.api.app import create_app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime

Schema = Mapping[str, Any]

TITLES: Final = {
    "chat": "Chat completions and models",
    "responses": "Responses",
    "messages": "Messages",
    "memory": "Memories",
    "operation": "Operation",
}
"""Headings by tag, in the order of the page; tags that are not named come behind them under their own name."""


def description() -> dict[str, Any]:
    """Return the OpenAPI description of a router with default settings."""
    return asyncio.run(_description())


async def _description() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        memory = {"embedding_model": "hash", "sqlite": {"path": str(Path(folder) / "memories.db")}}
        overrides = {"global": {"stores": {"memory": memory}}}
        settings = load_settings(None, env={}, overrides=overrides).settings
        runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
        try:
            return create_app(runtime, settings.listeners[0]).openapi()
        finally:
            await runtime.aclose()


def reference(described: Schema) -> str:
    """Return every route with parameters, body, answers and errors, then every shape that they name."""
    routes = [
        (operation.get("tags", ["operation"])[0], f"{method.upper()} {path}", operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    tags = dict.fromkeys([*(tag for tag in TITLES if any(tag == own for own, _, _ in routes)), *(r[0] for r in routes)])
    lines: list[str] = []
    for tag in tags:
        lines += [f"## {TITLES.get(tag, tag.capitalize())}", ""]
        for own, name, operation in routes:
            if own == tag:
                lines += _route(name, operation)
    lines += ["## Shapes", ""]
    for name, schema in sorted(described["components"]["schemas"].items()):
        lines += [f"### {name}", "", *_prose(schema), *_values(schema), *_fields(schema)]
    return "\n".join(lines).rstrip()


def _route(name: str, operation: Schema) -> Iterator[str]:
    yield from (f"### `{name}`", "")
    yield from (f"{_line(operation['summary'])}.", "")
    yield from _prose(operation)
    parameters = operation.get("parameters", [])
    if parameters:
        yield from ("| parameter | in | form | default | meaning |", "|---|---|---|---|---|")
        for parameter in parameters:
            yield _row(f"`{parameter['name']}`", parameter["in"], *_cells(parameter["schema"], parameter))
        yield ""
    yield from _body(operation.get("requestBody"))
    yield from _answers(operation["responses"])


def _body(body: Schema | None) -> Iterator[str]:
    for media, content in (body or {}).get("content", {}).items():
        schema = content.get("schema", {})
        need = "" if (body or {}).get("required") else ", optional"
        yield from (f"**Body** `{media}`{need}: {_form(schema)}.", "")
        yield from _fields(schema)


def _answers(answers: Schema) -> Iterator[str]:
    yield from ("| status | body | meaning |", "|---|---|---|")
    alike: dict[tuple[str, str], list[str]] = {}
    for status, answer in answers.items():
        forms = [_media(media, held.get("schema")) for media, held in answer.get("content", {}).items()]
        meaning = _line(answer.get("description", "")).replace("Successful Response", "done")
        alike.setdefault((" or ".join(forms) or "none", meaning), []).append(
            "others" if status == "default" else f"`{status}`"
        )
    for (form, meaning), statuses in alike.items():
        yield _row(", ".join(statuses), form, meaning)
    yield ""


def _values(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield from (f"One of {', '.join(f'`{_json(value)}`' for value in schema['enum'])}.", "")


def _media(media: str, schema: Schema | None) -> str:
    return f"`{media}`: {_form(schema)}" if schema else f"`{media}`"


def _fields(schema: Schema) -> Iterator[str]:
    required = set(schema.get("required", []))
    rows = [
        _row(f"`{name}`", *_cells(own, {"required": name in required}))
        for name, own in schema.get("properties", {}).items()
    ]
    if rows:
        yield from ("| field | form | default | meaning |", "|---|---|---|---|", *rows, "")


def _cells(schema: Schema, around: Schema) -> tuple[str, str, str]:
    default = "required" if around.get("required") else f"`{_json(schema['default'])}`" if "default" in schema else ""
    return _form(schema), default, _line(around.get("description") or schema.get("description") or "")


def _form(schema: Schema) -> str:
    """Return in words what a value has to look like."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_form(own) for own in schema[key]))
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{_json(value)}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_form(schema.get('items', {}))}{_limits(schema, 'Items', ' of them')}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"mapping to {_form(schema['additionalProperties'])}"
    kinds = schema.get("type", "anything")
    words = " or ".join(kinds) if isinstance(kinds, list) else schema.get("format") or kinds
    return f"{words}{_limits(schema, 'Length', ' characters')}{_limits(schema, 'imum', '')}"


def _limits(schema: Schema, suffix: str, unit: str) -> str:
    least, most = (schema.get(f"{side}{suffix}") for side in ("min", "max"))
    if least is None and most is None:
        return ""
    if suffix == "Length" and least == 1 and most is None:
        return ", not empty"
    bounds = {"at least": least, "up to": most}
    words = " and ".join(f"{word} {bound}" for word, bound in bounds.items() if bound is not None)
    if least is not None and most is not None:
        words = f"{least} to {most}"
    return f", {words.replace('.0', '')}{unit}"


def _prose(described: Schema) -> Iterator[str]:
    text = _line(described.get("description", ""))
    if text:
        yield from (text, "")


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _json(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
