"""What FT.INFO says of an index, read from the forms that valkey-search and RediSearch give it. No I/O."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from memrouter.errors import SchemaMismatch

_PROGRESS: Final = ("backfill_complete_percent_min", "backfill_complete_percent", "percent_indexed")
_FLAGS: Final = frozenset({"casesensitive", "sortable", "unf", "nostem", "noindex", "withsuffixtrie"})


@dataclass(frozen=True, slots=True)
class IndexField:
    """One indexed field: ``kind`` is TAG, NUMERIC, TEXT or VECTOR; the rest is of tags."""

    kind: str
    separator: str = ","
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class VectorField:
    """The indexed vector; what a server does not tell is None."""

    algorithm: str | None
    dimension: int | None
    metric: str | None
    data_type: str | None
    m: int | None = None
    ef_construction: int | None = None


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """An index as FT.INFO describes it.

    Attributes:
        key_type: ``HASH`` or ``JSON``.
        prefixes: Of the keys that it covers.
        fields: By name.
        vector: Its ``embedding`` field; None if it has none.
        documents: Number of keys that it holds, on the node that answered.
        failures: Number of keys or fields that could not be indexed.
        backfilling: Whether keys that were there before the index are still being read in.
        progress: Share of them that is done, 0 to 1.
        paused: Whether the server stopped reading them in for want of memory.
    """

    key_type: str
    prefixes: tuple[str, ...]
    fields: Mapping[str, IndexField]
    vector: VectorField | None
    documents: int
    failures: int
    backfilling: bool
    progress: float
    paused: bool

    @property
    def legacy(self) -> bool:
        """Return whether the index is one of the Go router: memories are told apart by ``user_id``, not ``owner``."""
        user = self.fields.get("user_id")
        return "owner" not in self.fields and user is not None and user.kind == "TAG"

    def with_backfill(self, info: Mapping[str, object]) -> "FoundIndex":
        """Return this with the state of the backfill that another reply of FT.INFO tells."""
        backfilling, progress, paused = backfill_state(info)
        return replace(self, backfilling=backfilling, progress=progress, paused=paused)


def parse_info(reply: object) -> FoundIndex:
    """Return what FT.INFO says, in the form of valkey-search or of RediSearch.

    Raises:
        SchemaMismatch: The reply has neither form.
    """
    info = as_mapping(reply)
    if "attributes" not in info and "fields" not in info:
        raise SchemaMismatch(
            "FT.INFO gave a reply that is neither valkey-search's nor RediSearch's; memrouter needs Valkey 8.0 or "
            "newer with valkey-search 1.2.0 or newer"
        )
    definition = as_mapping(info.get("index_definition"))
    attributes = {_text(raw.get("attribute", raw.get("identifier"))): raw for raw in _attributes(info)}
    vector = attributes.get("embedding")
    backfilling, progress, paused = backfill_state(info)
    return FoundIndex(
        key_type=_text(definition.get("key_type")),
        prefixes=tuple(_text(prefix) for prefix in _sequence(definition.get("prefixes"))),
        fields={name: _field(raw) for name, raw in attributes.items()},
        vector=_vector(vector) if vector is not None and _text(vector.get("type")).upper() == "VECTOR" else None,
        documents=_int(info.get("num_docs")) or 0,
        failures=_int(info.get("hash_indexing_failures")) or 0,
        backfilling=backfilling,
        progress=progress,
        paused=paused,
    )


def backfill_state(info: Mapping[str, object]) -> tuple[bool, float, bool]:
    """Return whether an index is being filled, how much of it is done (0 to 1) and whether the server paused it."""
    state = _text(info.get("state")).lower()
    flag = info.get("backfill_in_progress", info.get("indexing"))
    backfilling = _int(flag) == 1 or state.startswith("backfill")
    done = next((info[name] for name in _PROGRESS if name in info), None)
    return backfilling, (min(1.0, max(0.0, _float(done))) if backfilling else 1.0), state.endswith("oom")


def as_mapping(reply: object) -> dict[str, Any]:
    """Return a map, or an array of alternating names and values, as a dict with text keys; else an empty dict."""
    if isinstance(reply, Mapping):
        return {_text(name): value for name, value in reply.items()}
    items = _sequence(reply)
    return {_text(name): value for name, value in zip(items[::2], items[1::2], strict=False)}


def _attributes(info: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for raw in _sequence(info.get("attributes", info.get("fields"))):
        if isinstance(raw, Mapping):
            yield {_text(name).lower(): value for name, value in raw.items()}
        else:
            yield dict(_pairs(_sequence(raw)))


def _pairs(items: list[object]) -> Iterator[tuple[str, object]]:
    """Yield names and values; a bare flag such as CASESENSITIVE at RediSearch counts as set."""
    position = 0
    while position < len(items):
        name = _text(items[position]).lower()
        value = items[position + 1] if position + 1 < len(items) else None
        if name in _FLAGS and _text(value) not in ("0", "1"):
            yield name, 1
            position += 1
        else:
            yield name, value
            position += 2


def _field(raw: Mapping[str, Any]) -> IndexField:
    kind = _text(raw.get("type")).upper()
    if kind != "TAG":
        return IndexField(kind)
    return IndexField(kind, _text(raw.get("separator", ",")), case_sensitive=_int(raw.get("casesensitive")) == 1)


def _vector(raw: Mapping[str, Any]) -> VectorField:
    """Return the vector field; valkey-search nests what RediSearch lists flat."""
    inner = {name.lower(): value for name, value in as_mapping(raw.get("index")).items()}
    values = {**raw, **inner}
    algorithm = values.get("algorithm")
    if not isinstance(algorithm, str | bytes):
        nested = {name.lower(): value for name, value in as_mapping(algorithm).items()}
        values = {**values, **nested}
        algorithm = nested.get("name")
    return VectorField(
        algorithm=_text(algorithm).upper() or None,
        dimension=_int(values.get("dimensions", values.get("dim"))),
        metric=_text(values.get("distance_metric")).upper() or None,
        data_type=_text(values.get("data_type")).upper() or None,
        m=_int(values.get("m")),
        ef_construction=_int(values.get("ef_construction")),
    )


def _sequence(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else "" if value is None else str(value)


def _int(value: object) -> int | None:
    try:
        return int(float(_text(value)))
    except (ValueError, OverflowError):
        return None


def _float(value: object) -> float:
    try:
        number = float(_text(value))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0
