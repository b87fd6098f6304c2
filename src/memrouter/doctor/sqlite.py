"""The checks of the embedded store: file, folder, disk, integrity and vectors."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from memrouter.clock import Clock
from memrouter.config.memory import SqliteSettings
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.doctor.vectors import vector_findings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.stores.sqlite.connection import database_path
from memrouter.stores.sqlite.errors import DriverError, translated
from memrouter.stores.sqlite.schema import APPLICATION_ID, VERSION

SECTION: Final = "global.stores.memory.sqlite.path"
LARGE_WAL_BYTES: Final = 256 << 20
LITTLE_DISK_BYTES: Final = 1 << 30
NO_DISK_BYTES: Final = 64 << 20
CHECK_SECONDS: Final = 30.0
"""Longest that the integrity check may take; a large file is then left half checked."""

_LOCK_SECONDS: Final = 2.0
_STEPS: Final = 100_000


async def sqlite_findings(settings: SqliteSettings, embedder: EmbedderInfo | None, *, clock: Clock) -> list[Finding]:
    """Return what is wrong with the file; changes nothing in it and does not make it."""
    return await asyncio.to_thread(lambda: list(_findings(database_path(settings.path), embedder, clock)))


def disk_finding(free: int, folder: Path) -> Finding:
    """Return whether ``free`` bytes in ``folder`` are enough."""
    check, seen = "sqlite disk", f"{free / (1 << 30):.1f} GiB free in {folder}"
    fix = f"free some space (see what takes it: du -xh {folder} | sort -h | tail), or set {SECTION} to another disk"
    if free < NO_DISK_BYTES:
        return broken(check, seen, why="the database cannot grow: nothing new is remembered", fix=fix)
    if free < LITTLE_DISK_BYTES:
        return warning(check, seen, why="when the disk is full, nothing new is remembered", fix=fix)
    return ok(check, seen)


def log_finding(size: int, path: Path) -> Finding:
    """Return whether the write-ahead log of ``path`` is of a usual size, in bytes."""
    seen = f"write-ahead log of {size / (1 << 20):.1f} MiB"
    if size < LARGE_WAL_BYTES:
        return ok("sqlite log", seen)
    return warning(
        "sqlite log",
        seen,
        why="a reader that never ends keeps it from being emptied; reads become slow and the disk fills",
        fix=f"stop what else has the file open (fuser {path}), or restart the router",
    )


def _findings(path: Path, embedder: EmbedderInfo | None, clock: Clock) -> Iterator[Finding]:
    folder = path.parent
    if not folder.is_dir():
        yield broken(
            "sqlite file",
            f"the folder {folder} does not exist",
            why="the router cannot make its database and does not start",
            fix=f"mkdir -p {folder}, or set {SECTION} to a file elsewhere",
        )
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield broken(
            "sqlite file",
            f"the folder {folder} cannot be written by this user",
            why="the database and its log stand there; without them nothing is remembered",
            fix=f"chown or chmod {folder} for the router's user, or set {SECTION} to a file elsewhere",
        )
    yield disk_finding(shutil.disk_usage(folder).free, folder)
    if path.is_dir():
        yield broken("sqlite file", f"{path} is a folder", why="a file is needed", fix=f"set {SECTION} to a file in it")
    elif not path.exists():
        yield ok("sqlite file", f"{path} does not exist yet; the router makes it when it starts")
    else:
        yield from _file_findings(path, embedder, clock)


def _file_findings(path: Path, embedder: EmbedderInfo | None, clock: Clock) -> Iterator[Finding]:
    log = path.with_name(path.name + "-wal")
    yield log_finding(log.stat().st_size if log.exists() else 0, path)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_LOCK_SECONDS)) as connection:
            yield from _content_findings(connection, path, embedder, clock)
    except DriverError as error:
        yield broken(
            "sqlite file",
            str(translated(error, place=str(path))),
            why="the router cannot use its memory store",
            fix=f"see who has it open: fuser {path}; and who may use it: ls -l {path}*",
        )


def _content_findings(
    connection: sqlite3.Connection, path: Path, embedder: EmbedderInfo | None, clock: Clock
) -> Iterator[Finding]:
    connection.isolation_level = None
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not version:
        yield ok("sqlite file", f"{path} is empty; the router fills it when it starts")
        return
    if application != APPLICATION_ID or version > VERSION:
        whose = "of a newer memrouter" if application == APPLICATION_ID else "of another program"
        yield broken(
            "sqlite file",
            f"{path} is a database {whose}",
            why="the router refuses it rather than damaging it",
            fix=f"set {SECTION} to another file, or upgrade memrouter",
        )
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
    (memories,) = connection.execute("SELECT count(*) FROM memories").fetchone()
    yield ok("sqlite file", f"{path} can be written and holds {memories} memories")
    yield _integrity(connection, path, clock)
    if embedder is not None:
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        good = ok("sqlite vectors", f"of {embedder.model}, {embedder.dimension} numbers")
        yield from list(vector_findings(good.check, meta, embedder, place=str(path))) or [good]


def _integrity(connection: sqlite3.Connection, path: Path, clock: Clock) -> Finding:
    deadline = clock.monotonic() + CHECK_SECONDS
    connection.set_progress_handler(lambda: clock.monotonic() > deadline, _STEPS)
    try:
        rows = [row[0] for row in connection.execute("PRAGMA quick_check(10)")]
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_INTERRUPT":
            raise
        return ok("sqlite integrity", f"nothing found in {CHECK_SECONDS:g} s; the file is too large to check it all")
    finally:
        connection.set_progress_handler(None, 0)
    if rows == ["ok"]:
        return ok("sqlite integrity", "quick_check found no fault")
    return broken(
        "sqlite integrity",
        f"quick_check found {len(rows)} fault(s)",
        why="memories are lost or will be, and reads may fail",
        fix=f"stop the router and restore {path} from a backup, or rescue it: sqlite3 {path} .recover | sqlite3 new.db",
    )
