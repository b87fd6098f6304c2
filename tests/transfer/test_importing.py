"""Memories are brought into a real store, through the gate and with the store's vectors."""

from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace

from memrouter.embeddings.hashing import HashEmbedder
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode, ScanQuery
from memrouter.testing.records import NOW, plain
from memrouter.transfer.format import NO_VECTOR
from memrouter.transfer.gate import Refused
from memrouter.transfer.importing import Importer, own_id
from memrouter.transfer.reader import Read
from memrouter.transfer.report import Outcomes

from .conftest import OpenStore
from .samples import factory

EMBEDDER = HashEmbedder(8)


@pytest.fixture
async def hashed(open_sqlite: OpenStore) -> MemoryStore:
    """A store of the test embedder's vectors."""
    return await open_sqlite("hashed", model=EMBEDDER.info.model)


def reads(records: Sequence[MemoryRecord | None]) -> list[Read]:
    return [Read(line, record) for line, record in enumerate(records, start=2)]


async def kept(store: MemoryStore) -> dict[tuple[str, str], MemoryRecord]:
    return {(record.user_id, record.id): record async for page in store.scan(ScanQuery()) for record in page.records}


async def bring(
    store: MemoryStore,
    records: Sequence[MemoryRecord | None],
    *,
    mode: MergeMode = MergeMode.SKIP,
    dry_run: bool = False,
) -> Outcomes:
    importer = Importer(store, EMBEDDER, mode=mode, dry_run=dry_run)
    await importer.bring(reads(records))
    assert importer.outcomes.balanced
    return importer.outcomes


async def test_records_come_in_bit_by_bit_hidden_ones_too(store: MemoryStore) -> None:
    make = factory().make
    records = [
        make("visible", access_count=7, last_accessed=NOW + 3, importance=0.25),
        make("superseded", superseded_by="m9"),
        make("expired", expires_at=1),
        make("bob's", user_id="bob", project_id="work"),
        make("  ends kept as they are \r\n"),
    ]
    done = await bring(store, records)
    assert (done.added, done.mended, done.reembedded) == (5, 0, 0)
    found = await kept(store)
    assert [plain(found[record.user_id, record.id]) for record in records] == [plain(record) for record in records]
    hidden = await store.get(Scope("alice", None), [record.id for record in records[:3]], now=NOW)
    assert [record.content for record in hidden] == ["visible", "superseded"]


async def test_doing_it_again_changes_nothing(store: MemoryStore) -> None:
    records = factory().many(5, access_count=2)
    await bring(store, records)
    before = {key: plain(record) for key, record in (await kept(store)).items()}
    for mode in MergeMode:
        done = await bring(store, records, mode=mode)
        assert done.added == 0
        assert {key: plain(record) for key, record in (await kept(store)).items()} == before


@pytest.mark.parametrize("mode", MergeMode)
async def test_a_dry_run_predicts_what_then_happens(store: MemoryStore, mode: MergeMode) -> None:
    make = factory().make
    old, expired, equal, newer = make("old"), make("gone", expires_at=5), make("equal"), make("newer")
    await bring(store, [old, expired, equal, newer])
    records = [
        replace(old, content="other", updated_at=old.updated_at + 1),
        replace(expired, content="other", updated_at=expired.updated_at + 1),
        replace(equal, content="other"),
        replace(newer, content="other", updated_at=newer.updated_at - 1),
        make("fresh"),
        replace(old, user_id="carol", id="fresh-for-carol"),
        None,
    ]
    before = {key: plain(record) for key, record in (await kept(store)).items()}
    foretold = await bring(store, records, mode=mode, dry_run=True)
    assert {key: plain(record) for key, record in (await kept(store)).items()} == before
    assert foretold.as_dict() == (await bring(store, records, mode=mode)).as_dict()
    replaced = {MergeMode.SKIP: 0, MergeMode.REPLACE: 4, MergeMode.NEWER: 2}[mode]
    assert (foretold.added, foretold.replaced, foretold.left_out) == (2, replaced, 1)


async def test_vectors_of_another_model_or_dimension_or_none_are_made_anew(hashed: MemoryStore) -> None:
    make = factory().make
    model = EMBEDDER.info.model
    (own,) = await EMBEDDER.embed(["kept vector"])
    records = [
        make("other model"),
        make("no vector", embedding=NO_VECTOR, embedding_model=model),
        make("other length", embedding=own[:4], embedding_model=model),
        make("its own", embedding=own, embedding_model=model),
    ]
    done = await bring(hashed, records)
    assert (done.added, done.reembedded) == (4, 3)
    found = await kept(hashed)
    for record in records[:3]:
        (expected,) = await EMBEDDER.embed([record.content])
        assert found["alice", record.id].embedding.tobytes() == expected.tobytes()
        assert found["alice", record.id].embedding_model == model
    assert found["alice", records[3].id].embedding.tobytes() == own.tobytes()


