import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.lexical import K1, MAX_SPELLINGS, MAX_TERMS, PRIOR_TEXTS, B, LexicalIndex
from memrouter.memory.retrieval.postings import Postings


def index_of(texts: Sequence[Sequence[str]]) -> LexicalIndex:
    return LexicalIndex(Postings.of(texts))


TERMS = st.sampled_from([f"t{i}" for i in range(12)])
TEXTS = st.lists(st.lists(TERMS, max_size=20), max_size=15)


def reference(texts: Sequence[Sequence[str]], query: Sequence[str]) -> list[float]:
    """The formula of LexicalIndex, term by term and text by text."""
    average = sum(map(len, texts)) / max(1, len(texts))

    def idf(term: str) -> float:
        frequency = sum(term in text for text in texts)
        return math.log(1 + (len(texts) + PRIOR_TEXTS - frequency + 0.5) / (frequency + 0.5))

    def bm25(term: str, text: Sequence[str]) -> float:
        count = text.count(term)
        return idf(term) * count * (K1 + 1) / (count + K1 * (1 - B + B * len(text) / average)) if count else 0.0

    whole = sum(idf(term) for term in set(query))
    return [sum(min(idf(term), bm25(term, text)) for term in set(query)) / whole if whole else 0.0 for text in texts]


@given(TEXTS, st.lists(st.one_of(TERMS, st.just("nowhere")), max_size=8))
def test_scores_equal_a_naive_reference(texts: list[list[str]], query: list[str]) -> None:
    scores = index_of(texts).scores(query)
    np.testing.assert_allclose(scores, reference(texts, query), rtol=1e-5, atol=1e-6)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_text_of_average_length_that_holds_every_term_scores_one() -> None:
    scores = index_of([["cat", "luna"], ["dog", "rex"]]).scores(["cat", "luna"])
    assert scores[0] == pytest.approx(1.0, abs=1e-6)
    assert scores[1] == 0.0


def test_a_repeated_term_does_not_stand_in_for_a_missing_one() -> None:
    both, repeated = index_of([["cat", "luna", "x"], ["cat", "cat", "cat"]]).scores(["cat", "luna"])
    assert both > repeated


def test_a_rare_term_counts_more_than_a_common_one() -> None:
    common, rare = index_of([["the", "a"], ["rare", "b"], ["the", "c"], ["the", "d"]]).scores(["the", "rare"])[:2]
    assert rare > common > 0


def test_a_term_in_every_text_still_counts_a_little() -> None:
    assert (index_of([["cat"], ["cat"]]).scores(["cat", "dog"]) > 0).all()


def test_a_term_found_nowhere_lowers_the_share() -> None:
    index = index_of([["cat", "luna"], ["dog", "rex"]])
    assert index.scores(["cat", "zebra"])[0] < index.scores(["cat"])[0]


def test_size_grows_with_the_texts() -> None:
    small = index_of([["a"]])
    large = index_of([[f"word{i}" for i in range(100)]] * 50)
    assert 0 < small.nbytes < large.nbytes


def test_in_a_corpus_of_one_a_matched_word_still_weighs() -> None:
    scores = index_of([["canari", "figaro", "porto"]]).scores(["buy", "canari"])
    assert scores[0] > 0.35


def test_of_a_very_long_query_the_rarest_words_count() -> None:
    texts = [[f"common{i}" for i in range(200)], [f"common{i}" for i in range(200)], ["rare"]]
    query = [*(f"common{i}" for i in range(200)), "rare", *(f"unknown{i}" for i in range(200))]
    matches = index_of(texts).match(query)
    assert len(matches.terms) == 2 * MAX_TERMS
    assert "rare" in matches.terms
    assert [term for term in query if term in matches.terms] == list(matches.terms)


def test_spelling_is_looked_up_for_a_few_unknown_words_only() -> None:
    letters = [letter * 6 for letter in "abcdefghijklmnopqrst"]
    matches = index_of([letters]).match([f"{word[:3]}z{word[4:]}" for word in letters[:-1]], spelling=0.5)
    assert np.count_nonzero(matches.held.any(axis=1)) == MAX_SPELLINGS


@given(TEXTS, st.lists(st.lists(TEXTS, max_size=9), max_size=4), st.lists(TERMS, max_size=8))
def test_an_index_that_texts_came_before_answers_as_one_made_anew(
    first: list[list[str]], later: list[list[list[list[str]]]], query: list[str]
) -> None:
    texts, index = first, index_of(first)
    for each in later:
        fresh = [text for some in each for text in some]
        older, texts = index, [*fresh, *texts]
        index = index.preceded(texts, len(fresh))
        one, other = index.match(query), index_of(texts).match(query)
        assert one.terms == other.terms
        assert np.array_equal(one.held, other.held)
        assert np.array_equal(one.frequency, other.frequency)
        assert older.match(query).held.shape[1] == len(texts) - len(fresh) + 1


def test_an_index_that_texts_came_before_spells_with_their_words_too() -> None:
    index = index_of([["figaro"], ["porto"], ["lisbon"]])
    assert index.match(["figarro"], spelling=0.5).held[0, 0] > 0
    later = index.preceded([["canary"], ["figaro"], ["porto"], ["lisbon"]], 1)
    assert later.match(["canarry"], spelling=0.5).held[0, 0] > 0
    assert later.match(["figarro"], spelling=0.5).held[0, 1] > 0
    assert not index.match(["canarry"], spelling=0.5).held.any()
    assert later.nbytes > index.nbytes


def test_the_rarest_terms_count_also_among_texts_that_came_before() -> None:
    common = [f"c{number}" for number in range(MAX_TERMS)]
    index = index_of([common, common]).preceded([["rare", "c0"], common, common], 1)
    assert "rare" in index.match([*common, "rare"]).terms
    assert "c0" not in index.match([*common, "rare"]).terms
