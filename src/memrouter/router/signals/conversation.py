"""Conversation signals: how many messages, turns, tools or images a request has."""

from collections.abc import Sequence

from memrouter.config.routing import ConversationRule, ConversationSource, NumericPredicate
from memrouter.models.chat import ChatRequest
from memrouter.models.turn import Turn

_AT_LEAST_ONE = NumericPredicate(gte=1)


class ConversationSignals:
    """Compares counts over the request with every rule's bounds; without bounds, one is enough.

    Args:
        rules: The configured rules.
    """

    def __init__(self, rules: Sequence[ConversationRule]) -> None:
        self._rules = tuple(rules)

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        """Return the names of the rules that match."""
        return frozenset(rule.name for rule in self._rules if _matches(rule, turn.request))


def _matches(rule: ConversationRule, request: ChatRequest) -> bool:
    bounds = rule.predicate if rule.feature.type == "count" else None
    if bounds is None or bounds == NumericPredicate():
        bounds = _AT_LEAST_ONE
    return _within(_count(rule.feature.source, request), bounds)


def _within(value: int, bounds: NumericPredicate) -> bool:
    return (
        (bounds.gt is None or value > bounds.gt)
        and (bounds.gte is None or value >= bounds.gte)
        and (bounds.lt is None or value < bounds.lt)
        and (bounds.lte is None or value <= bounds.lte)
    )


def _count(source: ConversationSource, request: ChatRequest) -> int:
    messages = request.messages
    match source.type:
        case "turn":
            return sum(message.role == "user" for message in messages)
        case "tool_definition":
            return request.tool_count
        case "active_tool_loop":
            return int(messages[-1].role == "tool")
        case "image_content":
            return sum(message.images for message in messages)
        case "message":
            return sum(_has_role(message.role, source.role) for message in messages)


def _has_role(role: str, wanted: str | None) -> bool:
    if wanted == "non_user":
        return role != "user"
    return wanted is None or role == wanted
