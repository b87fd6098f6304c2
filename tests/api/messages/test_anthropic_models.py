"""Pages of models in Anthropic's form."""

import pytest

from memrouter.api.messages.models import models_page
from memrouter.errors import InvalidRequest

NAMES = ("auto", "a", "b", "c", "d")


def ids(**asked: str) -> list[str]:
    return [model.id for model in models_page(NAMES, asked, created=0).data]


def test_a_model_has_anthropics_form() -> None:
    page = models_page(NAMES, {}, created=1_767_225_600)
    assert page.data[0].model_dump() == {
        "type": "model",
        "id": "auto",
        "display_name": "auto",
        "created_at": "2026-01-01T00:00:00Z",
    }
    assert (page.has_more, page.first_id, page.last_id) == (False, "auto", "d")


def test_pages_follow_each_other_both_ways() -> None:
    assert ids(limit="2") == ["auto", "a"]
    assert models_page(NAMES, {"limit": "2"}, created=0).has_more
    assert ids(limit="2", after_id="a") == ["b", "c"]
    assert ids(limit="9", after_id="d") == []
    assert ids(limit="2", before_id="c") == ["a", "b"]
    assert not models_page(NAMES, {"limit": "2", "before_id": "b"}, created=0).has_more


@pytest.mark.parametrize(
    ("param", "value"), [("limit", "0"), ("limit", "1001"), ("limit", "x"), ("after_id", "z"), ("before_id", "")]
)
def test_a_parameter_out_of_range_is_refused_by_name(param: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ids(**{param: value})
    assert refused.value.param == param
