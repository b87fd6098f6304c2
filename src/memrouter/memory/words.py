"""Text to the words that are searched: tokens, stop words, stems."""

import re
import threading
import unicodedata

import regex
import Stemmer

MAX_TOKEN_CHARS = 64
"""Longer tokens are cut; both sides of a search cut alike."""

_ENGLISH = """
a about above after again against all also am an and any are as at be because been before being below between both
but by can cannot could did do does doing done down during each few for from further get had has have having he her
here hers herself him himself his how i if in into is it its itself just let me more most my myself no nor not of
off on once only or other our ours ourselves out over own same shall she should so some such than that the their
theirs them themselves then there these they this those through to too under until up us very was we were what when
where which while who whom whose why will with would you your yours yourself yourselves
ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't he'd he'll he's here's how's i'd i'll i'm
i've isn't it'd it'll it's let's she'd she'll she's shouldn't that's there's they'd they'll they're they've wasn't
we'd we'll we're we've weren't what's when's where's who's why's won't wouldn't you'd you'll you're you've
"""
ENGLISH_STOP_WORDS = frozenset(_ENGLISH.split())

_STOP_WORDS = {"english": ENGLISH_STOP_WORDS}
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
    folded = _folded(text)
    tokens = []
    for run in (_ASCII_RUN if folded.isascii() else _RUN).findall(folded):
        if run.isascii() and run.isalnum():
            tokens.append(run)
        else:
            tokens += _pieces(run)
    return [token[:MAX_TOKEN_CHARS] for token in tokens]


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


class Analyzer:
    """Turns texts into index terms: tokens without stop words, as Snowball stems. Any thread may use it.

    Args:
        language: Name of a Snowball algorithm. Stop words are known for ``english``; other languages keep all words.

    Raises:
        ValueError: There is no such algorithm; the message lists those there are.
    """

    def __init__(self, language: str = "english") -> None:
        if language not in Stemmer.algorithms():
            raise ValueError(f"no stemmer for {language!r}; there are: {', '.join(sorted(Stemmer.algorithms()))}")
        self._language = language
        self._stop_words = _STOP_WORDS.get(language, frozenset())
        self._own = threading.local()  # a Snowball stemmer must not be entered by two threads

    def terms(self, text: str) -> list[str]:
        """Return the index terms of ``text`` in order, repeats included."""
        return self._stems([token for token in tokenize(text) if token not in self._stop_words])

    def search_words(self, text: str, *, limit: int = 64) -> tuple[str, ...]:
        """Return up to ``limit`` distinct words for a store's own word search: each token, and its stem if another."""
        tokens = [token for token in tokenize(text) if token not in self._stop_words]
        both = (word for pair in zip(tokens, self._stems(tokens), strict=True) for word in pair)
        return tuple(dict.fromkeys(both))[:limit]

    def _stems(self, tokens: list[str]) -> list[str]:
        stemmer = getattr(self._own, "stemmer", None)
        if stemmer is None:
            stemmer = self._own.stemmer = Stemmer.Stemmer(self._language)
        return [stem or token for stem, token in zip(stemmer.stemWords(tokens), tokens, strict=True)]
