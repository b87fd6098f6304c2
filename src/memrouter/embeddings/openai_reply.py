"""The body of an ``/v1/embeddings`` answer to rows of numbers; trusts nothing in it."""

import base64
import binascii
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from memrouter.errors import EmbeddingError
from memrouter.models.memory import Matrix


class _Item(msgspec.Struct):
    index: int
    embedding: list[float] | str


class _Reply(msgspec.Struct):
    data: list[_Item]


def parse_reply(body: bytes, *, count: int, dimension: int) -> Matrix:
    """Return the vectors of an answer in the order of the request, as sent (not yet of unit length).

    Args:
        body: JSON; each vector a list of numbers or base64 over little-endian float32.
        count: How many texts were asked for.
        dimension: How long each vector must be.

    Raises:
        EmbeddingError: Something else, an index missing or twice, a wrong dimension, or a number that is not finite.
    """
    try:
        items = msgspec.json.decode(body, type=_Reply).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise EmbeddingError("the embedding endpoint sent something else than a list of embeddings") from None
    items.sort(key=lambda item: item.index)
    if [item.index for item in items] != list(range(count)):
        raise EmbeddingError(f"the embedding endpoint sent {len(items)} vectors, or wrong indices, for {count} texts")
    return _matrix([_numbers(item.embedding) for item in items], dimension)


def _numbers(embedding: list[float] | str) -> NDArray[np.float32]:
    if isinstance(embedding, list):
        with np.errstate(over="ignore"):  # becomes infinite, which is refused below
            return np.array(embedding, dtype=np.float32)
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    except (binascii.Error, ValueError):
        raise EmbeddingError("the embedding endpoint sent a vector that is not base64 over float32") from None


def _matrix(rows: Sequence[NDArray[np.float32]], dimension: int) -> Matrix:
    for row in rows:
        if len(row) != dimension:
            raise EmbeddingError(
                f"the embedding endpoint sent a vector of {len(row)} numbers, the configuration expects {dimension}; "
                f"set embedding_endpoint.dimension to {len(row)}"
            )
    matrix = np.array(rows, dtype=np.float32).reshape(len(rows), dimension)
    if not np.isfinite(matrix).all():
        raise EmbeddingError("the embedding endpoint sent a vector with a number that is not finite")
    return matrix
