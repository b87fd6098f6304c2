from pathlib import Path

from memrouter.models.memory import Scope
from memrouter.stores.query import ListQuery, MergeMode
from memrouter.testing.records import RecordFactory

from ..gates import open_bench


async def test_what_is_over_the_cap_leaves_and_pinned_or_hidden_memories_do_not(tmp_path: Path) -> None:
    async with open_bench(tmp_path, quality_scoring={"max_memories_per_user": 3}) as bench:
        make = RecordFactory(bench.store.capabilities).make
        pinned = [make(user_id="anna", pinned=True) for _ in range(2)]
        hidden = [make(user_id="anna", superseded_by="x"), make(user_id="anna", quarantine="role_markers")]
        plain = [make(user_id="anna", project_id=name) for name in ("default", "work", "work")]
        other = make(user_id="bob")
        await bench.store.merge([*pinned, *hidden, *plain, other], mode=MergeMode.SKIP)
        assert await bench.gate.trim("anna") == 2
        assert set(await bench.kept()) == {record.id for record in (*pinned, *hidden, plain[-1])}
        assert await bench.gate.trim("anna") == 0
        assert (await bench.store.count("bob"), bench.tally.gone) == (1, 2)


async def test_where_all_is_pinned_nothing_leaves(tmp_path: Path) -> None:
    async with open_bench(tmp_path, quality_scoring={"max_memories_per_user": 1}) as bench:
        make = RecordFactory(bench.store.capabilities).make
        await bench.store.merge([make(user_id="anna", pinned=True) for _ in range(3)], mode=MergeMode.SKIP)
        assert await bench.gate.trim("anna") == 0
        room = await bench.gate.capacity.room("anna", 1, now=bench.clock.ms)
        assert (room.evicted, room.short) == (frozenset(), 3)
        assert (await bench.store.list(Scope("anna"), _all(bench.clock.ms))).total == 3


def _all(now: int) -> ListQuery:
    return ListQuery(limit=10, now=now)
