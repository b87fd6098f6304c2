"""A failure between any two steps of a change, and changes of two routers at once: no loss, no double, no orphan."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import pytest
from msgspec.structs import replace

from memrouter.config.memory import MemorySettings
from memrouter.errors import InvalidRequest, NotFound, StoreUnavailable
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.memory.storing.write_plan import Write
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust, content_digest
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode

from ..fault_stores import WRITES, Breaking, Meeting, OpenStore
from ..gates import INJECTION, Bench, turn

OLD, NEW, OTHER = "I live in Porto.", "I live in Lisbon since May.", "My cat Luna likes tuna."
NEARLY = "I really live in Porto"
CAP = 3
MOST_STEPS = 30

Seed = dict[str, str]
"""Ids of what was stored before, by a name of the case's own."""


@dataclass(frozen=True)
class Case:
    """What is broken, and what has to be found then.

    Attributes:
        name: Of its users.
        seed: Stores what is there before and returns it.
        act: Makes the change; made again, it must lead to the same.
        before: Contents that are found before the change, in any order.
        after: Contents that are found after it.
        settings: Of the memory.
        kept: How many memories are kept after it, those that are not found too.
    """

    name: str
    seed: "Callable[[User], Awaitable[Sequence[MemoryRecord]]]"
    act: "Callable[[User, Sequence[MemoryRecord]], Awaitable[object]]"
    before: Sequence[str]
    after: Sequence[str]
    kept: int
    settings: dict[str, Any] = field(default_factory=dict)


class User:
    """One router's way to the memories of one user."""

    def __init__(self, store: Any, name: str, settings: dict[str, Any] | None = None, *, seed: int = 1) -> None:
        self.bench = Bench(store, MemorySettings.model_validate(settings or {}), seed=crc32(name.encode()) + seed)
        self.bench.clock.ms += seed * 100
        self.store = store
        self.scope = Scope(name)
        self.cap = MemorySettings.model_validate(settings or {}).quality_scoring.max_memories_per_user
        self.pending: Write | None = None

    async def say(self, *texts: str, **fields: Any) -> list[MemoryRecord]:
        """Store texts as the user's own, each a second later."""
        told: list[MemoryRecord] = []
        for text in texts:
            (outcome,) = await self.bench.write(MemoryDraft(text, **fields), scope=self.scope, actor=Actor.OWNER)
            told += [outcome.record] if outcome.record is not None else []
        return told

    async def write(self, *drafts: MemoryDraft) -> None:
        """Store drafts as a finished turn is stored: what is tried again is the same write."""
        if self.pending is None:
            self.pending = await self.bench.gate.admit(self.scope, drafts, actor=Actor.ROUTER, begun_at=1)
        await self.bench.gate.store(self.pending)

    async def found(self) -> list[str]:
        """Return the contents that retrieval may show, sorted."""
        return sorted(await self.bench.visible(self.scope))

    async def kept(self) -> dict[str, MemoryRecord]:
        """Return everything that is kept, after a look whether it hangs together."""
        kept = await self.bench.kept(self.scope.user_id)
        assert all(record.superseded_by in kept for record in kept.values() if record.superseded_by is not None)
        assert all(link in kept for record in kept.values() for link in record.links)
        assert all(
            record.id in kept[record.superseded_by].links
            for record in kept.values()
            if record.superseded_by is not None
        )
        found = [content_digest(content) for content in await self.found()]
        assert len(found) == len(set(found))
        assert len(found) <= self.cap
        return kept


async def _replaced(user: User) -> list[MemoryRecord]:
    (old, _) = told = await user.say(OLD, OTHER)
    user.bench.clock.ms += 1000
    return [*told, await user.bench.corrections.supersede(user.scope, old.id, NEW)]


