import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memrouter.memory.retrieval.vector_space import NEIGHBOUR_SHARE, PRIOR_VECTORS, VectorSpace
from memrouter.models.memory import Matrix, Vector, unit


def random_rows(seed: int, count: int) -> Matrix:
    rows = np.random.default_rng(seed).normal(size=(count, 16)) + 0.5
    return np.stack([unit(row) for row in rows])


def places(neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of rows."""
    return np.where(neighbours < 0, -1, neighbours - len(neighbours) - 1)


def reference(
    matrix: Matrix, neighbours: NDArray[np.int64], vector: Vector, visible: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The definition, vector by vector."""
    wide = matrix.astype(np.float64)
    mean = wide.sum(axis=0) / (len(wide) + PRIOR_VECTORS)

    def centred(row: NDArray[np.float64]) -> NDArray[np.float64]:
        direction: NDArray[np.float64] = (row - mean) / np.linalg.norm(row - mean)
        return direction

    cosines = []
    for row, beside in enumerate(neighbours):
        blended = centred(wide[row])
        for other in beside:
            if other >= 0 and visible[other]:
                blended = blended + NEIGHBOUR_SHARE * centred(wide[other])
        cosines.append(float(blended @ centred(vector.astype(np.float64)) / np.linalg.norm(blended)))
    return np.array(cosines)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.data())
def test_cosines_equal_a_naive_reference(seed: int, count: int, data: st.DataObject) -> None:
    rows = random_rows(seed, count + 1)
    matrix, vector = rows[:count], rows[count]
    order = np.arange(count)
    neighbours = np.stack((order - 1, np.where(order + 1 < count, order + 1, -1)), axis=1)
    visible = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    cosines = VectorSpace(matrix, places(neighbours)).cosines(vector, matrix @ vector, visible)
    np.testing.assert_allclose(cosines, reference(matrix, neighbours, vector, visible), atol=2e-5)


def test_vectors_that_are_all_alike_and_opposite_neighbours_give_finite_cosines() -> None:
    one = unit(np.ones(4))
    for matrix in (np.stack([one] * 1000), np.stack([one, -one, one])):
        count = len(matrix)
        order = np.arange(count)
        neighbours = np.stack((order - 1, np.where(order + 1 < count, order + 1, -1)), axis=1)
        cosines = VectorSpace(matrix, places(neighbours)).cosines(one, matrix @ one, np.ones(count, dtype=np.bool_))
        assert np.isfinite(cosines).all()
        assert (np.abs(cosines) <= 1).all()


def test_one_memory_keeps_its_meaning() -> None:
    (row,) = random_rows(1, 1)
    space = VectorSpace(row[None, :], np.array([[-1, -1]]))
    assert space.cosines(row, np.array([1.0]), np.array([True]))[0] > 0.999


def test_an_empty_space_can_be_built() -> None:
    assert VectorSpace(np.zeros((0, 0), np.float32), np.zeros((0, 2), np.int64)).nbytes >= 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.data())
def test_a_space_that_memories_came_before_equals_one_made_anew(seed: int, count: int, data: st.DataObject) -> None:
    rows = random_rows(seed, count + 1)
    matrix, vector, older = rows[:count], rows[count], data.draw(st.integers(1, count - 1))
    beside = st.lists(st.integers(-1, count - 1), min_size=2, max_size=2)
    neighbours = np.array(data.draw(st.lists(beside, min_size=count, max_size=count)))
    before = np.where(neighbours[count - older :] < count - older, -1, neighbours[count - older :] - count + older)
    space = VectorSpace(matrix[count - older :], places(before))
    later = VectorSpace(matrix, places(neighbours), previous=space)
    anew = VectorSpace(matrix, places(neighbours))
    np.testing.assert_allclose(later.dots, anew.dots, atol=1e-7)
    raw = (matrix @ vector).astype(np.float64)
    np.testing.assert_allclose(later.cosines(vector, raw, None), anew.cosines(vector, raw, None), atol=1e-6)
