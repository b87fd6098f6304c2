"""The log of a session, compared with a plain list."""

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memrouter.embedded import UserMemory
from memrouter.integrations.agents_log import SessionLog

pytestmark = pytest.mark.asyncio(loop_scope="module")

added = st.lists(st.text(max_size=5), min_size=1, max_size=3)


@given(changes=st.lists(st.one_of(added, st.none()), max_size=12))
@settings(max_examples=20)
async def test_a_log_is_a_list_that_grows_and_shrinks_at_its_end(
    changes: list[list[str] | None], opened: UserMemory
) -> None:
    log = SessionLog(opened.store.state, opened.runtime.clock, opened.scope, str(uuid.uuid4()), keep_for=None)
    expected: list[dict[str, Any]] = []
    for change in changes:
        if change is None:
            assert await log.pop() == (expected.pop() if expected else None)
        else:
            await log.add([{"content": text} for text in change])
            expected += [{"content": text} for text in change]
        assert await log.items() == expected
