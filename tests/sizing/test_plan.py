"""What to give a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.sizing.plan import largest, memory_limit, server_plan
from memrouter.sizing.valkey import valkey_size
from memrouter.sizing.workload import MAX_MEMORIES, Workload

SIZES = st.integers(1, 1 << 44)


@given(SIZES)
def test_a_pod_has_room_for_what_its_server_may_take(used: int) -> None:
    plan = server_plan(used, replicas=2)
    assert 1.25 * used <= plan.maxmemory < plan.request < plan.limit
    assert plan.limit - plan.request >= 0.25 * used
    assert plan.cluster_bytes == 3 * plan.limit
    assert memory_limit(used) >= 1.25 * used


@given(st.integers(1, 10**9), st.integers(1, 10**12))
def test_the_largest_number_fits_and_one_more_does_not(each: int, limit: int) -> None:
    number = largest(limit, Workload(1, 8), lambda one: one.memories * each)
    assert number == min(MAX_MEMORIES, limit // each)


@pytest.mark.parametrize("users", [0, 1, 50])
def test_the_largest_number_for_a_pod_is_found_by_the_formula(users: int) -> None:
    def cost(one: Workload) -> int:
        return valkey_size(one).total

    number = largest(1 << 30, Workload(100, 256, users=users), cost)
    assert cost(Workload(number, 256, users=users)) <= 1 << 30
    assert number > 100_000


def test_nothing_fits_below_the_size_of_an_empty_server() -> None:
    assert largest(1000, Workload(100, 256), lambda one: valkey_size(one).total) == 0
