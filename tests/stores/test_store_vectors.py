"""Vectors are checked before they are kept and scored alike wherever they stand."""

import numpy as np
import pytest

from memrouter.errors import SchemaMismatch
from memrouter.models.memory import unit
from memrouter.stores.vectors import UNIT_TOLERANCE, to_bytes, to_matrix, vector_scores


def test_bytes_are_little_endian_float32_and_come_back_as_they_were() -> None:
    vectors = unit(np.random.default_rng(1).standard_normal((7, 33)))
    blobs = [to_bytes(vector, dimension=33) for vector in vectors]
    assert blobs[0][:4] == np.float32(vectors[0, 0]).astype("<f4").tobytes()
    assert to_matrix(blobs, dimension=33).tobytes() == vectors.tobytes()


def test_a_vector_that_is_a_slice_of_a_larger_array_is_kept_whole() -> None:
    table = np.asfortranarray(unit(np.random.default_rng(2).standard_normal((5, 8))))
    assert to_bytes(table[2], dimension=8) == table[2].copy().tobytes()


def test_no_rows_are_an_empty_matrix() -> None:
    assert to_matrix([], dimension=5).shape == (0, 5)
    assert vector_scores(to_matrix([], dimension=5), np.ones(5, dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize(("factor", "fits"), [(1 + UNIT_TOLERANCE / 2, True), (1 + UNIT_TOLERANCE * 2, False)])
def test_the_length_may_differ_from_one_within_the_tolerance(factor: float, fits: bool) -> None:
    vector = unit(np.arange(1.0, 9.0)) * np.float32(factor)
    if fits:
        assert len(to_bytes(vector, dimension=8)) == 32
    else:
        with pytest.raises(SchemaMismatch, match="unit length"):
            to_bytes(vector, dimension=8)


def test_a_vector_of_another_dimension_names_both_dimensions() -> None:
    with pytest.raises(SchemaMismatch, match=r"\(3,\).*8 numbers"):
        to_bytes(unit(np.ones(3)), dimension=8)


@pytest.mark.parametrize("dimension", [3, 24, 256, 384, 1536])
def test_equal_rows_get_equal_scores_wherever_they_stand(dimension: int) -> None:
    random = np.random.default_rng(dimension)
    matrix = unit(random.standard_normal((203, dimension)))
    matrix[::3] = matrix[0]
    query = unit(random.standard_normal(dimension))
    scores = vector_scores(matrix, query)
    assert len(set(scores[::3].tolist())) == 1
    for start in range(1, 9):
        assert vector_scores(matrix[start:], query).tolist() == scores[start:].tolist()


def test_scores_stay_within_zero_and_one() -> None:
    vector = unit(np.full(384, 0.3)) * np.float32(1.0005)
    assert vector_scores(np.stack([vector, -vector]), vector).tolist() == [1.0, 0.0]
