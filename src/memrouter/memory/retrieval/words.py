"""Text to the words that are searched: tokens, stop words, stems."""

import asyncio
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Generic, NamedTuple, Self, TypeVar

import regex
import Stemmer

from memrouter.config.retrieval import AUTO, LANGUAGES
from memrouter.memory.retrieval.irregular import IRREGULAR
from memrouter.memory.retrieval.languages import ENGLISH, SAMPLE_TOKENS, StopWords, stop_words

MAX_TOKEN_CHARS = 64
"""Longer tokens are cut; both sides of a search cut alike."""
MAX_KNOWN = 16_384
"""Most words of a language, as they stand between blanks, whose stems are kept, in some 200 bytes each."""

_TIME_WORDS = (
    "ago today tonight yesterday tomorrow last next week weekend month year day morning soon recently since "
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december"
)
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2018": "'"})
_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\u30fc\u3005\u3006"
_WORD = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_CJK}]]++"
_CJK_RUN = regex.compile(rf"[{_CJK}]")
_RUN = regex.compile(rf"[{_CJK}]++|{_WORD}(?:[-._@:/+&']{_WORD})*+", regex.VERSION1)
_ASCII_RUN = re.compile(r"[a-z0-9]+(?:[-._@:/+&'][a-z0-9]+)*")  # the same for folded ASCII, several times faster
_JOINT = regex.compile(r"[-._@:/+&]")


def tokenize(text: str) -> list[str]:
    """Return the tokens of ``text`` in order, in NFKC and folded case.

    A token is a run of letters, marks and digits; an apostrophe inside stays (``don't``). Runs joined by one of
    ``- . _ @ : / + &`` count whole and in parts: ``EMP-90210`` gives ``emp-90210``, ``emp`` and ``90210``. Chinese,
    Japanese and Korean runs give their pairs of neighbouring characters, a single character itself.
    """
    return _tokens_of(_folded(text))


def _tokens_of(folded: str) -> list[str]:
    runs: list[str] = (_ASCII_RUN if folded.isascii() else _RUN).findall(folded)
    return list(chain.from_iterable(map(_tokens, runs)))


def _tokens(run: str) -> list[str]:
    if run.isascii() and run.isalnum():
        return [run[:MAX_TOKEN_CHARS]]
    return [token[:MAX_TOKEN_CHARS] for token in _pieces(run)]


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    return unicodedata.normalize("NFKC", folded)


def _parts(text: str) -> list[str]:
    return _folded(text).split()


def _pieces(run: str) -> list[str]:
    if _CJK_RUN.match(run):
        return [run[i : i + 2] for i in range(max(1, len(run) - 1))]
    parts: list[str] = _JOINT.split(run)
    return parts if len(parts) == 1 else [run, *parts]


T = TypeVar("T")


