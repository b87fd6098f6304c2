"""Queries as data become SQL. Values go in as parameters, always; words go in as quoted FTS5 strings."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from memrouter.stores.query import ALL_TYPES, Cursor, Filter, ListQuery

MAX_WORDS = 256
"""Most words of one search; further ones are left out."""

Value = str | int | bytes | None


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition over ``memories AS m`` and the values of its parameters."""

    sql: str
    values: tuple[Value, ...] = ()

    def __and__(self, other: "Clause") -> "Clause":
        """Return the condition that both hold."""
        return Clause(f"{self.sql} AND {other.sql}", self.values + other.values)


def in_scope(owner: int, project_id: str | None, *, ids: Iterable[str] | None = None) -> Clause:
    """Return the condition for one owner's memories, in one project or in all of them.

    Args:
        owner: Key of the owner's row.
        project_id: None for every project.
        ids: Only memories with these ids, however many; None for any.
    """
    # The plus sign keeps SQLite from walking all of the owner's memories where it can go straight to the ids.
    clause = Clause("m.owner = ?" if ids is None else "+m.owner = ?", (owner,))
    if project_id is not None:
        clause &= Clause("m.project_id = ?", (project_id,))
    if ids is not None:
        clause &= with_ids(ids)
    return clause


def unexpired(now: int) -> Clause:
    """Return the condition that a memory has not expired at ``now``."""
    return Clause("(m.expires_at IS NULL OR m.expires_at > ?)", (now,))


def visible(now: int) -> Clause:
    """Return the condition that lists and searches may show a memory at ``now``."""
    return Clause("m.superseded_by IS NULL AND m.quarantine IS NULL") & unexpired(now)


def shown(query: ListQuery) -> Clause:
    """Return the condition that a list may show a memory, whatever its filter."""
    clause = Clause(f"m.quarantine IS {'NOT ' if query.quarantined else ''}NULL") & unexpired(query.now)
    return clause if query.include_superseded else clause & Clause("m.superseded_by IS NULL")


def with_ids(ids: Iterable[str]) -> Clause:
    """Return the condition that a memory has one of these ids, however many."""
    wanted = json.dumps([memory_id for memory_id in ids if _storable(memory_id)])
    return Clause("m.id IN (SELECT value FROM json_each(?))", (wanted,))


def with_keys(keys: Iterable[int]) -> Clause:
    """Return the condition that a memory's row has one of these keys, however many."""
    return Clause("m.key IN (SELECT value FROM json_each(?))", (json.dumps(sorted(keys)),))


def matching(owner: int, project_id: str | None, where: Filter) -> Clause:
    """Return the condition of a filter within a scope."""
    return filtered(in_scope(owner, project_id, ids=where.ids), where)


def filtered(clause: Clause, where: Filter) -> Clause:
    """Return a condition with that of a filter added; ``where.ids`` is not looked at."""
    if where.types != ALL_TYPES:
        clause &= _one_of("m.type", where.types)
    if where.sources is not None:
        clause &= _one_of("m.source", where.sources)
    if where.conversation_id is not None:
        clause &= Clause("m.conversation_id = ?", (where.conversation_id,))
    return clause


def older_than(cursor: Cursor) -> Clause:
    """Return the condition that a memory comes after ``cursor`` in a newest-first list."""
    return Clause("(m.created_at, m.id) < (?, ?)", (cursor.created_at, cursor.id))


def match_expression(owner: int, words: Iterable[str]) -> str | None:
    """Return the FTS5 expression for one owner's memories with any of ``words``; None where no word is left.

    Every word is a quoted string, in which only the quote itself is special; so no word can be an operator, name
    another column or leave the owner.
    """
    usable = [word for word in dict.fromkeys(words) if _storable(word)][:MAX_WORDS]
    if not usable:
        return None
    quoted = " OR ".join('"' + word.replace('"', '""') + '"' for word in usable)
    return f'owner : "{owner}" AND content : ({quoted})'


def _one_of(column: str, values: Iterable[str]) -> Clause:
    wanted = tuple(sorted(values))
    return Clause(f"{column} IN ({', '.join('?' * len(wanted))})", wanted)


def _storable(text: str) -> bool:
    # A NUL would end the text early in SQLite's JSON and FTS5 parsers, and no stored text has a lone surrogate.
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
