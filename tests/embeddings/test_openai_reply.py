import base64
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.embeddings.openai_reply import parse_reply
from memrouter.errors import EmbeddingError


def reply(*items: tuple[int, object]) -> bytes:
    return json.dumps({"data": [{"index": index, "embedding": vector} for index, vector in items]}).encode()


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_lists_and_base64_are_read_alike() -> None:
    body = reply((0, [1, 2.5]), (1, packed(1, 2.5)))
    assert parse_reply(body, count=2, dimension=2).tolist() == [[1.0, 2.5], [1.0, 2.5]]


def test_vectors_are_put_in_the_order_of_their_indices() -> None:
    body = reply((2, [3]), (0, [1]), (1, [2]))
    assert parse_reply(body, count=3, dimension=1).tolist() == [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (reply((0, [1, 2])), "1 vectors"),
        (reply((0, [1, 2]), (0, [1, 2])), "wrong indices"),
        (reply((1, [1, 2]), (2, [1, 2])), "wrong indices"),
        (reply((0, [1, 2]), (1, [1])), "embedding_endpoint.dimension to 1"),
        (reply((0, [1, 2]), (1, packed(1, 2, 3))), "embedding_endpoint.dimension to 3"),
        (reply((0, [1, 2]), (1, packed(1, float("nan")))), "not finite"),
        (reply((0, [1, 2]), (1, [1, 1e300])), "not finite"),
        (reply((0, [1, 2]), (1, "####")), "not base64"),
        (reply((0, [1, 2]), (1, "AAAA")), "not base64"),
        (reply((0, [1, 2]), (1, "é")), "not base64"),
        (reply((0, [1, 2]), (1, ["1", "2"])), "something else"),
        (reply((0, [1, 2]), (1, None)), "something else"),
        (b'{"data": [{"embedding": [1, 2]}]}', "something else"),
        (b'{"error": {"message": "secret text"}}', "something else"),
        (b"<html>", "something else"),
        (b"\xff\xfe", "something else"),
        (b"[" * 100_000, "something else"),
        (b"", "something else"),
    ],
)
def test_an_unusable_answer_is_an_embedding_error(body: bytes, message: str) -> None:
    with pytest.raises(EmbeddingError, match=message) as failure:
        parse_reply(body, count=2, dimension=2)
    assert "secret text" not in str(failure.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
items = st.fixed_dictionaries({"index": st.integers(-1, 2) | json_values, "embedding": json_values})


@given(
    st.binary(max_size=60) | st.builds(lambda data: json.dumps({"data": data}).encode(), st.lists(items, max_size=3))
)
def test_any_body_gives_finite_rows_or_an_embedding_error(body: bytes) -> None:
    try:
        rows = parse_reply(body, count=1, dimension=1)
    except EmbeddingError:
        return
    assert rows.shape == (1, 1)
    assert np.isfinite(rows).all()
