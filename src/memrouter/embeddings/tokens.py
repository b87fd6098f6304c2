"""The tokenizer that the wordllama package ships, and counting with it."""

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer

from memrouter.embeddings.offload import run_bounded
from memrouter.embeddings.vectors import without_surrogates
from memrouter.errors import ConfigError, ConfigProblem

PIECE_CHARS = 32_768
"""Longest text given to the tokenizer at once; it needs about 80 bytes of memory a character."""
WORDWISE_CHARS = 2_000
"""Longest text that is looked up word by word; longer ones are for threads, where the tokenizer leaves others alone."""
MAX_KNOWN = 8_192
"""Most words whose tokens are kept, in some 250 bytes each."""
MAX_WORD_CHARS = 32
"""Longest of these words."""
_CUT_WINDOW = 1_024
_BLANK = "\u2581"  # as the tokenizer writes it


def bundled_file(folder: str, name: str) -> Path:
    """Return a file of the installed wordllama package without importing it: its import configures the root logger.

    Raises:
        ConfigError: The package or the file is not installed.
    """
    spec = importlib.util.find_spec("wordllama")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(location, folder, name)
        if path.is_file():
            return path
    raise ConfigError(
        [
            ConfigProblem(
                file="<installation>",
                line=None,
                key=f"wordllama/{folder}/{name}",
                found="no such file",
                allowed="the wordllama package as published",
                hint="Run: pip install --force-reinstall --no-deps 'wordllama>=0.3.9'",
            )
        ]
    )


def load_tokenizer() -> Tokenizer:
    """Return the bundled Llama-2 tokenizer, without padding and truncation.

    It reads about 2 MB and takes about 20 MB of memory: load it once, in a thread, and share it. Any number of
    threads may encode with it at once as long as nobody changes its settings.

    Raises:
        ConfigError: The wordllama package is incomplete.
    """
    tokenizer = Tokenizer.from_file(str(bundled_file("tokenizers", "l2_supercat_tokenizer_config.json")))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def token_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the tokens of ``text`` alone: no begin-of-sequence or other special token is added."""
    ids: list[int] = tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids


class WordIds:
    """Finds the tokens of texts word by word: a text of known words needs no tokenizer, which takes ten times as long.

    The words of a text are what stands between its single blanks: no token spans one. Any thread may ask: each step
    on the dictionary is whole, and two threads note the same.

    Args:
        tokenizer: Shared with others; its settings are not changed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}

    def of(self, text: str) -> list[int]:
        """Return what ``token_ids`` returns."""
        if len(text) > WORDWISE_CHARS:
            return token_ids(self._tokenizer, text)
        words = text.split(" ")
        try:
            return list(chain.from_iterable(map(self._known.__getitem__, words)))
        except KeyError:
            ids = token_ids(self._tokenizer, text)
        # Where blanks stand together they may be one token; where a special token may stand, those beside it change.
        if all(words) and "<" not in text and _BLANK not in text:
            self._learn(words, ids)
        return ids

    def _learn(self, words: Sequence[str], ids: Sequence[int]) -> None:
        if len(self._known) + len(words) > MAX_KNOWN:
            self._known.clear()
        tokens = map(self._tokenizer.id_to_token, ids)
        starts = [place for place, token in enumerate(tokens) if token is not None and token.startswith(_BLANK)]
        for word, start, end in zip(words, starts, [*starts[1:], None], strict=True):
            if len(word) <= MAX_WORD_CHARS:
                self._known[word] = tuple(ids[start:end])


def pieces(text: str, size: int = PIECE_CHARS) -> Iterator[str]:
    """Yield parts of at most ``size`` characters whose token counts add up to that of ``text``.

    Cuts are made at, and swallow, a single blank between two words: no token spans one, and the tokenizer itself puts
    a blank before each part. Where there is none near the end of a part, the cut is hard and the sum may be off by
    one or two.
    """
    start = 0
    while len(text) - start > size:
        end = start + size
        blank = next((at for at in range(end - 1, max(start, end - _CUT_WINDOW), -1) if _between_words(text, at)), None)
        yield text[start : end if blank is None else blank]
        start = end if blank is None else blank + 1
    yield text[start:]


def _between_words(text: str, at: int) -> bool:
    # "<" and ">" may belong to a special token such as "<s>", which the tokenizer treats apart.
    return text[at] == " " and text[at - 1] not in " <>" and text[at + 1] not in " <>"


class TokenCounter:
    """Counts tokens as Llama 2 does; for other models the count is an estimate.

    Special tokens that a chat template adds are not counted.

    Args:
        tokenizer: Shared with others; its settings are not changed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids = WordIds(tokenizer)

    @classmethod
    def load(cls) -> Self:
        """Return a counter with a tokenizer of its own; reads a file, so call it in a thread.

        Raises:
            ConfigError: The wordllama package is incomplete.
        """
        return cls(load_tokenizer())

    @property
    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer, for an embedder to share."""
        return self._tokenizer

    def count(self, text: str) -> int:
        """Return the number of tokens, at once; up to 0.4 ms for 1,000 characters, so long texts go to count_many."""
        clean = without_surrogates(text)
        return sum(len(self._ids.of(piece)) for piece in pieces(clean) if piece)

    async def count_many(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text; long texts are counted in a thread."""
        return await run_bounded(self._count_all, texts)

    def _count_all(self, texts: Sequence[str]) -> list[int]:
        return [self.count(text) for text in texts]
