"""What is to be kept."""

from statistics import mean

import pytest

from memrouter.errors import InvalidRequest
from memrouter.sizing.workload import Workload


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"memories": 0}, "--memories"),
        ({"memories": 10**11}, "--memories"),
        ({"dimension": 0}, "--dimension"),
        ({"dimension": 40_000}, "--dimension"),
        ({"content_bytes": 0}, "--content-bytes"),
        ({"content_bytes": 16_385}, "--content-bytes"),
        ({"users": -1}, "--users"),
        ({"users": 101}, "--users"),
        ({"graph_links": 1}, "--m"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(change: dict[str, int], option: str) -> None:
    with pytest.raises(InvalidRequest, match=option) as refused:
        Workload(**{"memories": 100, "dimension": 8, **change})
    assert refused.value.param == option


def test_the_sizes_of_contents_have_the_mean_that_was_asked_for() -> None:
    assert mean(Workload(1, 8, content_bytes=600).contents) == pytest.approx(600)
    assert min(Workload(1, 8, content_bytes=1).contents) == 1


@pytest.mark.parametrize(("memories", "users", "owners"), [(1, 0, 1), (250, 0, 3), (250, 10, 10)])
def test_users_share_the_memories(memories: int, users: int, owners: int) -> None:
    workload = Workload(memories, 8, users=users)
    assert workload.owners == owners
    assert workload.per_user == memories / owners
