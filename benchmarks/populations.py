"""Users of several sizes whose memories lie as far apart as those of real conversations; the same on every run."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks import people
from memrouter.embeddings.tokens import load_tokenizer
from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.models.memory import Matrix, MemoryRecord, Vector

USUAL = 100
"""Memories of most users."""
LARGE = 5_000
"""Memories of the largest users."""
BETWEEN = (500, 1_000, 2_000)
"""Memories of one user each."""
LARGE_SHARE = 25_000
"""One large user for so many memories, at least one."""
WORDS, SHARED = 6, 3
"""Words that a memory has beside its sentence, and how many of them stand in the question too."""
CHUNK = 10_000
_LEAST_WORD = 4


@dataclass(frozen=True, slots=True)
class Question:
    """Something asked.

    Attributes:
        user: Whose memory it is about.
        vector: Of the question.
        words: In it, but for the shortest.
    """

    user: int
    vector: Vector
    words: tuple[str, ...] = ()


@dataclass(slots=True)
class Population:
    """Users with their memories; row ``n`` of the vectors is the memory with the id ``memory_id(n)``.

    Attributes:
        sizes: Memories of each user, whose rows follow each other.
        model: Name of the embedder's model.
        vectors: Of all memories, unit length.
    """

    sizes: Sequence[int]
    model: str
    vectors: Matrix
    _embedder: WordLlamaEmbedder
    _words: Sequence[str]
    _starts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])

    @classmethod
    async def make(cls, memories: int, dimension: int) -> "Population":
        """Return as many memories, with vectors that are padded with zeros to ``dimension`` as the router does it."""
        embedder, words, sizes = WordLlamaEmbedder.load(), vocabulary(), user_sizes(memories)
        vectors = np.zeros((sum(sizes), dimension), dtype=np.float32)
        made = cls(sizes, embedder.info.model, vectors, embedder, words)
        for first, texts in made.texts():
            vectors[first : first + len(texts), : embedder.info.dimension] = await embedder.embed(texts)
        return made

    def texts(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the row of the first memory and the texts, in parts."""
        part: list[str] = []
        for row, (fact, words) in enumerate(self._facts()):
            part.append(f"{fact.text} {' '.join(words)}")
            if len(part) == CHUNK or row + 1 == len(self.vectors):
                yield row + 1 - len(part), part
                part = []

    def records(self) -> Iterator[list[MemoryRecord]]:
        """Yield all memories as records, in parts."""
        for first, texts in self.texts():
            users = np.searchsorted(self._starts, np.arange(first, first + len(texts)), side="right") - 1
            yield [
                MemoryRecord(
                    id=memory_id(row),
                    user_id=people.name(int(user)),
                    content=text,
                    embedding=self.vectors[row],
                    embedding_model=self.model,
                    created_at=people.EPOCH + row,
                    updated_at=people.EPOCH + row,
                )
                for row, user, text in zip(range(first, first + len(texts)), users, texts, strict=True)
            ]

    async def questions(self, size: int, number: int) -> list[Question]:
        """Return questions about memories of users who have ``size`` of them."""
        rng = random.Random(f"questions {size}")
        users = [user for user, has in enumerate(self.sizes) if has == size]
        chosen = [rng.choice(users) for _ in range(number)]
        texts = []
        for user in chosen:
            place = rng.randrange(size)
            fact, words = next(pair for row, pair in enumerate(self._of(user)) if row == place)
            texts.append(f"{fact.question} {' '.join(words[:SHARED])}")
        found = await self._embedder.embed(texts)
        vectors = np.zeros((number, self.vectors.shape[1]), dtype=np.float32)
        vectors[:, : found.shape[1]] = found
        return [
            Question(user, vector, tuple(word for word in text.lower().strip("?").split() if len(word) >= _LEAST_WORD))
            for user, vector, text in zip(chosen, vectors, texts, strict=True)
        ]

    def rows(self, user: int) -> slice:
        """Return the rows of a user."""
        return slice(int(self._starts[user]), int(self._starts[user + 1]))

    def least_score(self, question: Question, k: int, *, everybody: bool) -> float:
        """Return the cosine of the ``k``-th nearest memory, of the user or of everybody."""
        among = self.vectors if everybody else self.vectors[self.rows(question.user)]
        return float(np.partition(among @ question.vector, -k)[-k])

    def _facts(self) -> Iterator[tuple[people.Fact, Sequence[str]]]:
        for user in range(len(self.sizes)):
            yield from self._of(user)

    def _of(self, user: int) -> Iterator[tuple[people.Fact, Sequence[str]]]:
        rng = random.Random(f"words {user}")
        for fact in people.facts(user, self.sizes[user]):
            yield fact, rng.choices(self._words, k=WORDS)


def memory_id(row: int) -> str:
    """Return the id of the memory in a row."""
    return f"b{row:010d}"


def row_of(key: bytes) -> int:
    """Return the row of the memory with this key."""
    return int(key.rpartition(b":b")[2])


def user_sizes(memories: int) -> list[int]:
    """Return how many memories each user has; few memories make few users, all of the usual size."""
    large = [LARGE] * max(1, memories // LARGE_SHARE) + list(BETWEEN)
    if sum(large) + USUAL > memories:
        large = []
    return [*[USUAL] * ((memories - sum(large)) // USUAL), *large]


def vocabulary() -> list[str]:
    """Return the words that the embedder knows as a whole, in a fixed order."""
    known = (word.removeprefix("\u2581") for word in load_tokenizer().get_vocab() if word.startswith("\u2581"))
    return sorted(word for word in known if len(word) >= _LEAST_WORD and word.isascii() and word.islower())
