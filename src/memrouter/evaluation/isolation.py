"""Whether anybody ever gets another user's memories."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, TypeVar

from memrouter.errors import NotFound
from memrouter.evaluation.bench import Bench, Progress
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.models.memory import MemoryRecord, Scope

_T = TypeVar("_T")

AT_ONCE = 32
"""Questions under way at the same time."""
LIMIT = 100
"""Memories that each question may bring back: far more than a user has."""

HOSTILE_NAMES = (
    "user", "User", "USER", "user ", " user", "user,admin", "user|admin", "user*", "*", "use?", "user\\", "user'--",
    'user" OR "1"="1', "user%", "user_", "user:1", "user:1:2", "{user}", "@owner:{user}", "@user_id:*", "-user",
    "~user", "$user", "[user]", "(user)", "user;DROP TABLE memories", "../user", "a", "a,b", "a b", "b,a",
    "caf\u00e9", "cafe\u0301", "\u0430dmin", "admin", "\uff55ser", "u\u200bser", "stra\u00dfe", "strasse",
    "\u0130stanbul", "istanbul", "\u202euser", "1", "01", "1.0", "null", "None", "default", "\U0001f426",
)  # fmt: skip
"""Names that stores, queries and comparisons like to take for one another, or for a piece of a query."""

_QUESTIONS = (
    "What is my canary called?",
    "What is the code of my locker?",
    'canary" OR content:* OR user_id:*',
    "@content:(canary) | @owner:{*}",
    "canary* ) | ( locker",
)


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """What was counted.

    Attributes:
        owners: Users, and projects of users, that memories were stored for.
        memories: How many were stored.
        questions: How many were asked.
        hits: How many memories came back.
        foreign: Memories of another owner that came back for a question or in a list.
        reached: Memories of another owner that could be read, changed or removed by their id.
        unanswered: Questions that brought back none of the asker's own memories, so that they prove nothing.
        lost: Owners who did not have all of their memories, and nothing else, at the end.
    """

    owners: int
    memories: int
    questions: int
    hits: int
    foreign: int
    reached: int
    unanswered: int
    lost: int

    @property
    def holds(self) -> bool:
        """Return whether nothing went wrong."""
        return not (self.foreign or self.reached or self.unanswered or self.lost)


@dataclass(frozen=True, slots=True)
class _Owner:
    scope: Scope
    own: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Seen:
    own: int
    foreign: int


def names(count: int) -> list[str]:
    """Return ``count`` names of users: hostile ones first, then numbered ones that begin alike."""
    return [*HOSTILE_NAMES, *(f"user-{number}" for number in range(max(0, count - len(HOSTILE_NAMES))))][:count]


async def probe_isolation(bench: Bench, *, users: int, rng: Random, progress: Progress) -> IsolationReport:
    """Give users nearly identical memories, and see whether one of them ever gets at another's.

    Every second user has two projects. Everybody asks at the same time, with thresholds off; once so that whole users
    are read and once so that the store itself searches.

    Args:
        bench: Where the memories are stored.
        users: How many, at least 2.
        rng: Makes the secrets.
        progress: Told about each step.

    Raises:
        StoreUnavailable: The store could not be asked.
        EmbeddingError: A text could not be embedded.
    """
    service = bench.service()
    progress("storing", 0, 4)
    scopes = [
        bench.scope(name, project)
        for number, name in enumerate(names(users))
        for project in (("default", "Default")[: 1 + number % 2])
    ]
    owners = [_Owner(scope, await _remember(service, scope, rng)) for scope in scopes]
    seen: list[_Seen] = []
    for step, asked in enumerate((service, bench.service(scan_limit=0)), start=1):
        progress("asking", step, 4)
        seen += await _together([_ask(asked, owner, text) for owner in owners for text in _QUESTIONS])
    progress("reaching for others' memories", 3, 4)
    pairs = zip(owners, [*owners[1:], owners[0]], strict=True)
    reached = sum(await _together([_reach(service, owner.scope, other) for owner, other in pairs]))
    listed = await _together([_list(service, owner) for owner in owners])
    progress("done", 4, 4)
    return IsolationReport(
        owners=len(owners),
        memories=sum(len(owner.own) for owner in owners),
        questions=len(seen),
        hits=sum(one.own + one.foreign for one in seen),
        foreign=sum(one.foreign for one in (*seen, *listed)),
        reached=reached,
        unanswered=sum(one.own == 0 for one in seen),
        lost=sum(one.own != len(owner.own) for one, owner in zip(listed, owners, strict=True)),
    )


async def _remember(service: MemoryService, scope: Scope, rng: Random) -> frozenset[str]:
    secret = f"{rng.getrandbits(32):08x}"
    texts = (
        f"My canary is called Figaro-{secret} and sings at six.",
        f"The code of my locker is {secret}.",
        "My canary sings when the kettle boils.",
    )
    # Not compared with what is kept: on a store that leaks, others' memories would be taken for the user's own.
    records = await service.remember(scope, [MemoryDraft(content=text) for text in texts], unique=False)
    return frozenset(record.id for record in records)


async def _ask(service: MemoryService, owner: _Owner, text: str) -> _Seen:
    policy = RecallPolicy(limit=LIMIT, threshold=0.0, adaptive=False)
    recall = await service.recall(owner.scope, text, policy)
    return _sorted(owner, [hit.record for hit in recall.hits])


async def _list(service: MemoryService, owner: _Owner) -> _Seen:
    page = await service.list(owner.scope, limit=LIMIT)
    return _sorted(owner, page.records)


def _sorted(owner: _Owner, records: Sequence[MemoryRecord]) -> _Seen:
    own = sum(record.id in owner.own and owner.scope.covers(record) for record in records)
    return _Seen(own, len(records) - own)


async def _reach(service: MemoryService, scope: Scope, other: _Owner) -> int:
    """Try to read, change and remove one of another owner's memories; return how many of these succeeded."""
    target = min(other.own)
    reached = 0
    for reach in (
        service.get,
        partial(service.edit, edit=MemoryEdit(importance=1.0)),
        service.forget,
    ):
        try:
            await reach(scope, target)
        except NotFound:
            continue
        reached += 1
    return reached


async def _together(work: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Return the results of all, at most AT_ONCE of them under way at a time."""
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def passed(one: Coroutine[Any, Any, _T]) -> _T:
        async with turnstile:
            return await one

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(passed(one)) for one in work]
    return [task.result() for task in tasks]
