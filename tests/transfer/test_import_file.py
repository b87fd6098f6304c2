"""Imports from files: broken off anywhere, damaged anywhere."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from memrouter.embeddings.hashing import HashEmbedder
from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.query import Merged, MergeMode, ScanQuery
from memrouter.testing.records import HOSTILE_IDENTITIES, plain
from memrouter.transfer.import_file import FileImport, import_state
from memrouter.transfer.importing import Importer
from memrouter.transfer.owners import chosen_owners
from memrouter.transfer.reader import Claim
from memrouter.transfer.report import ImportReport

from .conftest import OpenStore
from .samples import factory, file_of, objects, sealed

EVERYBODY = chosen_owners(only=None, renamed={})
MAKE = factory().make
RECORDS = [MAKE(user_id=f"user {number % 3}", id=f"id{number}", access_count=number) for number in range(20)]
WHOLE = file_of(RECORDS)


class Told:
    """Satisfies ``Progress`` and keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.total: int | None = None
        self.dealt_with = 0

    def begin(self, task: str, *, total: int | None) -> None:
        self.total = total

    def advance(self, count: int) -> None:
        self.dealt_with += count

    def say(self, text: str) -> None:
        self.said.append(text)


class Breaking:
    """A store that fails after some batches."""

    def __init__(self, inner: MemoryStore, batches: int) -> None:
        self._inner = inner
        self._batches = batches

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        if self._batches == 0:
            raise StoreUnavailable("gone")
        self._batches -= 1
        return await self._inner.merge(records, mode=mode)


async def bring(
    store: object,
    data: bytes,
    path: Path,
    *,
    claim: Claim = EVERYBODY,
    resume: bool = False,
    told: Told | None = None,
    options: str = "",
    mode: MergeMode = MergeMode.SKIP,
) -> ImportReport:
    importer = Importer(store, HashEmbedder(8), mode=mode, batch=3)  # type: ignore[arg-type]  # one that fails on purpose has only what an import needs
    work = FileImport(
        importer,
        store.capabilities,  # type: ignore[attr-defined]  # the same
        claim=claim,
        progress=told or Told(),
        state=import_state(path),
        options=options,
    )
    report = await work.run(io.BytesIO(data), gzipped=path.suffix == ".gz", resume=resume, dry_run=False)
    assert report.outcomes.balanced
    return report


async def kept(store: MemoryStore) -> dict[tuple[str, str], object]:
    found = [record async for page in store.scan(ScanQuery()) for record in page.records]
    return {(record.user_id, record.id): plain(record) for record in found}


def named(records: Sequence[MemoryRecord]) -> dict[tuple[str, str], object]:
    return {(record.user_id, record.id): plain(record) for record in records}


@pytest.mark.parametrize("name", ["in.ndjson", "in.ndjson.gz"])
async def test_a_whole_file_comes_in_and_is_reported(store: MemoryStore, tmp_path: Path, name: str) -> None:
    told = Told()
    data = gzip.compress(WHOLE) if name.endswith(".gz") else WHOLE
    report = await bring(store, data, tmp_path / name, told=told)
    assert (report.outcomes.added, report.damage) == (20, None)
    assert report.sha256 == objects(WHOLE)[-1]["sha256"]
    assert await kept(store) == named(RECORDS)
    assert (told.total, told.dealt_with, told.said) == (20, 20, [])
    assert not list(tmp_path.glob("in*"))


@pytest.mark.parametrize("line", [1, 2, 3, 11, 21, 22])
async def test_nothing_past_the_damage_comes_in_and_all_before_it(
    store: MemoryStore, tmp_path: Path, line: int
) -> None:
    lines = WHOLE.splitlines(keepends=True)
    broken = b"".join([*lines[: line - 1], b"{}\n", *lines[line:]])
    report = await bring(store, broken, tmp_path / "in")
    assert report.damaged_line == line
    before = RECORDS[: max(0, line - 2)]
    assert (report.outcomes.read, report.outcomes.added, report.sha256) == (len(before), len(before), "")
    assert await kept(store) == named(before)
    mended = await bring(store, WHOLE, tmp_path / "in", resume=True)
    assert (mended.damage, mended.outcomes.added) == (None, 20)
    assert await kept(store) == named(RECORDS)


async def test_damaged_gzip_is_damage_of_the_next_line(store: MemoryStore, tmp_path: Path) -> None:
    report = await bring(store, gzip.compress(WHOLE)[:-300], tmp_path / "in.gz")
    assert report.damage is not None
    assert "gzip" in report.damage
    assert 0 < report.outcomes.added < 20
    assert report.damaged_line == report.outcomes.added + 2
    assert await kept(store) == named(RECORDS[: report.outcomes.added])


