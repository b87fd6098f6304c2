"""Words and ids from users become SQL that cannot mean anything else."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memrouter.stores.sqlite.compile import MAX_WORDS, in_scope, match_expression

HOSTILE_TEXT = st.text() | st.text(st.sampled_from("\"'*^-+():{}[]|,.;\\ \0\ud800abORANDNTE~@é🧠\u0301"), max_size=12)


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE f USING fts5 (owner, content, tokenize = 'unicode61 remove_diacritics 2')")
    rows = [(1, "tea 2 and or not near a b é"), (2, "tea 1 and or not near a b owner content"), (12, "tea")]
    connection.executemany("INSERT INTO f (owner, content) VALUES (?, ?)", rows)
    yield connection
    connection.close()


def owners(index: sqlite3.Connection, expression: str) -> set[str]:
    return {str(owner) for (owner,) in index.execute("SELECT owner FROM f WHERE f MATCH ?", (expression,))}


@given(words=st.lists(HOSTILE_TEXT, max_size=6))
@example(words=['"', '" OR owner : "2'])
@example(words=[""])
@example(words=["\0"])
@example(words=["2", 'x") OR ("tea'])
def test_no_words_leave_the_owner_or_break_the_query(index: sqlite3.Connection, words: list[str]) -> None:
    expression = match_expression(1, words)
    if expression is not None:
        assert owners(index, expression) <= {"1"}
        beside = match_expression(1, [*words, "tea"])
        assert beside is not None
        assert owners(index, beside) == {"1"}


def test_a_word_is_looked_for_in_the_content_only(index: sqlite3.Connection) -> None:
    expression = match_expression(1, ["1"])
    assert expression is not None
    assert owners(index, expression) == set()


def test_no_usable_word_is_no_expression() -> None:
    assert match_expression(1, []) is None
    assert match_expression(1, ["\0", "a\0", "\udfff"]) is None


def test_words_past_the_bound_are_left_out(index: sqlite3.Connection) -> None:
    expression = match_expression(1, [f"word{number}" for number in range(20_000)])
    assert expression is not None
    assert expression.count('"') == 2 + 2 * MAX_WORDS
    assert owners(index, expression) == set()


@given(ids=st.lists(HOSTILE_TEXT, max_size=5))
def test_ids_match_only_themselves(ids: list[str]) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE memories (owner INTEGER, id TEXT)")
        connection.executemany("INSERT INTO memories VALUES (1, ?)", [("a",), ("A",), ("é",), ("",), ("'",), ("[]",)])
        clause = in_scope(1, None, ids=ids)
        statement = f"SELECT m.id FROM memories AS m WHERE {clause.sql}"  # noqa: S608 - fixed text, values apart
        rows = connection.execute(statement, clause.values).fetchall()
    connection.close()
    assert {row[0] for row in rows} == {"a", "A", "é", "", "'", "[]"} & set(ids)
