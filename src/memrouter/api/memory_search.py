"""A search with its explanation, for the HTTP API and the command line."""

import asyncio
from dataclasses import replace

from memrouter.api.memory_forms import Search
from memrouter.api.memory_views import CandidateView, HitView, NearMissView, SearchResult
from memrouter.clock import Clock
from memrouter.config.memory import MemoryPluginSettings, MemorySettings
from memrouter.errors import InvalidRequest
from memrouter.memory.hits import Recall
from memrouter.memory.injection.blocks import render_block
from memrouter.memory.policy import RecallPolicy, resolve_policy
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.retrieval.explain import MAX_CANDIDATES, Trail, explain, explain_all, near_miss
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope


class MemorySearch:
    """Searches as for a chat request on a route without settings of its own; counts no access.

    Args:
        settings: Defaults of a search and limits.
        default_threshold: The embedder's own threshold.
        reflection: The filter that an explanation tells of.
        analyzer: Names the terms that question and memory share.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        settings: MemorySettings,
        default_threshold: float,
        reflection: ReflectionFilter,
        analyzer: Analyzer,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._default_threshold = default_threshold
        self._reflection = reflection
        self._clock = clock
        self._analyzer = analyzer

    @property
    def most(self) -> int:
        """Return the largest limit of a search."""
        return self._settings.limits.list_page

    async def run(self, service: MemoryService, scope: Scope, form: Search) -> SearchResult:
        """Return what a search finds.

        Raises:
            InvalidRequest: ``limit`` is over the server's.
            StoreUnavailable: The store could not be asked.
            EmbeddingError: The query could not be embedded.
        """
        policy = self._policy(form)
        recall = await service.recall(scope, form.query, policy, explain=form.explain)
        result = SearchResult(
            memories=[HitView.found(hit, None) for hit in recall.hits],
            best_miss=recall.best_miss,
            considered=recall.considered,
            threshold=policy.threshold,
        )
        return await self._explained(result, form, policy, recall) if form.explain else result

    def _policy(self, form: Search) -> RecallPolicy:
        if form.limit is not None and form.limit > self.most:
            raise InvalidRequest(f"limit: at most {self.most} are allowed on this server", param="limit")
        own = MemoryPluginSettings(
            retrieval_limit=form.limit,
            similarity_threshold=form.threshold,
            hybrid_search=form.hybrid_search,
            hybrid_mode=form.hybrid_mode,
            adaptive_threshold=form.adaptive_threshold,
        )
        recall = resolve_policy(self._settings, own, default_threshold=self._default_threshold).recall
        return replace(recall, types=frozenset(form.types)) if form.types else recall

    async def _explained(
        self, result: SearchResult, form: Search, policy: RecallPolicy, recall: Recall
    ) -> SearchResult:
        now = self._clock.now_ms()
        selection = await self._reflection.select(recall.hits, now=now)
        half_life = self._reflection.settings.recency_decay_days

        def trail() -> tuple[list[HitView], Trail, str]:
            analyzer = self._analyzer.suited_to([traced.record.content for traced in recall.trace[:MAX_CANDIDATES]])
            hits = [
                HitView.found(hit, explain(hit, form.query, threshold=policy.threshold, analyzer=analyzer))
                for hit in recall.hits
            ]
            every = explain_all(recall, selection, form.query, now=now, half_life_days=half_life, analyzer=analyzer)
            return hits, every, render_block(selection.kept, now=now) if selection.kept else ""

        hits, every, block = await asyncio.to_thread(trail)
        miss = near_miss(recall.trace, policy.threshold)
        return result.model_copy(
            update={
                "memories": hits,
                "near_miss": None if miss is None else NearMissView.of(miss),
                "candidates": [CandidateView.of(each, threshold=policy.threshold) for each in every.candidates],
                "omitted": every.omitted,
                "block": block,
            }
        )
