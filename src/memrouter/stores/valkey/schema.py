"""The search index that a configuration asks for, and where an existing one differs from it. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.index_info import FoundIndex, IndexField

FORMAT: Final = "2"
"""Version of the layout of keys and fields, kept in the index metadata."""

EARLIER_FORMATS: Final = frozenset({"1"})
"""Layouts whose memories are read as they are and take today's form when they are written again."""

LEGACY_FORMAT: Final = "go"
"""Stands there as long as memories of the Go router were not moved to that layout."""

TAG_SEPARATOR: Final = "|"
"""Cannot occur in the hex digests and enum words that are indexed as tags."""

REBUILD: Final = "memrouter index rebuild --config FILE"
"""Replaces the index and leaves the memories as they are."""

REINDEX: Final = "memrouter reindex --embedding-model MODEL"
"""Makes every vector anew."""

Algorithm = Literal["FLAT", "HNSW"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which an index is not as configured.

    Attributes:
        what: Name of the setting or field.
        wanted: As configured.
        found: As the server has it.
        fix: What to do about it.
    """

    what: str
    wanted: str
    found: str
    fix: str

    def __str__(self) -> str:
        """Return the difference as one sentence."""
        return f"{self.what} is {self.found}, configured is {self.wanted} ({self.fix})"


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """The index that a configuration asks for.

    Attributes:
        name: Of the index.
        prefix: Of the keys that it covers.
        dimension: Length of the vectors.
        metric: ``COSINE``, ``L2`` or ``IP``.
        algorithm: What a new index gets.
        any_algorithm: Whether an existing index may have either.
        text: Whether ``content`` is indexed as words.
        m: HNSW links per node.
        ef_construction: HNSW build-time search width.
    """

    name: str
    prefix: str
    dimension: int
    metric: str
    algorithm: Algorithm = "FLAT"
    any_algorithm: bool = False
    text: bool = False
    m: int = 16
    ef_construction: int = 256
    fields: Mapping[str, IndexField] = field(init=False)

    def __post_init__(self) -> None:
        exact = IndexField("TAG", TAG_SEPARATOR, case_sensitive=True)
        fields = {
            "owner": exact,
            "scope": exact,
            "memory_type": IndexField("TAG"),
            "source": IndexField("TAG"),
            "live_until": IndexField("NUMERIC"),
            "embedding": IndexField("VECTOR"),
        }
        if self.text:
            fields["content"] = IndexField("TEXT")
        object.__setattr__(self, "fields", fields)

    @classmethod
    def from_settings(cls, settings: ValkeySettings, *, dimension: int) -> "IndexSchema":
        """Return the schema for ``settings`` and vectors of ``dimension`` numbers."""
        return cls(
            name=settings.index_name,
            prefix=settings.collection_prefix,
            dimension=dimension,
            metric=settings.metric_type,
            algorithm="HNSW" if settings.index_algorithm == "hnsw" else "FLAT",
            any_algorithm=settings.index_algorithm == "auto",
            text=settings.text_index,
            m=settings.index_m,
            ef_construction=settings.index_ef_construction,
        )

    def create_command(self) -> list[str]:
        """Return FT.CREATE with its arguments."""
        parts = [part for name, wanted in self.fields.items() for part in (name, *self._field_arguments(wanted))]
        return ["FT.CREATE", self.name, "ON", "HASH", "PREFIX", "1", self.prefix, "SCHEMA", *parts]

    def legacy_command(self) -> list[str]:
        """Return FT.CREATE for memories that are laid out as by the Go router, with the fields that it queries."""
        tags = ("id", "user_id", "project_id", "memory_type", "source")
        numbers = ("updated_at", "access_count", "importance")
        return [
            "FT.CREATE", self.name, "ON", "HASH", "PREFIX", "1", self.prefix, "SCHEMA",
            *(part for name in tags for part in (name, "TAG")),
            "content", "TEXT", "embedding", "VECTOR", "HNSW", *_counted(self._vector_arguments("HNSW")),
            "created_at", "NUMERIC", "SORTABLE", *(part for name in numbers for part in (name, "NUMERIC")),
        ]  # fmt: skip

    def _field_arguments(self, wanted: IndexField) -> list[str]:
        if wanted.kind == "VECTOR":
            return ["VECTOR", self.algorithm, *_counted(self._vector_arguments(self.algorithm))]
        if wanted.case_sensitive:
            return ["TAG", "SEPARATOR", wanted.separator, "CASESENSITIVE"]
        return [wanted.kind]

    def _vector_arguments(self, algorithm: Algorithm) -> list[str]:
        common = ["TYPE", "FLOAT32", "DIM", str(self.dimension), "DISTANCE_METRIC", self.metric]
        if algorithm == "FLAT":
            return common
        return [*common, "M", str(self.m), "EF_CONSTRUCTION", str(self.ef_construction)]

    def differences(self, found: FoundIndex) -> list[Difference]:
        """Return why ``found`` cannot serve this configuration; empty if it can.

        An index of the Go router is held only against what its reading needs: keys, dimension and metric.
        """
        differences = [*self._key_differences(found), *self._vector_differences(found)]
        if not found.legacy:
            differences += self._field_differences(found)
        return differences

    def notes(self, found: FoundIndex) -> list[str]:
        """Return what differs without standing in the way, as sentences."""
        vector, notes = found.vector, []
        if vector is not None and vector.algorithm == "HNSW" and self.any_algorithm and not found.legacy:
            notes.append("the index is HNSW, so vector search over large owners is not exact")
        if vector is not None and vector.algorithm == "HNSW" and self.algorithm == "HNSW":
            for name, wanted, has in (
                ("index_m", self.m, vector.m),
                ("index_ef_construction", self.ef_construction, vector.ef_construction),
            ):
                if has is not None and has != wanted:
                    notes.append(f"the index was built with {name} {has}, configured is {wanted}; to apply: {REBUILD}")
        if "content" in found.fields and not self.text and not found.legacy:
            notes.append(f"the index holds the words of content, which text_index: false does not need; {REBUILD}")
        return notes

    def _key_differences(self, found: FoundIndex) -> Iterator[Difference]:
        if found.key_type.upper() != "HASH":
            yield Difference("key type", "HASH", found.key_type or "unknown", "set index_name to another name")
        if found.prefixes != (self.prefix,):
            yield Difference(
                "prefix",
                repr(self.prefix),
                " ".join(map(repr, found.prefixes)) or "none",
                f"set collection_prefix or index_name back, or run: {REBUILD}",
            )

    def _vector_differences(self, found: FoundIndex) -> Iterator[Difference]:
        vector = found.vector
        if vector is None:
            yield Difference("field embedding", "VECTOR", "missing or of another kind", f"run: {REBUILD}")
            return
        for what, wanted, has, fix in (
            ("dimension", str(self.dimension), vector.dimension, f"set embedding_model back, or run: {REINDEX}"),
            ("metric_type", self.metric, vector.metric, f"set metric_type back, or run: {REBUILD}"),
            ("vector type", "FLOAT32", vector.data_type, f"run: {REBUILD}"),
        ):
            if has is not None and str(has) != wanted:
                yield Difference(what, wanted, str(has), fix)
        other = vector.algorithm not in (None, self.algorithm)
        if other and not self.any_algorithm and not found.legacy:
            yield Difference(
                "index_algorithm",
                self.algorithm,
                str(vector.algorithm),
                f"set index_algorithm: auto to use it as it is, or run: {REBUILD}",
            )

    def _field_differences(self, found: FoundIndex) -> Iterator[Difference]:
        for name, wanted in self.fields.items():
            has = found.fields.get(name)
            if name == "embedding" or has == wanted:
                continue
            if has is None or has.kind != wanted.kind:
                yield Difference(
                    f"field {name}", wanted.kind, "missing" if has is None else has.kind, f"run: {REBUILD}"
                )
            elif wanted.case_sensitive:
                yield Difference(f"field {name}", _tag(wanted), _tag(has), f"run: {REBUILD}")


def _counted(arguments: list[str]) -> list[str]:
    return [str(len(arguments)), *arguments]


def _tag(wanted: IndexField) -> str:
    return f"TAG with separator {wanted.separator!r}, {'' if wanted.case_sensitive else 'not '}case-sensitive"
