"""A kind of signal is evaluated when it is first asked for, and never twice."""

from memrouter.models.turn import Turn
from memrouter.router.signals.board import SignalBoard
from memrouter.testing.turns import chat_turn


class Counting:
    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)
        self.calls = 0

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        self.calls += 1
        return self.names


async def test_each_kind_is_evaluated_once_and_only_if_asked_for() -> None:
    keyword, context = Counting("a", "b"), Counting("a")
    board = SignalBoard(chat_turn(), {"keyword": keyword, "context": context})
    assert (keyword.calls, context.calls) == (0, 0)
    assert [await board.matched("keyword", name) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    assert (keyword.calls, context.calls) == (1, 0)


async def test_kind_without_rules_never_matches() -> None:
    assert not await SignalBoard(chat_turn(), {}).matched("domain", "law")


async def test_matched_names_are_those_asked_for_in_order() -> None:
    board = SignalBoard(chat_turn(), {"keyword": Counting("a", "unasked"), "context": Counting("long")})
    for kind, name in [("context", "long"), ("keyword", "absent"), ("keyword", "a"), ("context", "long")]:
        await board.matched(kind, name)
    assert board.matched_names() == ("context:long", "keyword:a")
