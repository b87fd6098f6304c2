"""The checks that every memory passes on its way in."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.memory.storing.drafts import check_content
from memrouter.transfer.gate import Refused, storable

from .samples import factory

RECORD = factory().make("x")


@given(st.text(max_size=50) | st.text("\x00\x07\r\n\t é", max_size=20) | st.integers(16_000, 17_000).map("é".__mul__))
def test_what_passes_can_be_stored_and_is_changed_only_where_it_could_not(content: str) -> None:
    passed = storable(replace(RECORD, content=content))
    if isinstance(passed, Refused):
        assert not any(char.isprintable() and not char.isspace() for char in content)
        return
    check_content(passed.content)
    if passed.content == content:
        assert passed.embedding is RECORD.embedding
    else:
        assert passed.embedding.size == 0
    assert replace(passed, content="x", embedding=RECORD.embedding).trust is RECORD.trust
