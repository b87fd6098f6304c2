import pytest

from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.trust import above, classify, lowest
from memrouter.models.memory import Trust


def test_trust_falls_from_the_users_words_to_an_import() -> None:
    assert lowest([Trust.MODEL, Trust.DIRECT_USER, Trust.TOOL]) is Trust.TOOL
    assert lowest(Trust) is Trust.IMPORT
    assert above(Trust.DIRECT_USER, Trust.MODEL)
    assert not above(Trust.MODEL, Trust.MODEL)


@pytest.mark.parametrize(
    ("role", "claimed", "trust"),
    [
        ("user", Trust.DIRECT_USER, Trust.DIRECT_USER),
        ("turn", Trust.DIRECT_USER, Trust.DIRECT_USER),
        (None, Trust.DOCUMENT, Trust.DOCUMENT),
        ("assistant", Trust.DIRECT_USER, Trust.MODEL),
        (" Assistant ", Trust.DIRECT_USER, Trust.MODEL),
        ("assistant", Trust.IMPORT, Trust.IMPORT),
        ("tool", Trust.DIRECT_USER, Trust.TOOL),
        ("function", Trust.MODEL, Trust.TOOL),
        ("document", Trust.DIRECT_USER, Trust.DOCUMENT),
    ],
)
def test_nothing_is_believed_more_than_the_role_whose_words_it_holds(
    role: str | None, claimed: Trust, trust: Trust
) -> None:
    assert classify(MemoryDraft("x", role=role, trust=claimed)) is trust
