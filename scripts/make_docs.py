"""Writes the generated parts of ``docs/``: references of configuration, metrics, HTTP routes and commands; pictures.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end: NAME -->``. Run without arguments to
rewrite stale parts; with ``--check`` nothing is written and the exit status is 1 where a part is stale.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import api_reference
import cli_reference
import figure_tables
import flow_picture
from prometheus_client import Metric
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from memrouter.config.base import Section
from memrouter.config.field_texts import field_texts
from memrouter.config.settings import Settings
from memrouter.config.shape import Shape
from memrouter.observability.metrics import Metrics

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "benchmarks"

_MEMORY = "global.stores.memory"
MEANINGS: Mapping[str, str] = {
    "version": "Version of the file format.",
    "listeners[].name": "For messages; no two listeners may share one.",
    "listeners[].address": "Address of this machine to listen on; `0.0.0.0` for all.",
    "providers.models[].name": "What clients and decisions call it.",
    "providers.models[].backend_refs[].name": "For logs and metrics; omitted = host and port.",
    "providers.models[].backend_refs[].protocol": "For `endpoint` only.",
    "providers.models[].backend_refs[].chat_path": "Appended to the URL up to the version.",
    "providers.models[].backend_refs[].auth_header": "Header in which the key is sent.",
    "providers.models[].backend_refs[].auth_prefix": "Word in front of the key in that header.",
    "providers.models[].backend_refs[].extra_headers": "Headers, name to value, that this backend gets besides.",
    "routing.signals.keywords[].operator": "`AND`: all keywords; `OR`: any; `NOR`: none.",
    "routing.signals.role_bindings[].role": "A second name for the binding, which several bindings may share.",
    "global.router.auto_model_name": "One more such name.",
    f"{_MEMORY}.enabled": "Whether memory takes part where the route does not say otherwise.",
    f"{_MEMORY}.embedding_model": "`wordllama` (bundled, offline), `openai` (the endpoint below), "
    "`bert` (extra `[bert]`), `sentence-transformers` (extra of that name), `hash` (tests). "
    "`MEMROUTER_EMBEDDING_MODEL` wins over it.",
    f"{_MEMORY}.default_similarity_threshold": "Lowest `score` of a relevant memory; omitted = the embedder's own. "
    "See [scores and thresholds](memory.md#scores-and-thresholds).",
    f"{_MEMORY}.default_retrieval_limit": "Most memories that one request gets.",
    f"{_MEMORY}.hybrid_mode": "How both sides are fused: [how a memory is found](memory.md#how-a-memory-is-found).",
    f"{_MEMORY}.embedding_endpoint.base_url": "Up to and including the version.",
    f"{_MEMORY}.embedding_endpoint.api_key_env": "Environment variable with the key.",
    f"{_MEMORY}.embedding_endpoint.dimension": "Length of the model's vectors.",
    f"{_MEMORY}.embedding_endpoint.timeout": "Seconds for one batch with its second try.",
    f"{_MEMORY}.embedding_endpoint.batch_size": "Most texts in one call.",
    f"{_MEMORY}.embedding_endpoint.default_threshold": "Threshold of this model where the configuration names none.",
    f"{_MEMORY}.reflection.enabled": "Off: only the token budget applies.",
    f"{_MEMORY}.limits.store_workers": "Most turns that are stored at once.",
    f"{_MEMORY}.limits.embedding_cache_entries": "Texts whose vectors are kept between requests.",
    "global.auth.user_header": "Header that names the user.",
    "global.auth.project_header": "Header that names the project; omitted by the proxy = `default`.",
    "global.server.max_body_bytes": "Largest request body; above it the answer is 413.",
    "global.server.log_level": "Least serious records that are written.",
}
"""Words for keys, by dotted path, whose own description is missing or too short for readers of the page."""


def main(arguments: list[str]) -> int:
    """Rewrite or check every generated part; return the exit status."""
    wanted = pages()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run: .venv/bin/python scripts/make_docs.py\n")
        else:
            path.write_text(wanted[path], encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)} written\n")
    return 1 if stale and "--check" in arguments else 0


def pages() -> dict[Path, str]:
    """Return the pages with generated parts, and the files that are generated whole, as they should be."""
    described = api_reference.description()
    parts = {
        "CONTRIBUTING.md": ("layers", layers()),
        "README.md": ("speed", figure_tables.speed(FIGURES)),
        "docs/api-reference.md": ("routes", api_reference.reference(described)),
        "docs/cli.md": ("commands", cli_reference.reference()),
        "docs/configuration.md": ("configuration", configuration_reference()),
        "docs/operations.md": ("metrics", metrics_reference()),
        "docs/stores.md": ("store-comparison", figure_tables.stores(FIGURES)),
    }
    return {
        **{ROOT / page: _with_part((ROOT / page).read_text(encoding="utf-8"), *part) for page, part in parts.items()},
        ROOT / "docs" / "openapi.json": json.dumps(described, indent=1, ensure_ascii=False) + "\n",
        ROOT / "docs" / "images" / "request-flow.svg": flow_picture.picture(),
    }


def layers() -> str:
    """Return the layers of the package from the top down, as the test of the import direction has them."""
    rules = (ROOT / "tests" / "test_house_rules.py").read_text(encoding="utf-8")
    rows = re.findall(r"^    frozenset\(\{(.*)\}\),$", rules, re.MULTILINE)
    return "\n".join(["```text", *(row.replace('"', "") for row in rows if "__main__" not in row), "```"])


def configuration_reference() -> str:
    """Return every section of the configuration with its keys, in the order of the schema."""
    found = list(_sections(Settings, Shape.of_settings(), ""))
    texts = []
    for section, path, rows in found:
        alike = [other for same, other, _ in found if same is section and "[].configuration" in other]
        if path not in alike[1:]:
            texts.append(_page_section(section, alike or [path], rows))
    return "\n\n".join(texts)


def key_paths() -> set[str]:
    """Return the dotted path of every key that has a row."""
    return {
        _under(path, row.split("`")[1])
        for _, path, rows in _sections(Settings, Shape.of_settings(), "")
        for row in rows
    }


def metrics_reference() -> str:
    """Return a table of every metric with its type, labels and meaning."""
    metrics = Metrics()
    metrics.watch_queue(depth=_zero, dropped=_zero, done=_zero, failed=_zero)
    metrics.watch_working_set(hits=_zero, misses=_zero, size=_zero)
    metrics.watch_embedding_cache(hits=_zero, misses=_zero)
    metrics.watch_extraction(waiting=_zero, dropped=_zero, failed=_zero)
    metrics.watch_store_memory(used=_zero, limit=_zero)
    metrics.watch_tracing(recorded=_zero, exported=_zero)
    metrics.watch_migration(phase=_zero, copied=_zero, remaining=_zero, dirty=_zero, failures=_zero)
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric, labels in _families(metrics):
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        named = ", ".join(f"`{label}`" for label in labels) or "none"
        rows.append(f"| `{name}` | {metric.type} | {named} | {metric.documentation} |")
    return "\n".join(rows)


def _zero() -> float:
    return 0.0


def _families(metrics: Metrics) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    registry = metrics._registry  # noqa: SLF001 - a metric without a sample shows its labels nowhere else
    found: dict[str, tuple[Metric, tuple[str, ...]]] = {}
    for collector in list(registry._collector_to_names):  # noqa: SLF001 - the same
        labels = getattr(collector, "_labelnames", ())
        found |= {metric.name: (metric, labels) for metric in collector.collect()}
    yield from (found[name] for name in sorted(found))


def _with_part(text: str, name: str, part: str) -> str:
    begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise SystemExit(f"a page must hold exactly one part between {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{part}\n\n{end}", text)


def _sections(section: type[Section], shape: Shape, path: str) -> Iterator[tuple[type[Section], str, list[str]]]:
    """Yield every section from here down with its dotted path and the rows of its own keys."""
    rows, below, texts = [], [], field_texts(section)
    for name, field in section.model_fields.items():
        key = field.alias or name
        here = _under(path, key)
        own = shape.member(key)
        child = _child(field.annotation)
        item = own.child(0, []) if own is not None and _is_list(field) else own
        if own is None or item is None:
            raise KeyError(here)
        if child is section:
            rows.append(_row(here, field, f"a list of mappings like this one (`{path}`)", texts.get(name, "")))
        elif child is not None:
            below += list(_sections(child, item, f"{here}[]" if _is_list(field) else here))
        elif _models(field.annotation):
            names = " | ".join(item.tags)
            allowed = f"a list of mappings with `type` ({names}) and `configuration`"
            rows.append(_row(here, field, allowed, texts.get(name, "")))
            below += [found for model in _models(field.annotation) for found in _variant(model, item, here)]
        else:
            rows.append(_row(here, field, own.describe(), texts.get(name, "")))
    if rows or section.foreign_keys:
        yield section, path, rows
    yield from below


def _variant(model: type[Section], item: Shape, path: str) -> Iterator[tuple[type[Section], str, list[str]]]:
    """Yield the sections of one form that the items of a list may have, chosen by its ``type``."""
    tag = get_args(model.model_fields["type"].annotation)[0]
    own = item.variant({"type": tag}).member("configuration")
    child = _child(model.model_fields["configuration"].annotation)
    if own is not None and child is not None:
        yield from _sections(child, own, f"{path}[].configuration({tag})")


def _page_section(section: type[Section], paths: list[str], rows: list[str]) -> str:
    lines = [f"### {', '.join(f'`{path}`' if path else 'Top level' for path in paths)}", ""]
    lines.append(_sentence(section.__doc__ or ""))
    if rows:
        lines += ["", "| key | default | allowed | meaning |", "|---|---|---|---|", *rows]
    if section.foreign_keys:
        names = ", ".join(f"`{name}`" for name in sorted(section.foreign_keys))
        lines += ["", f"Accepted from files of the Go router and ignored with a warning: {names}."]
    return "\n".join(lines)


def _row(path: str, field: FieldInfo, allowed: str, text: str) -> str:
    key = path.rpartition(".")[2]
    meaning = MEANINGS.get(path) or _sentence(field.description or text)
    if field.annotation is SecretStr:
        meaning = f"{meaning} Secret; or a file with it: `{key}_file`.".strip()
    allowed = re.sub(r"a string that matches .*", f"text that a header's {key} may have", allowed)
    cells = (f"`{key}`", _default(field), allowed, meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr) or value in ("", None, (), {}):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _child(annotation: Any) -> type[Section] | None:
    """Return the one section that an annotation stands for, alone, as an item of a list, or beside nothing."""
    models = _models(annotation)
    return models[0] if len(models) == 1 else None


def _models(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, Section) else []
    arguments = [argument for argument in get_args(annotation) if argument not in (NoneType, Ellipsis)]
    return [model for argument in arguments for model in _models(argument)]


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _sentence(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
