"""Context signals: bands of the prompt's length in tokens."""

from collections.abc import Sequence

from memrouter.config.routing import ContextRule
from memrouter.models.turn import Turn
from memrouter.router.signals.base import TokenCounting


class ContextSignals:
    """Compares the tokens in the texts of all messages with every rule's band, both ends included.

    Args:
        rules: The configured rules.
        tokens: Counts the tokens.
    """

    def __init__(self, rules: Sequence[ContextRule], *, tokens: TokenCounting) -> None:
        self._rules = tuple(rules)
        self._tokens = tokens

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        """Return the names of the rules that match."""
        count = sum(await self._tokens.count_many([message.text for message in turn.request.messages]))
        return frozenset(
            rule.name
            for rule in self._rules
            if rule.min_tokens <= count and (rule.max_tokens is None or count <= rule.max_tokens)
        )
