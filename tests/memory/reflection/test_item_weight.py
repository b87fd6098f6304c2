"""How many tokens a memory takes in a prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.injection.blocks import render_item
from memrouter.memory.reflection.item_weight import ItemWeight

from ..hits import record


@pytest.fixture(scope="module")
def tokens() -> TokenCounter:
    return TokenCounter.load()


def test_a_memory_weighs_what_its_lines_in_the_block_weigh(tokens: TokenCounter) -> None:
    memory = record("a", content="My cat is called Luna.\nShe is <5> years old.")
    assert ItemWeight(tokens).count(memory) == tokens.count(render_item(memory)) + 1


def test_escapes_weigh_too(tokens: TokenCounter) -> None:
    weight = ItemWeight(tokens)
    plain, escaped = record("a", content="." * 200), record("a", content="<" * 200)
    assert weight.count(escaped) > 2 * weight.count(plain)


@given(content=st.text(max_size=300), times=st.sampled_from([1, 1, 1, 200]))
def test_no_memory_weighs_more_than_its_bound(tokens: TokenCounter, content: str, times: int) -> None:
    weight = ItemWeight(tokens)
    memory = record("a", content=content * times)
    assert weight.count(memory) <= weight.at_most(memory)


@pytest.mark.parametrize("text", ["\U0001f9ea", "\u0378", "\t", "<", "\ud800", "a ", "\n"])
def test_the_bound_holds_for_texts_that_tokenizers_spell_byte_by_byte(tokens: TokenCounter, text: str) -> None:
    weight = ItemWeight(tokens)
    memory = record("a", content=text * 2000)
    assert weight.count(memory) <= weight.at_most(memory)
