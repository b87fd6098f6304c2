"""Exports into files, broken off anywhere and taken up again."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import jsonschema
import pytest

from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.models.memory import MemoryRecord, MemoryType, Source
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.query import MergeMode, ScanPage, ScanQuery
from memrouter.testing.records import NOW, plain
from memrouter.transfer.export_file import FileExport
from memrouter.transfer.files import chunks
from memrouter.transfer.format import Filters, json_schema
from memrouter.transfer.progress import Unseen
from memrouter.transfer.report import ExportReport

from .conftest import OpenStore
from .samples import factory, memories_of, objects, read_all

SCHEMA = jsonschema.Draft202012Validator(json.loads(json_schema()))


class Breaking:
    """A store whose scan fails after some pages."""

    def __init__(self, inner: MemoryStore, pages: int) -> None:
        self._inner = inner
        self._pages = pages

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def count(self, user_id: str | None) -> int:
        return await self._inner.count(user_id)

    async def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        async for page in self._inner.scan(query):
            if self._pages == 0:
                raise StoreUnavailable("gone")
            self._pages -= 1
            yield page


async def export(
    store: object,
    path: Path,
    filters: Filters | None = None,
    *,
    resume: bool = False,
    vectors: bool = True,
    page: int = 3,
) -> ExportReport:
    work = FileExport(store, filters or Filters(), path, vectors=vectors, progress=Unseen(), page=page)  # type: ignore[arg-type]  # a store that fails on purpose has only what an export needs
    return await work.run(resume=resume, now=NOW)


def content_of(path: Path) -> bytes:
    with path.open("rb") as source:
        return b"".join(chunks(source, gzipped=path.suffix == ".gz"))


def by_name(records: list[MemoryRecord]) -> dict[tuple[str, str], object]:
    named = {(record.user_id, record.id): plain(record) for record in records}
    assert len(named) == len(records)
    return named


async def fill(store: MemoryStore) -> list[MemoryRecord]:
    make = factory().make
    records = [make(user_id=f"user {number % 5}", access_count=number) for number in range(20)]
    records += [make("superseded", superseded_by=records[0].id), make("expired", expires_at=1)]
    records += [make("work", project_id="work", type=MemoryType.PROCEDURAL, source=Source.API)]
    await store.merge(records, mode=MergeMode.SKIP)
    return records


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.gz"])
async def test_everything_that_is_kept_is_in_the_file(store: MemoryStore, tmp_path: Path, name: str) -> None:
    records = await fill(store)
    report = await export(store, tmp_path / name)
    data = content_of(tmp_path / name)
    for line in objects(data):
        SCHEMA.validate(line)
    reads, intake = read_all(data)
    assert intake.damage is None
    assert by_name(memories_of(reads)) == by_name(records)
    assert (report.memories, report.users, report.hidden, report.size) == (
        23,
        6,
        2,
        len(data) - len(data.splitlines()[-1]) - 1,
    )
    assert report.outcomes.balanced
    first, last = objects(data)[0], objects(data)[-1]
    assert (first["count"], last["count"], last["sha256"]) == (23, 23, report.sha256)
    assert [path.name for path in tmp_path.glob(f"{name}*")] == [name]


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.gz"])
@pytest.mark.parametrize("pages", range(9))
async def test_an_export_that_broke_off_goes_on_without_loss_or_doubles(
    store: MemoryStore, tmp_path: Path, name: str, pages: int
) -> None:
    records = await fill(store)
    path = tmp_path / name
    if pages < 8:
        with pytest.raises(StoreUnavailable):
            await export(Breaking(store, pages), path)
        assert not path.exists()
        with (tmp_path / f"{name}.part").open("ab") as torn:
            torn.write(b'{"kind":"memory","id":"to')
    report = await export(store, path, resume=True)
    reads, intake = read_all(content_of(path))
    assert intake.damage is None
    assert by_name(memories_of(reads)) == by_name(records)
    whole = await export(store, tmp_path / f"again-{name}")
    assert report.as_dict() == whole.as_dict()
    assert content_of(path) == content_of(tmp_path / f"again-{name}")
    assert not list(tmp_path.glob("*.part*"))


FILTERS = {
    "user": (Filters(user_id="user 3"), 4),
    "nobody": (Filters(user_id="User 3"), 0),
    "project": (Filters(project_id="work"), 1),
    "type": (Filters(types=[MemoryType.PROCEDURAL, MemoryType.SEMANTIC]), 1),
    "source": (Filters(sources=[Source.API]), 1),
    "since": (Filters(since=NOW + 11), 13),
    "until": (Filters(until=NOW + 11), 10),
    "all together": (Filters(user_id="user 0", since=NOW + 2, until=NOW + 16, project_id="default"), 2),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_filters_choose_and_what_is_left_out_is_counted(store: MemoryStore, tmp_path: Path, name: str) -> None:
    await fill(store)
    filters, expected = FILTERS[name]
    report = await export(store, tmp_path / "out", filters)
    assert report.memories == expected
    assert report.outcomes.balanced
    reads, intake = read_all(content_of(tmp_path / "out"))
    assert intake.damage is None
    assert len(reads) == expected
    first = objects(content_of(tmp_path / "out"))[0]
    assert first["count"] == (expected if name in ("user", "nobody") else None)


async def test_an_empty_store_gives_a_whole_file(store: MemoryStore, tmp_path: Path) -> None:
    report = await export(store, tmp_path / "out")
    assert (report.memories, report.users) == (0, 0)
    assert read_all(content_of(tmp_path / "out"))[1].damage is None


async def test_without_vectors_there_are_none(store: MemoryStore, tmp_path: Path) -> None:
    await fill(store)
    await export(store, tmp_path / "out", vectors=False)
    lines = objects(content_of(tmp_path / "out"))
    assert lines[0]["vectors"] is False
    assert {line["embedding"] for line in lines[1:-1]} == {None}


async def test_a_file_that_exists_is_left_alone(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InvalidRequest, match="exists already"):
        await export(store, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("changed", ["filters", "vectors", "model"])
async def test_an_export_is_not_gone_on_with_under_other_options(
    store: MemoryStore, open_sqlite: OpenStore, tmp_path: Path, changed: str
) -> None:
    await fill(store)
    with pytest.raises(StoreUnavailable):
        await export(Breaking(store, 2), tmp_path / "out")
    other = await open_sqlite("other", model="other-model") if changed == "model" else store
    with pytest.raises(InvalidRequest, match="begun with other filters or another store"):
        await export(
            other,
            tmp_path / "out",
            Filters(project_id="work") if changed == "filters" else None,
            resume=True,
            vectors=changed != "vectors",
        )
    await export(other, tmp_path / "out")  # without resume it begins anew


async def test_a_part_file_that_was_changed_is_not_gone_on_with(store: MemoryStore, tmp_path: Path) -> None:
    await fill(store)
    with pytest.raises(StoreUnavailable):
        await export(Breaking(store, 2), tmp_path / "out")
    part = tmp_path / "out.part"
    part.write_bytes(part.read_bytes().replace(b'"kind":"memory"', b'"kind":"MEMORY"', 1))
    with pytest.raises(InvalidRequest, match=r"cannot be gone on with: line 2: .* without --resume"):
        await export(store, tmp_path / "out", resume=True)


async def test_a_memory_that_no_reader_would_take_is_counted_and_left_out(store: MemoryStore, tmp_path: Path) -> None:
    make = factory().make
    await store.merge([make("fine"), make("odd", role="a\nb"), make("also fine")], mode=MergeMode.SKIP)
    report = await export(store, tmp_path / "out")
    assert (report.memories, report.outcomes.refused) == (2, 1)
    assert "role" in report.outcomes.refusals[0].reason
    assert read_all(content_of(tmp_path / "out"))[1].damage is None
