"""A scan goes along the indexes, a bounded step at a time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from memrouter.models.memory import Scope, owner_key
from memrouter.stores.position import Position
from memrouter.stores.query import Filter, ScanQuery
from memrouter.stores.sqlite.scan import Scan
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory

DIMENSION, MODEL = 16, "test-model"


def a_scan(query: ScanQuery) -> Scan:
    return Scan(query, dimension=DIMENSION, embedding_model=MODEL)


@pytest.fixture
def connection(store: SqliteStore, path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.mark.parametrize("user", [None, "alice"])
@pytest.mark.parametrize("after", [None, Position(owner_key("alice"), NOW, "m1"), Position("0" * 32, NOW, "m1")])
async def test_no_step_sorts_or_walks_what_it_has_passed(
    connection: sqlite3.Connection, user: str | None, after: Position | None
) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    a_scan(ScanQuery(user_id=user)).step(connection, after)
    connection.set_trace_callback(None)
    steps = [statement for statement in statements if "CROSS JOIN" in statement]
    assert steps
    for statement in steps:
        plan = " / ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
        assert "TEMP B-TREE" not in plan
        assert "SEARCH m USING COVERING INDEX memories_newest" in plan
        assert after is None or "SEARCH o USING" in plan


async def test_a_step_looks_at_no_more_than_a_page_where_nothing_matches(
    store: SqliteStore, make: RecordFactory, connection: sqlite3.Connection
) -> None:
    records = make.many(10, conversation_id="c1")
    await store.create(records)
    scan = a_scan(ScanQuery(where=Filter(conversation_id="c2"), page=4))
    step, ends = scan.step(connection, None), []
    while step.end is not None:
        assert step.records == []
        ends.append(step.end.id)
        step = scan.step(connection, step.end)
    assert ends == [records[3].id, records[7].id, records[9].id]


async def test_users_without_memories_do_not_stop_a_scan(store: SqliteStore, make: RecordFactory) -> None:
    records = [make.make(user_id=f"user{number}") for number in range(9)]
    await store.create(records)
    for record in records[::2]:
        await store.delete(Scope(record.user_id), Filter())
    found = [record.id async for page in store.scan(ScanQuery(page=1)) for record in page.records]
    assert sorted(found) == [record.id for record in records[1::2]]