@pytest.mark.parametrize("batches", range(8))
async def test_an_import_that_broke_off_goes_on_without_loss_or_doubles(
    store: MemoryStore, tmp_path: Path, batches: int
) -> None:
    path = tmp_path / "in"
    if batches < 7:
        with pytest.raises(StoreUnavailable):
            await bring(Breaking(store, batches), WHOLE, path)
    told = Told()
    report = await bring(store, WHOLE, path, resume=True, told=told)
    assert (report.outcomes.read, report.outcomes.added) == (20, 20)
    assert told.dealt_with == 20
    assert await kept(store) == named(RECORDS)
    assert not list(tmp_path.glob("in*"))


async def test_what_was_imported_before_is_not_written_again(store: MemoryStore, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await bring(Breaking(store, 4), WHOLE, tmp_path / "in", mode=MergeMode.REPLACE)
    calls = Breaking(store, 3)
    await bring(calls, WHOLE, tmp_path / "in", resume=True, mode=MergeMode.REPLACE)
    assert await kept(store) == named(RECORDS)


async def test_an_import_is_not_gone_on_with_for_another_file_or_with_other_options(
    store: MemoryStore, tmp_path: Path
) -> None:
    path = tmp_path / "in"
    with pytest.raises(StoreUnavailable):
        await bring(Breaking(store, 1), WHOLE, path, options="a")
    other = sealed([objects(WHOLE)[0] | {"created": 1}, *objects(WHOLE)[1:-1]])
    for data, options, reason in ((other, "a", "another file"), (WHOLE, "b", "other options")):
        with pytest.raises(InvalidRequest, match=reason):
            await bring(store, data, path, resume=True, options=options)
    assert await store.count(None) == 3
    assert (await bring(store, other, path, options="b")).outcomes.kept == 3


async def test_another_model_or_missing_vectors_are_said_aloud(open_sqlite: OpenStore, tmp_path: Path) -> None:
    model = HashEmbedder(8).info.model
    store = await open_sqlite("hashed", model=model)
    told = Told()
    report = await bring(store, WHOLE, tmp_path / "in", told=told)
    assert report.outcomes.reembedded == 20
    (text,) = told.said
    assert "vectors are of test-model (8 numbers)" in text
    assert f"those of {model} (8 numbers): all 20 memories are embedded again" in text
    bare = [replace(record, embedding_model=model, id=f"b{record.id}") for record in RECORDS]
    lines = objects(file_of(bare, vectors=False))
    told = Told()
    await bring(store, sealed([lines[0] | {"embedding_model": model}, *lines[1:-1]]), tmp_path / "in", told=told)
    assert told.said == ["the file has no vectors: all 20 memories are embedded from their text"]


async def test_owners_whose_names_careless_code_makes_one_stay_apart(store: MemoryStore, tmp_path: Path) -> None:
    make = factory().make
    records = [make(user_id=name, project_id=name, conversation_id=name) for name in HOSTILE_IDENTITIES]
    report = await bring(store, file_of(records), tmp_path / "in")
    assert report.outcomes.added == len(records)
    assert await kept(store) == named(records)


async def test_a_place_that_cannot_be_written_is_said_and_the_import_goes_on(
    store: MemoryStore, tmp_path: Path
) -> None:
    told = Told()
    report = await bring(store, WHOLE, tmp_path / "absent folder" / "in", told=told)
    assert report.outcomes.added == 20
    (text,) = told.said
    assert "No such file or directory" in text


async def test_owners_are_chosen_and_renamed(store: MemoryStore, tmp_path: Path) -> None:
    claim = chosen_owners(only="user 1", renamed={"user 1": "new owner", "user 2": "never seen"})
    report = await bring(store, WHOLE, tmp_path / "in", claim=claim)
    mine = [record for record in RECORDS if record.user_id == "user 1"]
    assert (report.outcomes.added, report.outcomes.left_out) == (len(mine), 20 - len(mine))
    assert await kept(store) == named([replace(record, user_id="new owner") for record in mine])


async def test_two_users_become_one_only_where_their_ids_differ(store: MemoryStore, tmp_path: Path) -> None:
    twins = file_of([RECORDS[0], replace(RECORDS[0], user_id="bob")])
    claim = chosen_owners(only=None, renamed={"user 0": "bob"})
    report = await bring(store, twins, tmp_path / "in", claim=claim)
    assert (report.damaged_line, report.outcomes.added) == (3, 1)


def test_a_new_owner_must_be_able_to_be_one() -> None:
    with pytest.raises(InvalidRequest, match="map-user"):
        chosen_owners(only=None, renamed={"a": "b\n"})
