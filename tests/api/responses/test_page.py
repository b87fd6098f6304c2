"""Pages of items."""

import pytest

from memrouter.api.responses.page import page_of
from memrouter.errors import InvalidRequest

ITEMS = [{"id": f"msg_{number}"} for number in range(5)]


def ids(**asked: str) -> list[str]:
    return [item["id"] for item in page_of(ITEMS, asked)["data"]]


def test_the_newest_come_first_unless_asked_otherwise() -> None:
    assert ids() == ["msg_4", "msg_3", "msg_2", "msg_1", "msg_0"]
    assert ids(order="asc", limit="2") == ["msg_0", "msg_1"]


def test_pages_follow_each_other_to_the_end() -> None:
    first = page_of(ITEMS, {"limit": "3"})
    assert (first["first_id"], first["last_id"], first["has_more"]) == ("msg_4", "msg_2", True)
    second = page_of(ITEMS, {"limit": "3", "after": first["last_id"]})
    assert ([item["id"] for item in second["data"]], second["has_more"]) == (["msg_1", "msg_0"], False)


def test_a_page_of_nothing_has_no_ends() -> None:
    assert page_of([], {}) == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("limit", "0"), ("limit", "101"), ("limit", "-1"), ("limit", "x"), ("limit", ""), ("limit", "٣"),
        ("limit", "9" * 5000), ("order", "up"), ("after", "msg_9"), ("after", ""),
    ],
)  # fmt: skip
def test_a_parameter_out_of_range_is_refused_by_name(param: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ids(**{param: value})
    assert refused.value.param == param
