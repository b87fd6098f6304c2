"""Arguments that models make up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.mcp.forms import Forget, Form, History, Listing, Recall, Remember, Update, read_form

FORMS = (Remember, Recall, Listing, Update, Forget, History)
NAMES = sorted({name for form in FORMS for name in form.model_fields})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(form=st.sampled_from(FORMS), arguments=st.dictionaries(st.sampled_from(NAMES) | st.text(), JSON, max_size=5))
def test_arguments_fit_or_are_refused(form: type[Form], arguments: dict[str, Any]) -> None:
    fault: InvalidRequest | None = None
    try:
        read_form(form, arguments)
    except InvalidRequest as error:
        fault = error
    assert fault is None or (fault.param and str(fault))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["user", "user_id", "project", "project_id", "owner", "scope", "trust", "source"])
def test_no_tool_takes_an_identity_or_a_trust(form: type[Form], name: str) -> None:
    good = {"content": "x", "query": "x", "id": "x"}
    arguments = {key: value for key, value in good.items() if key in form.model_fields}
    read_form(form, arguments)
    with pytest.raises(InvalidRequest, match=f"{name}: this tool has no such argument"):
        read_form(form, {**arguments, name: "bob"})


def test_an_error_names_the_fields_and_quotes_no_value() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_form(Remember, {"content": "", "importance": "very secret", "type": "my secret"})
    told = str(caught.value)
    assert {"content:", "importance:", "type:"} <= set(told.split())
    assert "secret" not in told


@pytest.mark.parametrize(
    ("form", "arguments"),
    [
        (Remember, {"content": "x" * 16_385}),
        (Remember, {"content": "x", "importance": 1.01}),
        (Recall, {"query": "x" * 16_385}),
        (Recall, {"query": "x", "limit": 51}),
        (Recall, {"query": "x", "limit": 0}),
        (Listing, {"limit": 101}),
        (Listing, {"cursor": "x" * 1025}),
        (Forget, {"id": "x" * 65}),
        (Forget, {"id": ""}),
        (Update, {"id": "x", "content": ""}),
    ],
)
def test_arguments_have_bounds(form: type[Form], arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        read_form(form, arguments)
