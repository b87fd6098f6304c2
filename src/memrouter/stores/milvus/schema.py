"""What a collection of memories looks like: made by us, or by the Go router."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from memrouter.config.memory import MilvusSettings
from memrouter.errors import SchemaMismatch
from memrouter.models.memory import MAX_ID_CHARS, MAX_IDENTITY_CHARS
from memrouter.stores.milvus.address import SECTION

if TYPE_CHECKING:
    from pymilvus import CollectionSchema

MAX_VARCHAR: Final = 65_535
KEY_BYTES: Final = 512

_UTF8_BYTES: Final = 4
_TYPES: Final = {
    "id": "VARCHAR", "user_id": "VARCHAR", "project_id": "VARCHAR", "memory_type": "VARCHAR", "content": "VARCHAR",
    "source": "VARCHAR", "metadata": "VARCHAR", "embedding": "FLOAT_VECTOR", "created_at": "INT64",
    "updated_at": "INT64", "access_count": "INT64", "importance": "FLOAT",
}  # fmt: skip
"""Fields that every collection of memories has, as the Go router declares them."""

_OWN: Final = {"key": "VARCHAR", "digest": "VARCHAR", "live_until": "INT64"}
"""Fields that ours have beside them."""

_SIZES: Final = {
    "key": KEY_BYTES,
    "id": MAX_ID_CHARS * _UTF8_BYTES,
    "user_id": MAX_IDENTITY_CHARS * _UTF8_BYTES,
    "project_id": MAX_IDENTITY_CHARS * _UTF8_BYTES,
    "memory_type": 32,
    "content": MAX_VARCHAR,
    "source": 256,
    "metadata": MAX_VARCHAR,
    "digest": 32,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How memories stand in one collection.

    Attributes:
        own: Whether it was made by us. Then ``key`` is the primary key; else ``id`` is, as the Go router made it.
        dimension: Length of its vectors.
        sizes: Most bytes of each text field.
        exact: Whether its index is exact.
        metric: ``COSINE``, ``L2`` or ``IP``.
    """

    own: bool
    dimension: int
    sizes: Mapping[str, int]
    exact: bool
    metric: str

    @property
    def key(self) -> str:
        """Return the name of the primary key."""
        return "key" if self.own else "id"

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields that tell everything of a memory but its content and its vector.

        In a collection of the Go router the vector is among them: there it may be one that cannot be compared.
        """
        scalars = tuple(name for name in _TYPES if name not in ("content", "embedding"))
        return (self.key, *scalars) if self.own else (*scalars, "embedding")


def new_schema(*, dimension: int, description: str) -> "CollectionSchema":
    """Return the schema of a collection that is made."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
    for name, kind in {"key": _OWN["key"], **_TYPES, **_OWN}.items():
        more: dict[str, Any] = {"max_length": _SIZES[name]} if kind == "VARCHAR" else {}
        if name == "key":
            more["is_primary"] = True
        if name == "user_id":
            more["is_partition_key"] = True
        if name == "embedding":
            more["dim"] = dimension
        schema.add_field(name, DataType[kind], **more)
    return schema


def index_parameters(settings: MilvusSettings) -> dict[str, Any]:
    """Return what the vector index of a collection that is made looks like."""
    if settings.index_algorithm != "hnsw":
        return {"index_type": "FLAT", "metric_type": settings.metric_type}
    sizes = {"M": settings.index_m, "efConstruction": settings.index_ef_construction}
    return {"index_type": "HNSW", "metric_type": settings.metric_type, "params": sizes}


def layout_of(description: Mapping[str, Any], index: Mapping[str, Any], *, place: str) -> Layout:
    """Return the layout of a collection that is there.

    Args:
        description: From ``describe_collection``.
        index: From ``describe_index`` of ``embedding``; empty where it has none.
        place: Names the collection, for messages.

    Raises:
        SchemaMismatch: It is no collection of memories.
    """
    fields = {field["name"]: field for field in description["fields"]}
    own = "key" in fields
    wanted = _TYPES | _OWN if own else _TYPES
    wrong = [
        f"{name} is {_type(fields.get(name))}, not {kind}"
        for name, kind in wanted.items()
        if _type(fields.get(name)) != kind
    ]
    wrong += [f"{name} is a field that memrouter does not know" for name in fields if name not in wanted]
    primary = [name for name, field in fields.items() if field.get("is_primary")]
    if primary != ["key" if own else "id"] or wrong or description.get("auto_id"):
        raise SchemaMismatch(
            f"{place} is not a collection of memories ({'; '.join(wrong) or 'another primary key'}); set "
            f"{SECTION}.collection to another name"
        )
    return Layout(
        own=own,
        dimension=int(fields["embedding"]["params"]["dim"]),
        sizes={name: int(fields[name]["params"]["max_length"]) for name, kind in wanted.items() if kind == "VARCHAR"},
        exact=str(index.get("index_type", "")) in ("FLAT", ""),
        metric=str(index.get("metric_type", "COSINE")),
    )


def _type(field: Mapping[str, Any] | None) -> str:
    return "absent" if field is None else str(getattr(field["type"], "name", field["type"]))


def index_fault(layout: Layout, settings: MilvusSettings) -> str:
    """Return what is different about the index of a collection that is there; empty where nothing is."""
    found = f"{'FLAT' if layout.exact else 'a graph index'} {layout.metric}"
    wanted = f"{'a graph index' if settings.index_algorithm == 'hnsw' else 'FLAT'} {settings.metric_type}"
    return "" if found == wanted else f"has {found}, configured is {wanted}"


def names(fields: Sequence[str], *more: str) -> list[str]:
    """Return field names, each once."""
    return list(dict.fromkeys([*fields, *more]))
