"""What memories take in a SQLite file. Pure."""

from typing import Final

from memrouter.sizing.workload import Workload, text_lengths
from memrouter.stores.sqlite.connection import PAGE_BYTES
from memrouter.stores.sqlite.rows import to_row

_COLUMN_HEADERS: Final = 40
"""Measured: length and type of each column, the row's key, and its place in the page."""

_NUMBER_BYTES: Final = 6
_HALF_FULL: Final = 0.5
"""A row that does not fit into what is left of a page leaves half of its own size empty, on average."""

_WORDS: Final = 0.65
"""Measured on English text: bytes of the word index for each byte of content."""

_INDEXES: Final = 190
"""Measured: the four B-trees and the word index's table of sizes."""

_FILE_BYTES: Final = 20 * PAGE_BYTES


def sqlite_file(workload: Workload) -> int:
    """Return the bytes of the file, without its write-ahead log (64 MB at most while nobody reads for long)."""
    row = _row_bytes(workload)
    held = PAGE_BYTES / row - _HALF_FULL
    stored = PAGE_BYTES / held if held >= 1 else -(-row // PAGE_BYTES) * PAGE_BYTES
    each = stored + _INDEXES + _WORDS * workload.content_bytes
    return round(_FILE_BYTES + workload.memories * each)


def _row_bytes(workload: Workload) -> int:
    record = workload.typical
    row = to_row(record, 1, dimension=workload.dimension, embedding_model=record.embedding_model)
    texts = text_lengths({str(place): value for place, value in enumerate(row) if isinstance(value, str | bytes)})
    numbers = sum(isinstance(value, int | float) for value in row)
    return _COLUMN_HEADERS + sum(texts.values()) + _NUMBER_BYTES * numbers
