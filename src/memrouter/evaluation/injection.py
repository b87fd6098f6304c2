"""What a retrieval would put into a prompt."""

from collections.abc import Sequence

from memrouter.config.memory import ReflectionSettings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.hits import Hit
from memrouter.memory.injection.blocks import render_block
from memrouter.memory.reflection.item_weight import ItemWeight
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms


class Injection:
    """The filter and the block of the memory plugin, without a request around them.

    Args:
        settings: The filter's.
        tokens: Counts as the plugin does.

    Raises:
        ConfigError: The reflection algorithm does not exist.
    """

    def __init__(self, settings: ReflectionSettings, tokens: TokenCounter) -> None:
        algorithm = ReflectionAlgorithms().find(settings.algorithm)
        self._filter = ReflectionFilter(settings, algorithm=algorithm, weigher=ItemWeight(tokens))
        self._tokens = tokens

    async def tokens(self, hits: Sequence[Hit], *, now: int) -> int:
        """Return how many tokens the injected block has; 0 where nothing is injected. About 0.5 ms."""
        kept = (await self._filter.select(hits, now=now)).kept
        return self._tokens.count(render_block(kept, now=now)) if kept else 0
