import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from memrouter.embeddings.tokens import (
    MAX_KNOWN,
    MAX_WORD_CHARS,
    WORDWISE_CHARS,
    TokenCounter,
    WordIds,
    bundled_file,
    load_tokenizer,
    pieces,
    token_ids,
)
from memrouter.errors import ConfigError

words = st.lists(
    st.sampled_from(["a", "bc", " ", "  ", "<s>", "</s>", "<", "日", "\n", ", the word "]), max_size=60
).map("".join)


some_text = st.one_of(
    words,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(["a", "bc", "<s>", "", "\u2581", "x\u2581", "日本", "\n", "don't", "\u00a0", "room"])).map(
        " ".join
    ),
)


@pytest.fixture(scope="module")
def counter(tokenizer: Tokenizer) -> TokenCounter:
    return TokenCounter(tokenizer)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("Hello", 1), ("Hello world", 2), ("  Hello", 2), ("\x00", 2), ("日本", 3)]
)
def test_known_texts_have_their_llama_2_counts(counter: TokenCounter, text: str, tokens: int) -> None:
    assert counter.count(text) == tokens


def test_a_loaded_counter_shares_its_tokenizer() -> None:
    counter = TokenCounter.load()
    assert len(token_ids(counter.tokenizer, "Hello world")) == counter.count("Hello world")


@given(st.text(st.characters()))
def test_any_text_can_be_counted(counter: TokenCounter, text: str) -> None:
    assert 0 <= counter.count(text) <= 4 * len(text) + 1


@given(words)
def test_a_text_in_pieces_has_as_many_tokens_as_in_one(tokenizer: Tokenizer, text: str) -> None:
    text = f"{text} and so on {text}"
    parts = list(pieces(text, 40))
    counted = sum(len(token_ids(tokenizer, part)) for part in parts if part)
    hard_cuts = sum(map(len, parts)) + len(parts) - 1 - len(text)
    assert abs(counted - len(token_ids(tokenizer, text))) <= 2 * hard_cuts


@given(st.text(st.sampled_from(" a<日"), max_size=300))
def test_pieces_leave_out_nothing_but_a_blank_between_them(text: str) -> None:
    rest = text
    for part in pieces(text, 20):
        assert len(part) <= 20
        rest = rest if rest.startswith(part) else rest.removeprefix(" ")
        assert rest.startswith(part)
        rest = rest[len(part) :]
    assert rest == ""


@given(st.lists(some_text, min_size=1, max_size=8))
def test_a_text_has_the_same_tokens_whatever_words_are_known(tokenizer: Tokenizer, texts: list[str]) -> None:
    ids = WordIds(tokenizer)
    for text in (*texts, *texts[::-1]):
        assert ids.of(text) == token_ids(tokenizer, text)


def test_no_vocabulary_of_any_size_is_kept_and_no_long_word(tokenizer: Tokenizer) -> None:
    ids = WordIds(tokenizer)
    ids.of(f"a {'b' * MAX_WORD_CHARS} {'c' * (MAX_WORD_CHARS + 1)}")
    assert set(ids._known) == {"a", "b" * MAX_WORD_CHARS}
    for start in range(0, 2 * MAX_KNOWN, 256):
        ids.of(" ".join(f"w{number}" for number in range(start, start + 256)))
        assert 256 <= len(ids._known) <= MAX_KNOWN


def test_nothing_is_learned_from_a_long_text(tokenizer: Tokenizer) -> None:
    ids = WordIds(tokenizer)
    text = "word " * (WORDWISE_CHARS // 5) + "end"
    assert ids.of(text) == token_ids(tokenizer, text)
    assert not ids._known


def test_a_text_of_known_words_needs_no_tokenizer(tokenizer: Tokenizer) -> None:
    ids = WordIds(tokenizer)
    expected = ids.of("where is my red bicycle")
    ids._tokenizer = None
    assert ids.of("where is my red bicycle") == expected


def test_a_short_text_is_one_piece() -> None:
    assert list(pieces("one two")) == ["one two"]


def test_a_text_without_blanks_is_cut_hard() -> None:
    assert list(pieces("x" * 25, 10)) == ["x" * 10, "x" * 10, "x" * 5]


async def test_a_long_text_has_as_many_tokens_as_in_one_piece(tokenizer: Tokenizer) -> None:
    text = "the quick brown fox " * 5_000
    assert await TokenCounter(tokenizer).count_many([text, "Hello"]) == [len(token_ids(tokenizer, text)), 1]


def test_many_threads_count_alike(counter: TokenCounter) -> None:
    texts = [f"word{number} \U0001f600" * (number % 40) for number in range(300)]
    expected = [counter.count(text) for text in texts]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: [counter.count(text) for text in texts], range(8)))
    assert results == [expected] * 8


def test_loading_neither_imports_wordllama_nor_configures_logging() -> None:
    code = (
        "import logging, sys\n"
        "from memrouter.embeddings.wordllama import WordLlamaEmbedder\n"
        "WordLlamaEmbedder.load()\n"
        "assert 'wordllama' not in sys.modules\n"
        "assert 'requests' not in sys.modules\n"
        "assert not logging.getLogger().handlers\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_file_is_a_configuration_error_with_the_command_that_fixes_it() -> None:
    with pytest.raises(ConfigError, match="pip install --force-reinstall"):
        bundled_file("weights", "absent.safetensors")


def test_padding_and_truncation_are_off() -> None:
    tokenizer = load_tokenizer()
    assert tokenizer.padding is None
    assert tokenizer.truncation is None
