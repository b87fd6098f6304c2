"""Sizes as a person reads them."""

from collections.abc import Iterator

from memrouter.sizing.estimate import Capacity, Estimate
from memrouter.sizing.measure import Measured
from memrouter.sizing.quantity import kubernetes, setting, shown

_WIDTH = 34


def lines(found: Estimate, fits: Capacity | None, measured: Measured | None) -> list[str]:
    """Return the report, line by line."""
    report = [*_head(found), "", *_valkey(found), "", *_milvus(found), "", *_sqlite(found)]
    if fits is not None:
        report += ["", *_capacity(fits)]
    if measured is not None:
        report += ["", *_measured(measured, found)]
    return report


def _head(found: Estimate) -> Iterator[str]:
    workload = found.workload
    index = f"hnsw with m {workload.graph_links}" if workload.graph_links else "flat"
    words = ", words indexed" if workload.text_index else ""
    yield (
        f"{workload.memories:,} memories of {workload.owners:,} users: {workload.dimension} numbers in a vector, "
        f"{workload.content_bytes} bytes of text, index {index}{words}"
    )


def _valkey(found: Estimate) -> Iterator[str]:
    size, disk, plan = found.valkey, found.valkey_disk, found.valkey_plan
    each = size.data / found.workload.memories
    yield f"Valkey with {found.kind.module} ({found.kind.keyspace.allocator})"
    yield _row("documents: text, fields, keys", size.documents)
    yield _row("vectors in the documents", size.vectors)
    yield _row("lists of each user", size.owner_lists)
    yield _row("table of keys", size.key_table)
    yield _row("vectors in the index", size.index_vectors)
    yield _row("vector index: labels and links", size.vector_index)
    yield _row("tag and number indexes", size.index_fields)
    if size.word_index:
        yield _row("word index", size.word_index)
    yield _row("server and empty index", size.base)
    yield f"{_row('used_memory', size.total)}   {each:,.0f} bytes a memory"
    yield _row("copy-on-write of a rewrite or save", plan.copy_on_write)
    yield f"  maxmemory {setting(plan.maxmemory)}, maxmemory-policy noeviction"
    yield f"  each pod: requests {kubernetes(plan.request)}, limits {kubernetes(plan.limit)}; {_pods(plan.pods)}"
    yield f"  append-only file {shown(disk.aof)}, after a rewrite {shown(disk.aof_rewritten)}; RDB {shown(disk.rdb)}"
    yield f"  volume: {shown(disk.peak)} at least, which a rewrite needs meanwhile"


def _milvus(found: Estimate) -> Iterator[str]:
    size = found.milvus
    yield "Milvus Standalone (rough: segments and garbage collection decide)"
    yield _row("fields of the entities", size.entities)
    yield _row("vectors", size.vectors)
    if size.vector_index:
        yield _row("vector index", size.vector_index)
    yield _row("segments in change, heap", size.overhead)
    yield _row("server and empty collection", size.base)
    yield _row("resident memory", size.total)
    yield f"  its pod: limits {kubernetes(found.milvus_limit)}; files {shown(size.disk)}"


def _sqlite(found: Estimate) -> Iterator[str]:
    yield "SQLite"
    each = found.sqlite / found.workload.memories
    yield f"{_row('file', found.sqlite)}   {each:,.0f} bytes a memory"


def _capacity(fits: Capacity) -> Iterator[str]:
    yield f"At most, in {shown(fits.limit)}"
    yield f"  Valkey, as the limit of its pod   {fits.valkey:>14,} memories"
    yield f"  Milvus, as the limit of its pod   {fits.milvus:>14,} memories"
    yield f"  SQLite, as the size of the file   {fits.sqlite:>14,} memories"


def _measured(measured: Measured, found: Estimate) -> Iterator[str]:
    yield f"Measured on {measured.server.name}"
    yield f"  {'':<{_WIDTH}}{'formula':>12}{'measured':>12}{'difference':>12}"
    yield _beside("used_memory", measured.expected, measured.used)
    hashes = (measured.size.documents + measured.size.vectors) / found.workload.memories
    yield _beside("a HASH (MEMORY USAGE)", hashes, measured.hash_bytes)
    if measured.aof is not None:
        yield _beside("append-only file", found.valkey_disk.aof, measured.aof)
    for name, value in measured.index.items():
        yield f"  {'FT.INFO ' + name:<46}{value:>12,.3f}"


def _row(name: str, size: float) -> str:
    return f"  {name:<{_WIDTH}}{shown(size):>12}"


def _beside(name: str, formula: float, measured: float) -> str:
    off = f"{100 * (formula / measured - 1):+.1f} %" if measured > 0 else "none"
    return f"  {name:<{_WIDTH}}{shown(formula):>12}{shown(measured):>12}{off:>12}"


def _pods(number: int) -> str:
    return "1 pod" if number == 1 else f"{number} pods with the replicas"
