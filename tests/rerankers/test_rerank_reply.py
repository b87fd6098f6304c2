"""The body of a rerank answer; trusts nothing in it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import RerankError
from memrouter.rerankers.endpoint_reply import parse_reply


def body(*results: object, **fields: object) -> bytes:
    return json.dumps({"results": results, **fields}).encode()


def result(index: object, score: object, **fields: object) -> dict[str, object]:
    return {"index": index, "relevance_score": score, **fields}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20), st.randoms())
def test_scores_come_back_in_the_order_of_the_request(scores: list[float], random: object) -> None:
    results = [result(index, score) for index, score in enumerate(scores)]
    random.shuffle(results)  # type: ignore[attr-defined]  # hypothesis' Random
    assert parse_reply(body(*results), count=len(scores)) == scores


def test_what_endpoints_add_does_not_matter() -> None:
    answer = body(result(0, 1, document={"text": "x"}), id="r", model="m", usage={"total_tokens": 3})
    assert parse_reply(answer, count=1) == [1.0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        body(),
        body(result(0, 1)),
        body(result(0, 1), result(0, 1)),
        body(result(0, 1), result(2, 1)),
        body(result(-1, 1), result(0, 1)),
        body(result(0, 1), result(1, 1), result(1, 2)),
        body(result(0, 1), result(1, "0.5")),
        body(result(0, 1), result(1, None)),
        body(result(0, 1), result(0.5, 1)),
        body(result(0, 1), {"index": 1}),
        body(result(0, 1), {"relevance_score": 1}),
        b'{"results": [{"index": 0, "relevance_score": 1e999}, {"index": 1, "relevance_score": 1}]}',
        b'{"results": [{"index": 0, "relevance_score": NaN}, {"index": 1, "relevance_score": 1}]}',
        b'{"results": [{"index": 0, "relevance_score": 1' + b"0" * 400 + b'}, {"index": 1, "relevance_score": 1}]}',
        b'{"results": [{"index": 0, "relevance_score": Infinity}, {"index": 1, "relevance_score": 1}]}',
        b'{"results": null}',
        b'{"error": {"message": "no"}}',
    ],
)
def test_anything_else_is_refused_without_its_text(answer: bytes) -> None:
    with pytest.raises(RerankError) as caught:
        parse_reply(answer, count=2)
    assert str(caught.value).startswith("the rerank endpoint sent")


keys = st.sampled_from(["results", "index", "relevance_score"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["results", "index", "relevance_score"]), inner)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()), st.integers(0, 3))
def test_any_bytes_give_finite_scores_or_a_rerank_error(answer: bytes, count: int) -> None:
    try:
        scores = parse_reply(answer, count=count)
    except RerankError:
        return
    assert len(scores) == count
    assert all(map(math.isfinite, scores))
