"""Taking the words of deleted memories out of the word index's pages.

``secure_delete`` overwrites what a table or an index lets go of. FTS5 works otherwise: a deletion adds a marker, and
the words themselves go when the index's segments are merged. So a deletion leaves a mark, and the store merges when
it closes.
"""

import sqlite3

_STEP_PAGES = 500
_MAX_STEPS = 40
"""Bounds the merge to 20,000 pages, about 80 MB of index, so that closing ends; the mark stays for the next time."""


def mark_erased(connection: sqlite3.Connection) -> None:
    """Note, in the transaction of the deletion, that the word index holds words of a deleted text."""
    connection.execute("INSERT INTO meta VALUES ('erasure', 'due') ON CONFLICT DO NOTHING")


def erase_words(connection: sqlite3.Connection) -> None:
    """Merge the word index where a deletion asks for it, so that no page of it holds a deleted text's words."""
    if connection.execute("SELECT 1 FROM meta WHERE name = 'erasure'").fetchone() is None:
        return
    for _ in range(_MAX_STEPS):
        before = connection.total_changes
        connection.execute("INSERT INTO memories_fts (memories_fts, rank) VALUES ('merge', ?)", (-_STEP_PAGES,))
        if connection.total_changes - before < 2:  # FTS5's sign that nothing is left to merge
            connection.execute("DELETE FROM meta WHERE name = 'erasure'")
            return