async def _conversations(user: User) -> list[MemoryRecord]:
    """Store two turns of a conversation with a window over them and a fact from each, and a turn of another one."""
    first = turn("Q: I moved to Porto.\nA: How nice!")
    second = turn("Q: My dog is called Rex.\nA: Good name!", 1)
    window = turn(f"{first.content}\n---\n{second.content}", 1, source=Source.SESSION_WINDOW)
    other = turn("Q: My cat is called Luna.\nA: Lovely!", conversation="c2")
    outcomes = await user.bench.write(first, second, window, other, scope=user.scope)
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    for text, source in (("The user lives in Porto.", records[0]), ("The user's dog is called Rex.", records[1])):
        fact = MemoryDraft(
            text, MemoryType.SEMANTIC, source=Source.EXTRACTION, conversation_id="c1", turn_index=source.turn_index,
            role="user", links=(source.id,),
        )  # fmt: skip
        (outcome,) = await user.bench.write(fact, scope=user.scope, actor=Actor.EXTRACTION)
        records += [outcome.record] if outcome.record is not None else []
    return records


async def _quarantined(user: User) -> list[MemoryRecord]:
    (apart,) = await user.say(INJECTION)
    return [apart, *await user.say("one apple", "two pears", "three plums")]


async def _over_the_cap(user: User) -> list[MemoryRecord]:
    (first,) = await user.say("one apple")
    texts = ("two pears", "three plums", "four figs", "five kiwis")
    more = [
        replace(first, id=f"{user.scope.user_id}-{number}", content=text, created_at=first.created_at + number)
        for number, text in enumerate(texts, 1)
    ]
    await user.bench.store.merge(more, mode=MergeMode.SKIP)
    return [first, *more]


TURN_1, TURN_2 = "Q: I moved to Porto.\nA: How nice!", "Q: My dog is called Rex.\nA: Good name!"
WINDOW = f"{TURN_1}\n---\n{TURN_2}"
TURN_OF_C2 = "Q: My cat is called Luna.\nA: Lovely!"
FACT_1, FACT_2 = "The user lives in Porto.", "The user's dog is called Rex."
ALL = (TURN_1, TURN_2, WINDOW, TURN_OF_C2, FACT_1, FACT_2)
SMALL_CAP = {"quality_scoring": {"max_memories_per_user": CAP}}
NEAR = {"deduplication": {"similarity_threshold": 0.8}}

CASES = (
    Case(
        "remember",
        lambda user: user.say(OTHER),
        lambda user, _: user.write(turn(OLD), turn(NEW, 1)),
        [OTHER], [OLD, NEW, OTHER], 3,
    ),
    Case(
        "exact_duplicate",
        lambda user: user.say(OLD, OTHER),
        lambda user, _: user.write(turn(OLD.upper()), turn(NEW, 1)),
        [OLD, OTHER], [OLD, NEW, OTHER], 3,
    ),
    Case(
        "near_duplicate",
        lambda user: user.say(OLD, OTHER),
        lambda user, _: user.say(NEARLY),
        [OLD, OTHER], [OLD, OTHER], 2, NEAR,
    ),
    Case(
        "higher_trust",
        lambda user: user.say(OLD, OTHER, trust=Trust.TOOL),
        lambda user, _: user.say(OLD),
        [OLD, OTHER], [OLD, OTHER], 3,
    ),
    Case(
        "supersede",
        lambda user: user.say(OLD, OTHER),
        lambda user, told: user.bench.corrections.supersede(user.scope, told[0].id, NEW),
        [OLD, OTHER], [NEW, OTHER], 3,
    ),
    Case(
        "supersede_by_what_is_known",
        lambda user: user.say(OLD, OTHER, NEW),
        lambda user, told: user.bench.corrections.supersede(user.scope, told[0].id, NEW),
        [OLD, NEW, OTHER], [NEW, OTHER], 3,
    ),
    Case(
        "edit",
        lambda user: user.say(OLD, OTHER),
        lambda user, told: user.bench.corrections.edit(user.scope, told[0].id, MemoryEdit(NEW)),
        [OLD, OTHER], [NEW, OTHER], 2,
    ),
    Case(
        "release_at_the_cap",
        _quarantined,
        lambda user, told: user.bench.corrections.release(user.scope, told[0].id),
        ["one apple", "two pears", "three plums"], [INJECTION, "two pears", "three plums"], 3, SMALL_CAP,
    ),
    Case(
        "cap",
        lambda user: user.say("one apple", "two pears", "three plums"),
        lambda user, _: user.write(turn("four figs"), turn("five kiwis", 1)),
        ["one apple", "two pears", "three plums"], ["three plums", "four figs", "five kiwis"], 3, SMALL_CAP,
    ),
    Case(
        "cap_and_what_was_replaced",
        _replaced,
        lambda user, _: user.write(turn("four figs"), turn("five kiwis", 1), turn("six limes", 2)),
        [NEW, OTHER],
        ["four figs", "five kiwis", "six limes"],
        3,
        SMALL_CAP,
    ),
    Case(
        "forget",
        _replaced,
        lambda user, told: user.bench.eraser.forget(user.scope, told[2].id, actor=Actor.OWNER),
        [NEW, OTHER], [OTHER], 1,
    ),
    Case(
        "forget_a_turn",
        _conversations,
        lambda user, told: user.bench.eraser.forget(user.scope, told[0].id, actor=Actor.OWNER),
        ALL, [TURN_2, TURN_OF_C2, FACT_2], 3,
    ),
    Case(
        "forget_conversation",
        _conversations,
        lambda user, _: user.bench.eraser.forget_conversation(user.scope, "c1", actor=Actor.OWNER),
        ALL, [TURN_OF_C2], 1,
    ),
)  # fmt: skip


