"""Removing what has to go: reports, races, links."""

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from memrouter.memory.upkeep.grace import Grace
from memrouter.memory.upkeep.pruning import PIECE, Leaving
from memrouter.memory.upkeep.retention import Rule
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import Scope
from memrouter.stores.query import Filter, MergeMode
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW

from .upkeep_bench import DAY, Bench


async def old(bench: Bench, *contents: str, **changes: Any) -> None:
    """Store memories that nobody has needed for 100 days, as the clock of the bench stands."""
    await bench.keep(*contents, **changes)
    bench.clock.ms = NOW + 100 * DAY


async def test_a_dry_run_says_what_a_run_then_does(bench: Bench) -> None:
    await bench.keep("quarantined", quarantine="role_markers")
    await bench.keep("replaced", superseded_by="x")
    await bench.keep("pinned", pinned=True)
    await bench.keep("expired", expires_at=NOW + DAY)
    await old(bench, "faded")
    await bench.keep("used", last_accessed=NOW + 99 * DAY)
    said: list[Leaving] = []
    foretold = await bench.upkeep.pruning.run(dry_run=True, note=said.append)
    assert len(await bench.everything()) == 6
    done = await bench.upkeep.pruning.run()
    assert {leaving.record.content: leaving.departure.rule for leaving in said} == {
        "quarantined": Rule.QUARANTINED,
        "replaced": Rule.REPLACED,
        "expired": Rule.EXPIRED,
        "faded": Rule.FADED,
    }
    assert foretold.removed == done.removed
    assert {record.content for record in (await bench.everything()).values()} == {"pinned", "used"}
    assert bench.counts.pruned_by == {rule.value: 1 for rule in Rule}
    assert not (await bench.upkeep.pruning.run()).removed


async def test_more_than_one_piece_and_more_than_one_user_go(bench: Bench) -> None:
    await bench.keep(*(f"memory {number}" for number in range(PIECE + 5)))
    await old(bench, "another", user_id="bob")
    only = await bench.upkeep.pruning.run(user_id="bob")
    assert (only.users, only.removed[Rule.FADED]) == (1, 1)
    assert (await bench.upkeep.pruning.run()).removed[Rule.FADED] == PIECE + 5
    assert await bench.store.count(None) == 0


@pytest.mark.parametrize("what", ["touch", "pin", "edit", "delete"])
async def test_what_happens_just_before_the_removal_is_seen(bench: Bench, what: str) -> None:
    """The scan has seen the memory, and then something is done to it."""
    await old(bench, "a fact", "another fact")
    (first, second), now = (await bench.everything()).values(), bench.clock.ms
    scope, store, get = Scope("alice"), bench.store, bench.store.get
    acts: dict[str, Any] = {
        "touch": partial(store.touch, scope, [first.id], now=now),
        "pin": partial(store.merge, [replace(first, pinned=True)], mode=MergeMode.REPLACE),
        "edit": partial(edit, store, scope, first.id, now=now, importance=0.4),
        "delete": partial(store.delete, scope, Filter(ids=frozenset({first.id}))),
    }

    class Interrupting:
        """Does it once, between the reading of the generation and that of the memories."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def get(self, *args: Any, **options: Any) -> Any:
            if what in acts:
                await acts.pop(what)()
            return await get(*args, **options)

    report = await Bench(Interrupting()).at(now).upkeep.pruning.run()
    assert report.removed[Rule.FADED] == 1
    assert report.spared == 1
    left = await bench.everything()
    assert second.id not in left
    assert (first.id in left) is (what != "delete")


async def test_what_replaced_a_purged_memory_no_longer_links_to_it(bench: Bench) -> None:
    entry = HistoryEntry(NOW, Event.SUPERSEDED, Actor.OWNER, None, "heir")
    (gone,) = await bench.keep("old fact", superseded_by="heir", history=(entry,))
    await bench.keep("new fact", id="heir", links=(gone.id, "other"), pinned=True)
    bench.clock.ms = NOW + 31 * DAY
    await bench.upkeep.pruning.run()
    (heir,) = (await bench.everything()).values()
    assert heir.links == ("other",)


async def test_a_run_that_may_not_begin_a_user_leaves_the_user_alone(bench: Bench) -> None:
    await old(bench, "a fact")

    class Stopped:
        async def rest(self) -> None: ...

        async def may_begin(self, position: str | None) -> bool:
            return False

    report = await bench.upkeep.pruning.run(pace=Stopped())
    assert not report.finished
    assert len(await bench.everything()) == 1


async def test_with_grace_days_before_pruning_came_to_the_store_do_not_count(bench: Bench) -> None:
    await old(bench, "a fact")
    assert not (await bench.upkeep.pruning.run(grace=True)).removed
    bench.clock.ms += 56 * DAY
    assert not (await bench.upkeep.pruning.run(grace=True)).removed
    bench.clock.ms += DAY
    assert (await bench.upkeep.pruning.run(grace=True)).removed[Rule.FADED] == 1


async def test_with_grace_days_before_an_import_do_not_count_for_its_user(bench: Bench) -> None:
    await bench.upkeep.pruning.run(grace=True)
    await old(bench, "a fact")
    await bench.keep("another fact", user_id="bob")
    await Grace(bench.store.state).imported("bob", now=bench.clock.ms)
    await bench.upkeep.pruning.run(grace=True)
    assert (await bench.everything(), len(await bench.everything("bob"))) == ({}, 1)