class _Known(dict[str, tuple[T, ...]], Generic[T]):
    """What is made of a part of a text, kept once it was made; all is forgotten when there are MAX_KNOWN.

    A part is what stands between two blanks: no token goes beyond it, and splitting a text costs far less than finding
    its tokens. Any thread may ask: each step on the dictionary is whole, and two threads make the same.
    """

    def __init__(self, make: Callable[[str], tuple[T, ...]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, part: str) -> tuple[T, ...]:
        made = self._make(part)
        if len(part) <= MAX_TOKEN_CHARS:
            if len(self) >= MAX_KNOWN:
                self.clear()
            self[part] = made
        return made


class Sample(NamedTuple):
    """What tells the language of texts.

    Attributes:
        heard: Of each of their first SAMPLE_TOKENS tokens the tally of languages that it is a stop word of.
        tally: The sum of these; see ``StopWords``.
    """

    heard: tuple[int, ...] = ()
    tally: int = 0


class Analyzer:
    """Turns texts into index terms: tokens without stop words, as Snowball stems. Any thread may use it.

    Args:
        language: Name of a Snowball algorithm.

    Raises:
        ValueError: There is no such algorithm; the message lists those there are.
    """

    def __init__(self, language: str = ENGLISH) -> None:
        if language not in Stemmer.algorithms():
            raise ValueError(f"no stemmer for {language!r}; there are: {', '.join(sorted(Stemmer.algorithms()))}")
        self._language = language
        self._stop_words = stop_words(language)
        self._known = _Known(self._terms_of)
        self._own = threading.local()  # a Snowball stemmer must not be entered by two threads

    @property
    def language(self) -> str:
        """Return the name of the Snowball algorithm."""
        return self._language

    @property
    def stop_words(self) -> frozenset[str]:
        """Return the words that are left out."""
        return self._stop_words

    @cached_property
    def time_terms(self) -> frozenset[str]:
        """Return the index terms of the English words that name a time."""
        return frozenset(self.terms(_TIME_WORDS))

    def suited_to(self, texts: Sequence[str]) -> "Analyzer":
        """Return the analyzer for the language of ``texts``."""
        return self.sampled(texts)[0]

    def sampled(self, texts: Iterable[str], older: Sample | None = None) -> tuple["Analyzer", Sample]:
        """Return what ``suited_to`` returns, this one whatever they are in, and what it was told by.

        Args:
            texts: As for ``suited_to``, or the first ones of them.
            older: What the others were told by; None for no others.
        """
        return self, older or Sample()

    def terms(self, text: str) -> list[str]:
        """Return the index terms of ``text`` in order, repeats included."""
        return list(chain.from_iterable(map(self._known.__getitem__, _parts(text))))

    def search_words(self, text: str, *, limit: int = 64) -> tuple[str, ...]:
        """Return up to ``limit`` distinct words for a store's own word search: each token, and its stem if another."""
        tokens = [token for token in tokenize(text) if token not in self._stop_words]
        both = (word for pair in zip(tokens, self._stems(tokens), strict=True) for word in pair)
        return tuple(dict.fromkeys(both))[:limit]

    def _terms_of(self, part: str) -> tuple[str, ...]:
        return tuple(self._stems([token for token in _tokens_of(part) if token not in self._stop_words]))

    def _stems(self, tokens: list[str]) -> list[str]:
        stemmer = getattr(self._own, "stemmer", None)
        if stemmer is None:
            stemmer = self._own.stemmer = Stemmer.Stemmer(self._language)
        if self._language == ENGLISH:
            tokens = [IRREGULAR.get(token, token) for token in tokens]
        return [stem or token for stem, token in zip(stemmer.stemWords(tokens), tokens, strict=True)]


class DetectingAnalyzer(Analyzer):
    """An analyzer for English that finds one for other languages by the stop words of the texts.

    Args:
        analyzers: By language, with stop words; English among them.
    """

    def __init__(self, analyzers: Mapping[str, Analyzer]) -> None:
        super().__init__()
        self._analyzers = analyzers
        self._words = words = StopWords({language: analyzer.stop_words for language, analyzer in analyzers.items()})
        self._heard = _Known(lambda part: tuple(map(words.of, _tokens_of(part))))

    @classmethod
    def of(cls, languages: Sequence[str]) -> Self:
        """Return one that knows these languages; reads small files, so call it in a thread."""
        analyzers = {language: Analyzer(language) for language in {ENGLISH, *languages}}
        return cls({language: each for language, each in sorted(analyzers.items()) if each.stop_words})

    def sampled(self, texts: Iterable[str], older: Sample | None = None) -> tuple[Analyzer, Sample]:
        """Return the analyzer for the language of most stop words in the first words of ``texts``; see ``Analyzer``."""
        parts = chain.from_iterable(map(_parts, texts))
        heard = tuple(islice(chain.from_iterable(map(self._heard.__getitem__, parts)), SAMPLE_TOKENS))
        left, tally = SAMPLE_TOKENS - len(heard), sum(heard)
        if older is not None:
            heard += older.heard[:left]
            tally += older.tally - sum(older.heard[left:])
        return self._analyzers[self._words.most(tally)], Sample(heard, tally)


async def open_analyzer(language: str) -> Analyzer:
    """Return the analyzer for a configured language, or for all that are known where it is ``auto``."""
    if language == AUTO:
        return await asyncio.to_thread(DetectingAnalyzer.of, LANGUAGES)
    return await asyncio.to_thread(Analyzer, language)
