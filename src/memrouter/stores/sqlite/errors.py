"""The one border where errors of the driver become errors of memrouter."""

import sqlite3

from memrouter.errors import InvalidRequest, MemrouterError, SchemaMismatch, StoreUnavailable

DriverError = (sqlite3.Error, UnicodeEncodeError, OverflowError)
"""Everything that the driver raises for a file, a statement or a value."""

_REASONS = {
    "SQLITE_BUSY": "is locked by another process; stop it, or try again later",
    "SQLITE_LOCKED": "is locked; try again later",
    "SQLITE_FULL": "cannot grow: the disk is full; free some space",
    "SQLITE_IOERR": "cannot be read or written: the disk reports an error",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup, or rescue it with the sqlite3 command .recover",
    "SQLITE_CANTOPEN": "cannot be opened; see that its folder exists and that both may be read and written",
    "SQLITE_READONLY": "cannot be written; give this user write permission on the file and its folder",
    "SQLITE_PERM": "cannot be opened; give this user read and write permission on the file and its folder",
    "SQLITE_AUTH": "cannot be opened; give this user read and write permission on the file and its folder",
}


def translated(error: Exception, *, place: str) -> MemrouterError:
    """Return the memrouter error for an error of the driver.

    The driver's own message is left out, since it may quote values.

    Args:
        error: One of ``DriverError``.
        place: Path of the database file.
    """
    if not isinstance(error, sqlite3.Error):
        return InvalidRequest("a text holds a lone surrogate, or a number has more than 64 bits: it cannot be stored")
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        return InvalidRequest("a memory has a field that is missing, of the wrong type or out of range")
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if name == "SQLITE_NOTADB":
        return SchemaMismatch(
            f"{place} is not a memrouter database; set global.stores.memory.sqlite.path to another file"
        )
    for prefix, reason in _REASONS.items():
        if name.startswith(prefix):
            return StoreUnavailable(f"the memory database {place} {reason} ({name})")
    return StoreUnavailable(f"the memory database {place} failed ({name})")
