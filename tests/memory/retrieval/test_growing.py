from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.growing import SPARE_ROWS, GrowingMatrix
from memrouter.models.memory import Matrix


def rows_of(number: int, value: int) -> Matrix:
    return np.full((number, 3), value, np.float32)


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=12))
def test_every_version_keeps_its_rows_whatever_grows_from_it(size: int, steps: list[tuple[int, int]]) -> None:
    versions = [GrowingMatrix(rows_of(size, -1))]
    expected = [versions[0].rows.copy()]
    for value, (choice, number) in enumerate(steps):
        source = choice % len(versions)
        versions.append(versions[source].preceded(rows_of(number, value)))
        expected.append(np.concatenate((rows_of(number, value), expected[source])))
    for version, rows in zip(versions, expected, strict=True):
        assert np.array_equal(version.rows, rows)
        assert version.nbytes >= version.rows.nbytes


def test_a_matrix_that_has_grown_grows_in_place_while_there_is_room() -> None:
    grown = GrowingMatrix(rows_of(4, 0)).preceded(rows_of(1, 1))
    for _ in range(SPARE_ROWS):
        later = grown.preceded(rows_of(1, 2))
        assert np.shares_memory(later.rows, grown.rows)
        grown = later
    assert not np.shares_memory(grown.preceded(rows_of(1, 3)).rows, grown.rows)


def test_the_room_goes_to_one_of_the_threads_that_want_it() -> None:
    grown = GrowingMatrix(rows_of(4, 0)).preceded(rows_of(1, 1))
    with ThreadPoolExecutor(8) as threads:
        others = list(threads.map(lambda value: grown.preceded(rows_of(1, value)), range(200)))
    assert [other.rows[0, 0] for other in others] == list(range(200))
    assert sum(np.shares_memory(other.rows, grown.rows) for other in others) == 1
