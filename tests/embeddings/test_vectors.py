import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memrouter.embeddings.vectors import embeddable, unit_rows, without_surrogates
from memrouter.models.memory import MAX_CONTENT_BYTES

any_text = st.text(st.characters())  # lone surrogates and control characters included


def test_lone_surrogates_are_replaced() -> None:
    assert without_surrogates("a\ud800b\udfff") == "a?b?"


def test_other_text_is_left_alone() -> None:
    assert without_surrogates("naïve 日本 \U0001f600 \x00") == "naïve 日本 \U0001f600 \x00"


@given(any_text)
def test_embeddable_text_has_a_utf8_form_within_the_limit(text: str) -> None:
    assert len(embeddable(text * 500).encode()) <= MAX_CONTENT_BYTES


def test_embeddable_text_is_cut_at_a_character_border() -> None:
    assert embeddable("日" * MAX_CONTENT_BYTES) == "日" * (MAX_CONTENT_BYTES // 3)


@given(arrays(np.float32, (3, 5), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_every_finite_row_becomes_a_unit_row(rows: np.ndarray) -> None:
    lengths = np.linalg.norm(unit_rows(rows).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-6)


def test_a_row_of_zeros_becomes_the_first_basis_vector() -> None:
    assert unit_rows(np.zeros((1, 4), dtype=np.float32)).tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_no_rows_stay_no_rows() -> None:
    assert unit_rows(np.zeros((0, 4), dtype=np.float32)).shape == (0, 4)