async def _broken_everywhere(store: MemoryStore, case: Case, *, only: frozenset[str] | None) -> int:
    """Let every call of a case fail in turn, and look what is left when the caller gives up and when it tries again.

    Returns:
        How many failures were tried.
    """
    tried = 0
    for late in (False, True):
        for number in range(MOST_STEPS):
            breaking = Breaking(store, only=only)
            user = User(breaking, f"user-{case.name}-{late}-{number}", case.settings)
            told = await case.seed(user)
            user.bench.clock.ms += 60_000
            breaking.break_at(number, late=late)
            with suppress(StoreUnavailable):
                await case.act(user, told)
            reached = len(breaking.calls) > number
            made = not reached or "commit" in (breaking.calls if late else breaking.calls[:-1])
            breaking.break_at(None)
            await user.kept()
            assert await user.found() == sorted(case.after if made else case.before)
            if not reached:
                break  # it came to its end before the call that was to fail
            tried += 1
            with suppress(NotFound):
                await case.act(user, told)
            assert len(await user.kept()) == case.kept
            assert await user.found() == sorted(case.after)
    return tried


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_change_that_fails_anywhere_is_made_whole_or_not_at_all(
    open_store: OpenStore, backend: str, case: Case
) -> None:
    # On Milvus, where each takes some 100 ms, only writes fail: a read that fails leaves the same on every store.
    only = WRITES if backend == "milvus" else None
    assert await _broken_everywhere(await open_store(), case, only=only) >= 2


async def test_an_undoing_that_fails_anywhere_is_made_whole_or_not_at_all(open_store: OpenStore, backend: str) -> None:
    async def undo(user: User, told: Sequence[MemoryRecord]) -> None:
        if NEW in await user.found():  # undone a second time, it would come back
            await user.bench.corrections.undo(user.scope, told[2].id)

    case = Case("undo", _replaced, undo, [NEW, OTHER], [OLD, OTHER], 3)
    only = WRITES if backend == "milvus" else None
    assert await _broken_everywhere(await open_store(), case, only=only) >= 2


async def _at_once(users: Sequence[User], *acts: Awaitable[object]) -> list[object]:
    """Do several things at once, so that each router has planned a change before one of the two is made.

    Returns:
        What came of each; an error where it is one that a caller must reckon with.
    """
    for user in users:
        user.store.meets = True
    ends = await asyncio.gather(*acts, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, InvalidRequest | NotFound):
            raise end
    return ends


