"""A wrapper that remembers the vectors of recent texts."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from memrouter.embeddings.base import Embedder, EmbedderInfo, InstantEmbedder
from memrouter.embeddings.vectors import embeddable
from memrouter.models.memory import Matrix, Vector

_Load = asyncio.Task[dict[bytes, Vector]]


class CachedEmbedder:
    """Keeps the most recently used vectors, by a digest of their text; the texts themselves are not kept.

    Short texts of an ``InstantEmbedder`` are embedded at once. Equal texts that are asked for at the same time are
    embedded once. A caller that is cancelled does not cancel the work that others may be waiting for. Failures are not
    kept: the next call tries again.

    Args:
        inner: The embedder; closed with this one.
        entries: Most vectors kept; 0 keeps none and passes every call on.

    Attributes:
        hits: Texts that were answered without asking the inner embedder again, since the start.
        misses: Texts that the inner embedder was asked for, since the start.
    """

    def __init__(self, inner: Embedder, *, entries: int) -> None:
        self._inner = inner
        self._instant = inner if isinstance(inner, InstantEmbedder) else None
        self._entries = entries
        self._rows: OrderedDict[bytes, Vector] = OrderedDict()
        self._loads: dict[bytes, _Load] = {}
        self.hits = 0
        self.misses = 0

    @property
    def info(self) -> EmbedderInfo:
        """Return what the inner embedder is."""
        return self._inner.info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit row a text.

        Raises:
            EmbeddingError: The inner embedder failed.
        """
        cut = [embeddable(text) for text in texts]
        if self._entries == 0:
            self.misses += len(cut)
            return await self._inner.embed(cut)
        keys = list(map(_key, cut))
        rows = self._at_once(keys, cut)
        return await self._awaited(keys, cut) if rows is None else rows

    def at_once(self, texts: Sequence[str]) -> Matrix | None:
        """See ``InstantEmbedder``; None, and nothing counted, where a text must be waited for."""
        if self._entries == 0:
            return None
        cut = [embeddable(text) for text in texts]
        return self._at_once(list(map(_key, cut)), cut)

    async def aclose(self) -> None:
        """Close the inner embedder and wait for the work under way to end; calling it again does nothing."""
        await self._inner.aclose()
        await asyncio.gather(*self._loads.values(), return_exceptions=True)

    def _at_once(self, keys: Sequence[bytes], texts: Sequence[str]) -> Matrix | None:
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        matrix: Matrix | None = None
        if missing:
            if self._instant is not None and self._loads.keys().isdisjoint(missing):
                matrix = self._instant.at_once(list(missing.values()))
            if matrix is None:
                return None
            if len(missing) == len(keys):
                self._keep(missing, matrix)
                self._count(len(keys), missing=len(keys))
                return matrix
        found = self._found(keys)
        if matrix is not None:
            found |= self._keep(missing, matrix)
        self._count(len(keys), missing=len(missing))
        return self._answer(keys, found)

    async def _awaited(self, keys: Sequence[bytes], texts: Sequence[str]) -> Matrix:
        wanted = dict(zip(keys, texts, strict=True))
        found = self._found(wanted)
        missing = {key: text for key, text in wanted.items() if key not in found and key not in self._loads}
        if missing:
            self._start(missing)
        loads = {key: self._loads[key] for key in wanted if key not in found}
        self._count(len(keys), missing=len(missing))
        for key, load in loads.items():
            found[key] = (await asyncio.shield(load))[key]
        return self._answer(keys, found)

    def _found(self, keys: Iterable[bytes]) -> dict[bytes, Vector]:
        found = {key: self._rows[key] for key in keys if key in self._rows}
        for key in found:
            self._rows.move_to_end(key)
        return found

    def _count(self, texts: int, *, missing: int) -> None:
        self.misses += missing
        self.hits += texts - missing

    def _answer(self, keys: Sequence[bytes], found: Mapping[bytes, Vector]) -> Matrix:
        return np.array([found[key] for key in keys], dtype=np.float32).reshape(len(keys), self.info.dimension)

    def _start(self, missing: dict[bytes, str]) -> None:
        """Begin to embed; nothing is there yet."""
        load = asyncio.create_task(self._load(missing))

        def finish(done: _Load) -> None:
            for key in missing:
                del self._loads[key]
            if not done.cancelled():
                done.exception()  # seen, even where every caller has gone

        # Before any caller wakes up, so that none of them joins a load that has failed.
        load.add_done_callback(finish)
        self._loads.update(dict.fromkeys(missing, load))

    async def _load(self, missing: dict[bytes, str]) -> dict[bytes, Vector]:
        return self._keep(missing, await self._inner.embed(list(missing.values())))

    def _keep(self, missing: dict[bytes, str], matrix: Matrix) -> dict[bytes, Vector]:
        # Copies: a row must not keep the whole batch in memory.
        loaded = {key: row.copy() for key, row in zip(missing, matrix, strict=True)}
        self._rows.update(loaded)
        while len(self._rows) > self._entries:
            self._rows.popitem(last=False)
        return loaded


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
