from typing import Any

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


@given(st.lists(TERMS, min_size=1, max_size=8), st.data())
def test_changed_statistics_equal_those_made_anew(texts: list[list[str]], data: Any) -> None:
    rows = sorted(data.draw(st.sets(st.sampled_from(range(len(texts))))))
    for _ in range(data.draw(st.integers(0, 3))):
        rows.insert(data.draw(st.integers(0, len(rows))), -1)
    added = {place: data.draw(TERMS) for place, row in enumerate(rows) if row < 0}
    changed = Postings.of(texts).changed(np.asarray(rows, dtype=np.int64), added)
    anew = Postings.of([added[place] if row < 0 else texts[row] for place, row in enumerate(rows)])
    assert held(changed) == held(anew)
    assert list(changed.vocabulary.values()) == list(range(len(changed.vocabulary)))
    assert changed.lengths.tolist() == anew.lengths.tolist()
    assert changed.nbytes <= anew.nbytes + 1000
