"""A question and a scope to the memories that bear on it."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from memrouter.clock import Clock
from memrouter.embeddings.base import Embedder, InstantEmbedder
from memrouter.memory.hits import Recall
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.corpus import Corpus, build_corpus
from memrouter.memory.retrieval.question import Question, parse_question
from memrouter.memory.retrieval.ranking import rank
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import CorpusKey, WorkingSet
from memrouter.models.memory import MemoryRecord, Scope, Vector
from memrouter.observability.tracing import NOT_TRACED, Tracer
from memrouter.stores.base import InstantStore, MemoryStore
from memrouter.stores.query import Filter, StoreQuery

MAX_QUERY_CHARS = 4000
"""Longer queries are searched by their first and last half of this many characters."""
MIN_CANDIDATES = 200
"""Fewest candidates asked of each side for an owner over the scan limit; more where four times the limit is more."""
INLINE_RECORDS = 2000
"""Corpora up to this size are ranked in the event loop for a question of few words: about 2 ms."""
INLINE_TERMS = 16
"""Most distinct words of such a question; more for a smaller corpus, in proportion."""


class Retriever:
    """Finds memories in one round trip to the store, while the query is being embedded.

    An owner of up to ``scan_limit`` memories is ranked whole, from the working set where the owner's generation still
    stands: ranked while the store is being asked whether it does, and again where it does not. A larger one is ranked
    over the store's candidates: the nearest vectors and the newest memories that hold a word of the query, with word
    statistics over these candidates. Finding out that an owner is too large costs one more round trip, once.

    Args:
        store: Where the memories are.
        embedder: Makes the query's vector; the model that made the memories' vectors.
        working_set: Keeps corpora between requests.
        analyzer: Turns texts into index terms.
        clock: Tells which memories have expired.
        scan_limit: Largest owner to rank whole; 0 ranks none whole.
        tracer: Makes the spans.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        embedder: Embedder,
        working_set: WorkingSet,
        analyzer: Analyzer,
        clock: Clock,
        scan_limit: int,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        self._store = store
        self._instant_store = store if isinstance(store, InstantStore) else None
        self._embedder = embedder
        self._instant_embedder = embedder if isinstance(embedder, InstantEmbedder) else None
        self._working_set = working_set
        self._analyzer = analyzer
        self._clock = clock
        self._scan_limit = scan_limit
        self._tracer = tracer

    async def recall(
        self,
        scope: Scope,
        text: str,
        policy: RecallPolicy,
        *,
        known: Callable[[MemoryRecord], bool] | None = None,
        explain: bool = False,
    ) -> Recall:
        """Return the memories of ``scope`` that bear on ``text``, best first; none for a blank text.

        Args:
            scope: Whose memories.
            text: What is asked.
            policy: How to find them.
            known: Tells which memories the asker has before it already; they take nobody's place.
            explain: Whether to tell of every candidate in ``Recall.trace``.

        Raises:
            StoreUnavailable: The store could not be asked.
            EmbeddingError: The text could not be embedded.
        """
        query = bounded(text)
        if not query.strip():
            return Recall((), 0, None)
        now = self._clock.now_ms()
        key = CorpusKey(scope, policy.types)
        ranked = partial(self._ranked, query, policy, now=now, known=known, explain=explain)
        if self._scan_limit == 0 or self._working_set.is_large(key):
            vector = await self._embed(query)
            return await ranked(await self._nearest(key, query, vector, policy, now), vector)

        async def load(held: Corpus | None) -> Corpus | None:
            return await self._whole(key, held, now)

        flight = self._working_set.depart(key, load)
        await asyncio.sleep(0)  # the question to the store leaves; the rest is done while its answer travels
        vector = await self._embed(query)
        held = None if flight.task.done() else flight.held
        ahead = None if held is None else await ranked(held, vector)
        corpus = await self._working_set.arrival(flight)
        if ahead is not None and corpus is held:
            return ahead
        return await ranked(corpus or await self._nearest(key, query, vector, policy, now), vector)

    def at_once(
        self, scope: Scope, text: str, policy: RecallPolicy, *, known: Callable[[MemoryRecord], bool] | None = None
    ) -> Recall | None:
        """Return what ``recall`` returns, where nothing has to be waited for and the event loop is not held up.

        That is so where the kept corpus is found to stand, and the text is embedded, in this moment.

        Returns:
            None where ``recall`` must be awaited.
        """
        key, query = CorpusKey(scope, policy.types), bounded(text)
        held = self._working_set.held(key)
        if held is None or self._instant_store is None or self._instant_embedder is None or not query.strip():
            return None
        now = self._clock.now_ms()
        question = _question(query, held, policy, now)
        if not _is_quick(held, question):
            return None
        rows = self._instant_embedder.at_once([query])
        corpus = (
            None if rows is None else self._working_set.at_hand(key, partial(self._instant_store.still_stands, scope))
        )
        if rows is None or corpus is None:
            return None
        if corpus.analyzer is not held.analyzer:
            question = _question(query, corpus, policy, now)
        with self._tracer.span("memory rank"):
            return rank(corpus, rows[0], question, policy, now=now, known=known)

    def catch_up(self, user_id: str) -> None:
        """Work what this process has changed of a user's memories into what is kept; see ``WorkingSet.catch_up``."""
        self._working_set.catch_up(user_id)

    async def _ranked(
        self,
        query: str,
        policy: RecallPolicy,
        corpus: Corpus,
        vector: Vector,
        *,
        now: int,
        known: Callable[[MemoryRecord], bool] | None,
        explain: bool,
    ) -> Recall:
        question = _question(query, corpus, policy, now)
        work = partial(rank, corpus, vector, question, policy, now=now, known=known, explain=explain)
        with self._tracer.span("memory rank"):
            if _is_quick(corpus, question) and not explain:
                return work()
            return await asyncio.to_thread(work)

    async def _embed(self, query: str) -> Vector:
        vectors = await self._embedder.embed([query])
        vector: Vector = vectors[0]
        return vector

    async def _whole(self, key: CorpusKey, held: Corpus | None, now: int) -> Corpus | None:
        """Return everything that ``key`` stands for; None where it is over the scan limit."""
        answer = await self._store.search(
            key.scope,
            StoreQuery(
                vector=None,
                k=1,
                now=now,
                where=Filter(types=key.types),
                scan_limit=self._scan_limit,
                known_generation=None if held is None else held.generation,
            ),
        )
        if answer.records is None:
            return held
        if not answer.complete:
            return None
        return await build_corpus(
            _owned(answer.records, key.scope),
            analyzer=self._analyzer,
            generation=answer.generation,
            previous=held,
        )

    async def _nearest(self, key: CorpusKey, query: str, vector: Vector, policy: RecallPolicy, now: int) -> Corpus:
        """Return the candidates for one query of an owner over the scan limit."""
        answer = await self._store.search(
            key.scope,
            StoreQuery(
                vector=vector,
                k=max(MIN_CANDIDATES, 4 * policy.limit),
                now=now,
                words=self._analyzer.suited_to([query]).search_words(query) if policy.hybrid else (),
                where=Filter(types=key.types),
                scan_limit=self._scan_limit,
            ),
        )
        if answer.complete:  # the owner has become small enough meanwhile
            self._working_set.forget_large(key)
        return await build_corpus(
            _owned(answer.records or (), key.scope), analyzer=self._analyzer, generation=answer.generation
        )


def bounded(text: str) -> str:
    """Return ``text``, or its first and last MAX_QUERY_CHARS / 2 characters where it is longer."""
    half = MAX_QUERY_CHARS // 2
    return text if len(text) <= MAX_QUERY_CHARS else f"{text[:half]}\n{text[-half:]}"


def _question(query: str, corpus: Corpus, policy: RecallPolicy, now: int) -> Question:
    return parse_question(query, corpus.analyzer, now=now) if policy.hybrid else Question()


def _is_quick(corpus: Corpus, question: Question) -> bool:
    """Return whether ranking may be done in the event loop."""
    size = len(corpus.records)
    return size <= INLINE_RECORDS and size * len(question.terms) <= INLINE_RECORDS * INLINE_TERMS


def _owned(records: Sequence[MemoryRecord], scope: Scope) -> list[MemoryRecord]:
    """Return the records that belong to ``scope``: a store's mistake must not show one user another's memory."""
    return [record for record in records if scope.covers(record)]