async def test_a_content_that_is_too_long_by_its_white_space_alone_stops_no_import(hashed: MemoryStore) -> None:
    padded = factory().make(" " * 20_000 + "seen" + "\r\n" * 9000)
    outcomes = await bring(hashed, [padded, factory().make("other", id="o")])
    assert (outcomes.added, outcomes.mended) == (2, 1)
    assert {record.content for record in (await kept(hashed)).values()} == {"seen", "other"}


async def test_content_that_cannot_be_kept_is_mended_and_counted_or_refused(hashed: MemoryStore) -> None:
    make = factory().make
    done = await bring(hashed, [make("bell \x07 rings"), make("é" * 10_000), make(" \x00 "), make("fine")])
    assert (done.added, done.mended, done.refused, done.reembedded) == (3, 2, 1, 3)
    assert [(refusal.line, refusal.reason) for refusal in done.refusals] == [
        (4, "its content has no visible character")
    ]
    found = await kept(hashed)
    contents = sorted(record.content for record in found.values())
    assert contents == ["bell  rings", "fine", "é" * 8192]
    for record in found.values():
        (expected,) = await EMBEDDER.embed([record.content])
        assert record.content == "fine" or record.embedding.tobytes() == expected.tobytes()


async def test_a_gate_of_another_kind_sees_every_memory_and_its_refusals_are_counted(store: MemoryStore) -> None:
    def gate(record: MemoryRecord) -> MemoryRecord | Refused:
        return Refused("quarantined") if "secret" in record.content else record

    importer = Importer(store, EMBEDDER, mode=MergeMode.SKIP, gate=gate)
    make = factory().make
    await importer.bring(reads([make("open"), *(make(f"secret {number}") for number in range(30))]))
    done = importer.outcomes
    assert (done.added, done.refused, len(done.refusals)) == (1, 30, 20)
    assert done.refusals[0].reason == "quarantined"
    assert [record.content for record in (await kept(store)).values()] == ["open"]


async def test_an_id_of_another_owner_is_out_of_reach_and_the_memory_gets_one_of_its_own(store: MemoryStore) -> None:
    make = factory().make
    theirs = make("alice's")
    await bring(store, [theirs])
    mine = [replace(theirs, user_id="bob", content="bob's"), make("more", user_id="bob")]
    for mode in MergeMode:
        done = await bring(store, mine, mode=mode)
        assert done.renamed == 1
        assert done.added == (2 if mode is MergeMode.SKIP else 0)
    found = await kept(store)
    assert plain(found["alice", theirs.id]) == plain(theirs)
    assert sorted(record.content for (user, _), record in found.items() if user == "bob") == ["bob's", "more"]
    assert len(found) == 3


async def test_a_memory_whose_ids_were_all_foreseen_by_others_is_refused_and_stops_nothing(store: MemoryStore) -> None:
    make = factory().make
    wanted = make("alice's", id="x")
    theirs = [make("theirs", id="x", user_id="mallory"), make("too", id=own_id(wanted), user_id="mallory")]
    await bring(store, theirs)
    taken = make("bob's", id=theirs[0].id, user_id="bob")
    for added in (2, 0):
        outcomes = await bring(store, [wanted, make("another", id="y")])
        outcomes.include(await bring(store, [taken]))
        assert (outcomes.added, outcomes.refused, outcomes.renamed) == (added, 1, 1)
    found = await kept(store)
    assert {content.content for content in found.values()} == {"theirs", "too", "another", "bob's"}


async def test_of_two_owners_with_one_id_the_first_keeps_it_on_every_run(store: MemoryStore) -> None:
    make = factory().make
    first = make("alice's")
    records = [make("before"), first, replace(first, user_id="bob"), make("behind")]
    for number in (4, 0):
        done = await bring(store, records)
        assert (done.added, done.kept, done.renamed) == (number, 4 - number, 1)
    found = await kept(store)
    assert ("alice", first.id) in found
    assert len(found) == 4


async def test_every_batch_is_told_when_it_is_written(store: MemoryStore) -> None:
    records = factory().many(10)
    told: list[tuple[int, int, int]] = []

    async def batches() -> AsyncIterator[Sequence[Read]]:
        yield reads(records)[:7]
        yield []
        yield reads(records)[7:]

    async def done(line: int, count: int) -> None:
        told.append((line, count, await store.count(None)))

    importer = Importer(store, EMBEDDER, mode=MergeMode.SKIP, batch=4)
    await importer.run(batches(), done=done)
    assert told == [(5, 4, 4), (8, 3, 7), (11, 3, 10)]
    assert importer.outcomes.added == 10
