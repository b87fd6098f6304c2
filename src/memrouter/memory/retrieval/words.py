"""Text to the words that are searched: tokens, stop words, stems."""

import asyncio
import re
import threading
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Self

import regex
import Stemmer

from memrouter.config.retrieval import AUTO, LANGUAGES
from memrouter.memory.retrieval.irregular import IRREGULAR
from memrouter.memory.retrieval.languages import ENGLISH, StopWords, stop_words

MAX_TOKEN_CHARS = 64
"""Longer tokens are cut; both sides of a search cut alike."""
MAX_KNOWN_RUNS = 16_384
"""Most words of a language whose stems are kept, in some 200 bytes each."""

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
    return list(chain.from_iterable(map(_tokens, _runs(text))))


def _runs(text: str) -> list[str]:
    folded = _folded(text)
    runs: list[str] = (_ASCII_RUN if folded.isascii() else _RUN).findall(folded)
    return runs


def _tokens(run: str) -> list[str]:
    if run.isascii() and run.isalnum():
        return [run[:MAX_TOKEN_CHARS]]
    return [token[:MAX_TOKEN_CHARS] for token in _pieces(run)]


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    return unicodedata.normalize("NFKC", folded)


def _pieces(run: str) -> list[str]:
    if _CJK_RUN.match(run):
        return [run[i : i + 2] for i in range(max(1, len(run) - 1))]
    parts: list[str] = _JOINT.split(run)
    return parts if len(parts) == 1 else [run, *parts]


class _KnownRuns(dict[str, tuple[str, ...]]):
    """What is made of a run, kept once it was made; all is forgotten when there are MAX_KNOWN_RUNS.

    Any thread may ask it: each step on the dictionary is whole, and two threads make the same.
    """

    def __init__(self, make: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, run: str) -> tuple[str, ...]:
        made = self._make(run)
        if len(run) <= MAX_TOKEN_CHARS:
            if len(self) >= MAX_KNOWN_RUNS:
                self.clear()
            self[run] = made
        return made


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
        self._known = _KnownRuns(self._terms_of)
        self._own = threading.local()  # a Snowball stemmer must not be entered by two threads

    @property
    def language(self) -> str:
        """Return the name of the Snowball algorithm."""
        return self._language

    @property
    def stop_words(self) -> frozenset[str]:
        """Return the words that are left out."""
        return self._stop_words

    def suited_to(self, texts: Sequence[str]) -> "Analyzer":
        """Return the analyzer for the language of ``texts``: this one, whatever they are in."""
        return self

    def terms(self, text: str) -> list[str]:
        """Return the index terms of ``text`` in order, repeats included."""
        return list(chain.from_iterable(map(self._known.__getitem__, _runs(text))))

    def search_words(self, text: str, *, limit: int = 64) -> tuple[str, ...]:
        """Return up to ``limit`` distinct words for a store's own word search: each token, and its stem if another."""
        tokens = [token for token in tokenize(text) if token not in self._stop_words]
        both = (word for pair in zip(tokens, self._stems(tokens), strict=True) for word in pair)
        return tuple(dict.fromkeys(both))[:limit]

    def _terms_of(self, run: str) -> tuple[str, ...]:
        return tuple(self._stems([token for token in _tokens(run) if token not in self._stop_words]))

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
        self._tokens = _KnownRuns(lambda run: tuple(_tokens(run)))
        self._all = StopWords({language: analyzer.stop_words for language, analyzer in analyzers.items()})

    @classmethod
    def of(cls, languages: Sequence[str]) -> Self:
        """Return one that knows these languages; reads small files, so call it in a thread."""
        analyzers = {language: Analyzer(language) for language in {ENGLISH, *languages}}
        return cls({language: each for language, each in sorted(analyzers.items()) if each.stop_words})

    def suited_to(self, texts: Sequence[str]) -> Analyzer:
        """Return the analyzer for the language of most stop words in the first words of ``texts``."""
        runs = chain.from_iterable(map(_runs, texts))
        return self._analyzers[self._all.language(chain.from_iterable(map(self._tokens.__getitem__, runs)))]


async def open_analyzer(language: str) -> Analyzer:
    """Return the analyzer for a configured language, or for all that are known where it is ``auto``."""
    if language == AUTO:
        return await asyncio.to_thread(DetectingAnalyzer.of, LANGUAGES)
    return await asyncio.to_thread(Analyzer, language)
