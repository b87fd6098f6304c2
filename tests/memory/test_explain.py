"""Why a memory was found."""

import numpy as np
import pytest

from memrouter.memory.explain import explain
from memrouter.memory.hits import Hit
from memrouter.memory.words import Analyzer
from memrouter.models.memory import MemoryRecord


def hit(content: str) -> Hit:
    record = MemoryRecord(
        id="m",
        user_id="alice",
        content=content,
        embedding=np.array([1.0, 0.0], dtype=np.float32),
        embedding_model="m",
        created_at=0,
        updated_at=0,
    )
    return Hit(record=record, vector_score=0.75, lexical_score=0.5, score=0.8)


def test_an_explanation_names_the_shared_terms_in_the_order_of_the_query() -> None:
    why = explain(hit("Luna the cat likes boats"), "boat, cat and boats", threshold=0.7, analyzer=Analyzer())
    assert why.matched_terms == ("boat", "cat")
    assert why.cosine == pytest.approx(0.5)
    assert why.margin == pytest.approx(0.1)


def test_texts_without_a_shared_term_match_by_meaning_alone() -> None:
    assert explain(hit("a feline"), "the cat", threshold=0.7, analyzer=Analyzer()).matched_terms == ()
