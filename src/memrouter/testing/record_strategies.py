"""Any memory that a store may be asked to keep, for property-based tests."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MAX_ID_CHARS, MAX_IDENTITY_CHARS, MemoryRecord, MemoryType, Source, Trust
from memrouter.stores.base import Capabilities
from memrouter.testing.records import text_vector

LAST_TIME = 2**45
"""Latest time in milliseconds: in the year 3084."""

_NAMES = st.characters(exclude_categories=("Cc", "Cs"))
_TIMES = st.integers(0, LAST_TIME)


def identities() -> st.SearchStrategy[str]:
    """Return names of users and projects."""
    return st.text(_NAMES, min_size=1, max_size=MAX_IDENTITY_CHARS)


def memory_ids() -> st.SearchStrategy[str]:
    """Return ids of memories."""
    return st.text(_NAMES, min_size=1, max_size=MAX_ID_CHARS)


def contents() -> st.SearchStrategy[str]:
    """Return texts of memories, short ones."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


def histories() -> st.SearchStrategy[tuple[HistoryEntry, ...]]:
    """Return what happened to memories, in any order."""
    entries = st.builds(
        HistoryEntry,
        at=_TIMES,
        event=st.sampled_from(Event),
        actor=st.sampled_from(Actor),
        rule=st.none() | st.text(_NAMES, min_size=1, max_size=200),
        ref=st.none() | identities(),
    )
    return st.lists(entries, max_size=3).map(tuple)


@st.composite
def memories(draw: st.DrawFn, capabilities: Capabilities) -> MemoryRecord:
    """Return memories with every field drawn, that fit a store with these capabilities."""
    content = draw(contents())
    optional: dict[str, Any] = {
        "last_accessed": draw(st.none() | _TIMES),
        "expires_at": draw(st.none() | _TIMES),
        "conversation_id": draw(st.none() | identities()),
        "turn_index": draw(st.none() | st.integers(0, 2**31 - 1)),
        "role": draw(st.none() | st.sampled_from(("user", "assistant", "turn"))),
        "superseded_by": draw(st.none() | memory_ids()),
        "quarantine": draw(st.none() | st.text(_NAMES, min_size=1, max_size=64)),
        "pinned": draw(st.booleans()),
        "links": tuple(draw(st.lists(memory_ids(), max_size=3))),
        "history": draw(histories()),
    }
    return MemoryRecord(
        id=draw(memory_ids()),
        user_id=draw(identities()),
        content=content,
        embedding=text_vector(content, capabilities.dimension).astype(np.float32),
        embedding_model=capabilities.embedding_model,
        created_at=draw(_TIMES),
        updated_at=draw(_TIMES),
        project_id=draw(identities()),
        type=draw(st.sampled_from(MemoryType)),
        source=draw(st.sampled_from(Source)),
        trust=draw(st.sampled_from(Trust)),
        importance=draw(st.floats(0, 1)),
        access_count=draw(st.integers(0, 2**31 - 1)),
        **optional,
    )
