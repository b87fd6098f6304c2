"""The body of a ``/v1/rerank`` answer to scores; trusts nothing in it."""

import msgspec

from memrouter.errors import RerankError


class _Result(msgspec.Struct):
    """A score; the decoder refuses NaN and numbers that no float can hold."""

    index: int
    relevance_score: float


class _Reply(msgspec.Struct):
    results: list[_Result]


_DECODER = msgspec.json.Decoder(_Reply)


def parse_reply(body: bytes, *, count: int) -> list[float]:
    """Return the scores of an answer in the order of the request.

    Args:
        body: JSON: ``{"results": [{"index": 0, "relevance_score": 0.9}, ...]}`` in any order.
        count: How many texts were asked for.

    Raises:
        RerankError: Something else, an index missing, twice or out of range, or a number that is not finite.
    """
    try:
        results = _DECODER.decode(body).results
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RerankError(
            "the rerank endpoint sent something else than results with index and relevance_score"
        ) from None
    scores = {result.index: result.relevance_score for result in results}
    if len(results) != count or scores.keys() != set(range(count)):
        raise RerankError(f"the rerank endpoint sent {len(results)} results, or wrong indices, for {count} texts")
    return [scores[index] for index in range(count)]