async def _routers(open_store: OpenStore, name: str, settings: dict[str, Any] | None = None) -> list[User]:
    """Return one user's way through two routers; see ``_at_once``."""
    planned = asyncio.Barrier(2)
    return [User(Meeting(await open_store(), planned), name, settings, seed=seed) for seed in (1, 2)]


async def test_five_identical_writes_of_two_routers_at_once_give_one_memory(open_store: OpenStore) -> None:
    users = await _routers(open_store, "five")
    await _at_once(users, *(users[number % 2].say(f"{OLD}{' ' * number}") for number in range(5)))
    (kept,) = (await users[0].kept()).values()
    assert await users[1].found() == [kept.content]


async def test_two_corrections_of_one_memory_at_once_leave_one_chain(open_store: OpenStore) -> None:
    users = await _routers(open_store, "two-corrections")
    (old,) = await users[0].say(OLD)
    ends = await _at_once(
        users,
        *(
            user.bench.corrections.supersede(user.scope, old.id, text)
            for user, text in zip(users, (NEW, OTHER), strict=True)
        ),
    )
    made = [end for end in ends if isinstance(end, MemoryRecord)]
    assert len(made) == 1
    assert await users[0].found() == await users[1].found() == [made[0].content]
    assert set(await users[0].kept()) == {old.id, made[0].id}


async def test_the_same_correction_of_two_routers_at_once_is_made_once(open_store: OpenStore) -> None:
    users = await _routers(open_store, "same-corrections")
    (old,) = await users[0].say(OLD)
    ends = await _at_once(users, *(user.bench.corrections.supersede(user.scope, old.id, NEW) for user in users))
    assert len({end.id for end in ends if isinstance(end, MemoryRecord)}) == 1
    assert len(await users[0].kept()) == 2


async def test_a_correction_and_a_deletion_at_once_leave_nothing_of_the_old_text(open_store: OpenStore) -> None:
    users = await _routers(open_store, "correct-and-delete")
    old, _ = await users[0].say(OLD, OTHER)
    ends = await _at_once(
        users,
        users[0].bench.corrections.supersede(users[0].scope, old.id, NEW),
        users[1].bench.eraser.forget(users[1].scope, old.id, actor=Actor.OWNER),
    )
    assert ends[1] is True
    kept = await users[0].kept()
    assert OLD not in {record.content for record in kept.values()}
    assert await users[0].found() == sorted([OTHER] if isinstance(ends[0], NotFound) else [NEW, OTHER])


async def test_two_routers_that_fill_a_user_at_once_stay_within_the_cap(open_store: OpenStore) -> None:
    users = await _routers(open_store, "cap", SMALL_CAP)
    await users[0].say("one apple", "two pears", "three plums")
    users[1].bench.clock.ms = users[0].bench.clock.ms
    texts = (("four figs", "five kiwis"), ("six limes", "seven dates"))
    await _at_once(users, *(user.write(*map(turn, each)) for user, each in zip(users, texts, strict=True)))
    kept = await users[0].kept()
    assert len(kept) == CAP
    assert {record.content for record in kept.values()} <= {text for each in texts for text in each}


async def test_trimming_that_fails_anywhere_leaves_what_may_be_there(open_store: OpenStore, backend: str) -> None:
    async def trim(user: User, _: Sequence[MemoryRecord]) -> None:
        await user.bench.gate.trim(user.scope.user_id)

    store = await open_store()
    only = WRITES if backend == "milvus" else None
    for late in (False, True):
        for number in range(MOST_STEPS):
            breaking = Breaking(store, only=only)
            user = User(breaking, f"trim-{late}-{number}", SMALL_CAP)
            await _over_the_cap(user)
            breaking.break_at(number, late=late)
            with suppress(StoreUnavailable):
                await trim(user, ())
            reached = len(breaking.calls) > number
            breaking.break_at(None)
            await trim(user, ())
            assert len(await user.kept()) == CAP
            if not reached:
                break
