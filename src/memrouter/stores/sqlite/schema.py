"""The tables, in versions: what a file holds, how an older one is brought up to date, and which ones are refused."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from memrouter.errors import SchemaMismatch
from memrouter.stores.embedding_space import DIMENSION, MODEL, EmbeddingSpace, check_space
from memrouter.stores.sqlite.connection import roll_back, use_write_ahead_log
from memrouter.stores.sqlite.notes import note, notes

APPLICATION_ID = 0x6D656D72
"""Marks the file as memrouter's, in its header: ``memr``."""

_VERSION_1 = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    # A row outlives the memories of its owner, so that a generation never comes twice. ``owner`` is the digest of
    # the user id: what stays behind names nobody.
    """CREATE TABLE owners (
        key INTEGER PRIMARY KEY,
        owner TEXT NOT NULL UNIQUE,
        generation INTEGER NOT NULL
    ) STRICT""",
    # The vector stands last: reading the columns before it never walks its overflow pages.
    """CREATE TABLE memories (
        key INTEGER PRIMARY KEY,
        owner INTEGER NOT NULL REFERENCES owners (key),
        id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 64),
        user_id TEXT NOT NULL,
        project_id TEXT NOT NULL,
        type TEXT NOT NULL,
        content TEXT NOT NULL CHECK (length(CAST(content AS BLOB)) BETWEEN 1 AND 16384),
        digest BLOB NOT NULL,
        source TEXT NOT NULL,
        trust TEXT NOT NULL,
        importance REAL NOT NULL CHECK (importance BETWEEN 0 AND 1),
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        expires_at INTEGER,
        conversation_id TEXT,
        turn_index INTEGER,
        role TEXT,
        superseded_by TEXT,
        embedding BLOB NOT NULL
    ) STRICT""",
    """CREATE INDEX memories_newest
        ON memories (owner, created_at DESC, id DESC, project_id, superseded_by, expires_at)""",
    "CREATE INDEX memories_digest ON memories (owner, digest)",
    # Apart from the memory, so that counting an access rewrites neither its text nor its vector.
    """CREATE TABLE access (
        memory INTEGER PRIMARY KEY REFERENCES memories (key) ON DELETE CASCADE,
        access_count INTEGER NOT NULL,
        last_accessed INTEGER
    ) STRICT""",
    # ``owner`` is indexed as a word of its own column: every MATCH names it, so a search stays with one owner.
    """CREATE VIRTUAL TABLE memories_fts USING fts5 (
        owner, content, content = 'memories', content_rowid = 'key', tokenize = 'unicode61 remove_diacritics 2'
    )""",
    """CREATE TRIGGER memories_inserted AFTER INSERT ON memories BEGIN
        INSERT INTO memories_fts (rowid, owner, content) VALUES (new.key, new.owner, new.content);
    END""",
    """CREATE TRIGGER memories_deleted AFTER DELETE ON memories BEGIN
        INSERT INTO memories_fts (memories_fts, rowid, owner, content)
        VALUES ('delete', old.key, old.owner, old.content);
    END""",
    """CREATE TRIGGER memories_rewritten AFTER UPDATE OF content ON memories BEGIN
        INSERT INTO memories_fts (memories_fts, rowid, owner, content)
        VALUES ('delete', old.key, old.owner, old.content);
        INSERT INTO memories_fts (rowid, owner, content) VALUES (new.key, new.owner, new.content);
    END""",
)

_VERSION_2 = (
    "ALTER TABLE memories ADD COLUMN quarantine TEXT",
    "ALTER TABLE memories ADD COLUMN trail TEXT",
    "DROP INDEX memories_newest",
    # Everything that decides on being visible, so that counting reads the index alone.
    """CREATE INDEX memories_newest
        ON memories (owner, created_at DESC, id DESC, project_id, superseded_by, quarantine, expires_at)""",
    # A row that is rewritten with the text that it has leaves the word index alone.
    "DROP TRIGGER memories_rewritten",
    """CREATE TRIGGER memories_rewritten AFTER UPDATE OF content ON memories WHEN new.content IS NOT old.content BEGIN
        INSERT INTO memories_fts (memories_fts, rowid, owner, content)
        VALUES ('delete', old.key, old.owner, old.content);
        INSERT INTO memories_fts (rowid, owner, content) VALUES (new.key, new.owner, new.content);
    END""",
    # AUTOINCREMENT gives no number twice, so that a version never comes again, whatever was removed.
    """CREATE TABLE state (
        version INTEGER PRIMARY KEY AUTOINCREMENT,
        space TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        expires_at INTEGER,
        UNIQUE (space, key)
    ) STRICT""",
    "CREATE INDEX state_expiry ON state (expires_at) WHERE expires_at IS NOT NULL",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)
"""Statements that lead from each version to the next, beginning with the empty file (version 0)."""

VERSION = len(MIGRATIONS)
"""The version that this code reads and writes."""


def prepare(connection: sqlite3.Connection, path: Path, *, dimension: int, embedding_model: str) -> None:
    """Make the file ready for use: recognise it, switch it to WAL, bring it up to date, check its vectors.

    A file that is refused is left as it was.

    Raises:
        SchemaMismatch: Another program's database, a newer version, or vectors of another model or dimension.
        StoreUnavailable: The file system is not suited.
    """
    upgrade(connection, path, also=partial(_claim, path=path, space=EmbeddingSpace(embedding_model, dimension)))


def upgrade(
    connection: sqlite3.Connection, path: Path, *, also: Callable[[sqlite3.Connection], None] = lambda _: None
) -> None:
    """Do as ``prepare``, whatever vectors the file keeps; ``also`` is done in the same transaction.

    Raises:
        SchemaMismatch: Another program's database, or a newer version.
        StoreUnavailable: The file system is not suited.
    """
    _recognise(connection, path)
    use_write_ahead_log(connection, path)
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, _recognise(connection, path))
        also(connection)
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def _recognise(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's version; 0 where it is empty."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise SchemaMismatch(
            f"{path} is a database of another program; set global.stores.memory.sqlite.path to another file"
        )
    if version > VERSION:
        raise SchemaMismatch(
            f"{path} was written by a newer memrouter (schema version {version}; this one knows {VERSION}); "
            "upgrade memrouter, or set global.stores.memory.sqlite.path to another file"
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _claim(connection: sqlite3.Connection, *, path: Path, space: EmbeddingSpace) -> None:
    """Write down, where nothing stands yet, whose vectors are kept, and hold what stands there against ``space``."""
    if MODEL not in notes(connection):
        note(connection, {MODEL: space.model, DIMENSION: str(space.dimension)})
    check_space(notes(connection), wanted=space, place=str(path))
