"""Opens the database file."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Literal

from memrouter.errors import StoreUnavailable

BUSY_SECONDS = 5.0
"""How long a statement waits for a lock that another process holds."""

_CACHE_KIB = 16 * 1024
_WAL_BYTES = 64 * 1024 * 1024

PAGE_BYTES = 8192
"""Page size of a new file: a memory with 384 numbers leaves two fifths of a page of 4,096 bytes empty."""


def database_path(setting: str) -> Path:
    """Return the absolute path behind ``sqlite.path``; ``~`` is the home folder, nothing else is special."""
    return Path(setting).expanduser().absolute()


def create_file(path: Path) -> None:
    """Make an empty database file that only this user can read, where there is none.

    Raises:
        StoreUnavailable: The folder is missing, the path is a folder, or the file may not be written.
    """
    if not path.parent.is_dir():
        raise StoreUnavailable(
            f"the folder {path.parent} does not exist; create it, or set global.stores.memory.sqlite.path to a file "
            "elsewhere"
        )
    if path.is_dir():
        raise StoreUnavailable(f"{path} is a folder; set global.stores.memory.sqlite.path to a file in it")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"the memory database {path} cannot be opened for writing ({error.strerror}); "
            "give this user write permission on the file and its folder"
        ) from error


def connect(path: Path, *, synchronous: Literal["normal", "full"]) -> sqlite3.Connection:
    """Return a connection in autocommit mode that may be handed to another thread; changes nothing in the file."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        for pragma in (
            "foreign_keys = ON",
            "secure_delete = ON",
            "temp_store = MEMORY",  # sorted text never reaches a temporary file
            f"cache_size = -{_CACHE_KIB}",
            f"journal_size_limit = {_WAL_BYTES}",
            f"synchronous = {synchronous}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    """Switch the file to WAL mode, in which readers never wait for a writer; an empty one gets its page size first.

    Raises:
        StoreUnavailable: The file system cannot share memory between processes.
    """
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # without effect on a file that has pages
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreUnavailable(
            f"the memory database {path} is on a file system without write-ahead logging, such as a network drive; "
            "set global.stores.memory.sqlite.path to a local disk"
        )


def roll_back(connection: sqlite3.Connection) -> None:
    """End an open transaction without its changes; an error that ended it already is no news."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
