"""The probe holds on a real store, and sees each kind of leak on one that was made to leak."""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest

from memrouter.clock import SystemClock
from memrouter.config.memory import MemorySettings
from memrouter.evaluation.bench import Bench, open_bench
from memrouter.evaluation.isolation import HOSTILE_NAMES, IsolationReport, names, probe_isolation
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Change


class FoldingStore:
    """A store that takes users for one another whose names differ in case or outer blanks only."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, change: Change) -> int | None:
        owner = folded(change.user_id)
        put = [msgspec.structs.replace(one, user_id=owner) for one in change.put]
        return await self._inner.commit(replace(change, user_id=owner, put=put))

    async def search(self, scope: Scope, query: Any) -> Any:
        found = await self._inner.search(meant(scope), query)
        return replace(found, records=None if found.records is None else theirs(found.records, scope))

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        return theirs(await self._inner.get(meant(scope), ids, now=now), scope)

    async def list(self, scope: Scope, query: Any) -> Any:
        page = await self._inner.list(meant(scope), query)
        return replace(page, records=theirs(page.records, scope))

    async def delete(self, scope: Scope, where: Any) -> int:
        return await self._inner.delete(meant(scope), where)


def folded(user_id: str) -> str:
    return user_id.strip().casefold()


def meant(scope: Scope) -> Scope:
    return Scope(folded(scope.user_id), scope.project_id)


def theirs(records: Iterable[MemoryRecord], scope: Scope) -> list[MemoryRecord]:
    """Return the records under the name of whoever asked, so that no later check by name can help."""
    return [msgspec.structs.replace(record, user_id=scope.user_id) for record in records]


class LeakingStore:
    """A store one of whose methods gives everybody everything, under the name of whoever asked."""

    def __init__(self, inner: MemoryStore, leak: str) -> None:
        self._inner = inner
        self._leak = leak
        self._all: dict[str, MemoryRecord] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, change: Change) -> int | None:
        done = await self._inner.commit(change)
        if done is not None:
            self._all |= {record.id: record for record in change.put}
        return done

    async def search(self, scope: Scope, query: Any) -> Any:
        found = await self._inner.search(scope, query)
        whole = replace(found, records=theirs(self._all.values(), scope), scores=None)
        return found if found.records is None or self._leak != "search" else whole

    async def list(self, scope: Scope, query: Any) -> Any:
        page = await self._inner.list(scope, query)
        return replace(page, records=theirs(self._all.values(), scope)) if self._leak == "list" else page


class ForgetfulStore:
    """A store that finds nothing."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def search(self, scope: Scope, query: Any) -> Any:
        found = await self._inner.search(scope, query)
        return replace(found, records=(), scores=None if found.scores is None else ())


@asynccontextmanager
async def bench_on(fault: Callable[[MemoryStore], Any]) -> AsyncIterator[Bench]:
    opening = open_bench(MemorySettings(), temporary=True, env={}, clock=SystemClock(), rng=random.SystemRandom())
    async with opening as real:
        yield Bench(
            store=fault(real.store),
            embedder=real.embedder,
            tokens=real.tokens,
            analyzer=real.analyzer,
            clock=real.clock,
            settings=real.settings,
            rng=random.SystemRandom(),
        )


async def probed(bench: Bench, users: int) -> IsolationReport:
    return await probe_isolation(bench, users=users, rng=random.Random(1), progress=lambda *_: None)


async def test_the_real_store_holds_for_every_hostile_name(bench: Bench) -> None:
    users = len(HOSTILE_NAMES) + 2
    report = await probed(bench, users)
    assert report.holds
    assert report == IsolationReport(
        owners=users + users // 2,
        memories=3 * report.owners,
        questions=10 * report.owners,
        hits=30 * report.owners,
        foreign=0,
        reached=0,
        unanswered=0,
        lost=0,
    )


async def test_a_store_that_takes_users_for_one_another_is_found_out() -> None:
    async with bench_on(FoldingStore) as bench:
        report = await probed(bench, 6)
    assert not report.holds
    assert report.foreign > 0
    assert report.reached > 0
    assert report.lost > 0
    assert report.unanswered == 0


@pytest.mark.parametrize("leak", ["search", "list"])
async def test_a_single_leaking_method_is_found_out(leak: str) -> None:
    async with bench_on(partial(LeakingStore, leak=leak)) as bench:
        report = await probed(bench, 4)
    assert not report.holds
    assert report.foreign > 0
    assert (report.reached, report.unanswered, report.lost) == (0, 0, 0)


async def test_a_store_that_finds_nothing_proves_nothing() -> None:
    async with bench_on(ForgetfulStore) as bench:
        report = await probed(bench, 4)
    assert not report.holds
    assert (report.foreign, report.unanswered) == (0, report.questions)


def test_names_are_distinct_and_as_many_as_asked_for() -> None:
    for count in (2, len(HOSTILE_NAMES), 200):
        found = names(count)
        assert len(set(found)) == len(found) == count
