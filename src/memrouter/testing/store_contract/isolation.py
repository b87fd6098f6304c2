# ruff: noqa: D102 - the name of a test is its claim
"""One owner apart from another, whatever they are called."""

import pytest

from memrouter.models.memory import Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, StoreQuery
from memrouter.testing.edits import edit
from memrouter.testing.records import HOSTILE_IDENTITIES, RecordFactory, plain
from memrouter.testing.store_contract.base import LATER, ContractBase, generation, ids, listed, listed_ids

BOB = Scope("bob")
EVERYWHERE = Scope("alice", None)


async def all_reads(store: MemoryStore, scope: Scope, make: RecordFactory) -> list[list[str]]:
    """Return the ids that each kind of read gives for a scope."""
    page = await store.list(scope, ListQuery(limit=1000, now=LATER, include_superseded=True))
    assert page.total == len(page.records)
    reads = [ids(list(page.records))]
    for query in (
        StoreQuery(vector=make.vector("secret"), k=1000, now=LATER),
        StoreQuery(vector=None, words=("secret",), k=1000, now=LATER),
        StoreQuery(vector=None, k=1, now=LATER, scan_limit=1000),
    ):
        answer = await store.search(scope, query)
        assert answer.records is not None
        reads.append(ids(list(answer.records)))
    return reads


class IsolationContract(ContractBase):
    """No read and no write leaves its scope."""

    async def test_users_with_hostile_names_see_their_own_memories_only(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        owned = {user: make.make("secret", user_id=user) for user in HOSTILE_IDENTITIES}
        kept = await store.create(list(owned.values()), unique_content=True)
        assert kept == ids(list(owned.values()))
        for user, record in owned.items():
            scope = Scope(user)
            assert await all_reads(store, scope, make) == [[record.id]] * 4
            (found,) = await listed(store, scope)
            assert plain(found) == plain(record)
            assert (await store.stats(scope, now=LATER)).total == 1

    async def test_projects_with_hostile_names_are_apart(self, store: MemoryStore, make: RecordFactory) -> None:
        owned = {project: make.make("secret", project_id=project) for project in HOSTILE_IDENTITIES}
        await store.create(list(owned.values()), unique_content=True)
        for project, record in owned.items():
            assert await all_reads(store, Scope("alice", project), make) == [[record.id]] * 4
        everything = sorted(ids(list(owned.values())))
        assert [sorted(read) for read in await all_reads(store, EVERYWHERE, make)] == [everything] * 4

    async def test_deleting_for_a_hostile_name_removes_nothing_of_others(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        owned = {user: make.make("secret", user_id=user) for user in HOSTILE_IDENTITIES}
        await store.create(list(owned.values()))
        removed: set[str] = set()
        for user in HOSTILE_IDENTITIES:
            assert await store.delete(Scope(user), EVERYTHING) == 1
            removed.add(user)
            for other in HOSTILE_IDENTITIES[:12]:
                assert len(await listed_ids(store, Scope(other))) == (other not in removed)
        for user in HOSTILE_IDENTITIES:
            assert await listed_ids(store, Scope(user)) == []

    async def test_an_id_of_another_owner_is_as_if_absent(self, store: MemoryStore, make: RecordFactory) -> None:
        hers = make.make("secret", user_id="bob")
        await store.create([hers])
        before = await generation(store, BOB)
        for scope in (Scope("alice"), EVERYWHERE, Scope("bob", "apollo"), Scope("Bob"), Scope("bob ")):
            assert await store.get(scope, [hers.id], now=LATER) == []
            assert await store.touch(scope, [hers.id], now=LATER) == 0
            assert await store.delete(scope, Filter(ids=frozenset({hers.id}))) == 0
            assert await all_reads(store, scope, make) == [[]] * 4
        assert [plain(record) for record in await store.get(BOB, [hers.id], now=LATER)] == [plain(hers)]
        assert await generation(store, BOB) == before

    async def test_every_project_of_a_user_can_be_read_and_changed_at_once(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        first, second = make.make("secret"), make.make("secret", project_id="apollo")
        await store.create([first, second, make.make("secret", user_id="bob")])
        assert await listed_ids(store, EVERYWHERE) == [second.id, first.id]
        assert ids(await store.get(EVERYWHERE, [second.id, first.id], now=LATER)) == [second.id, first.id]
        assert await edit(store, EVERYWHERE, second.id, now=LATER, importance=1.0) is not None
        assert await store.touch(EVERYWHERE, [first.id, second.id], now=LATER) == 2
        assert await store.delete(EVERYWHERE, EVERYTHING) == 2
        assert len(await listed_ids(store, BOB)) == 1

    @pytest.mark.parametrize("conversation", HOSTILE_IDENTITIES[:20])
    async def test_conversations_with_hostile_names_are_apart(
        self, store: MemoryStore, make: RecordFactory, conversation: str
    ) -> None:
        records = [make.make(conversation_id=name) for name in HOSTILE_IDENTITIES[:20]]
        await store.create(records)
        where = Filter(conversation_id=conversation)
        expected = [record.id for record in records if record.conversation_id == conversation]
        assert await listed_ids(store, Scope("alice"), where=where) == expected
