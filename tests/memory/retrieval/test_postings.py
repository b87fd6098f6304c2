import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.postings import Postings

TERMS = st.lists(st.sampled_from([f"t{number}" for number in range(8)]), max_size=6)
TEXTS = st.lists(TERMS, max_size=8)


def held(postings: Postings) -> dict[str, dict[int, int]]:
    """Return how often each text holds each term."""
    parts = np.split(np.stack((postings.texts, postings.counts)), postings.starts[1:-1], axis=1)
    return {term: dict(part.T.tolist()) for term, part in zip(postings.vocabulary, parts, strict=False)}


@given(TEXTS)
def test_every_term_knows_the_texts_that_hold_it(texts: list[list[str]]) -> None:
    terms = {term for text in texts for term in text}
    assert held(Postings.of(texts)) == {
        term: {place: text.count(term) for place, text in enumerate(texts) if term in text} for term in terms
    }


@given(TEXTS)
def test_terms_are_numbered_in_order_and_lengths_count_repeats(texts: list[list[str]]) -> None:
    postings = Postings.of(texts)
    assert list(postings.vocabulary.values()) == list(range(len(postings.vocabulary)))
    assert postings.starts.size == len(postings.vocabulary) + 1
    assert postings.lengths.tolist() == list(map(len, texts))
