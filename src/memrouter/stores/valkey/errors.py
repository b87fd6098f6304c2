"""What a Valkey server or the client for it can answer instead of a reply, as errors of memrouter."""

import re
from typing import Final

from memrouter.errors import StoreUnavailable

FENCED: Final = "FENCED"
"""Code of the error with which our own scripts refuse a write of a router whose store was reindexed."""

_MISSING_INDEX = re.compile(
    r"no such index|unknown:? index name|index: with name '.*' not found|index .*not found", re.IGNORECASE
)
_UNKNOWN_COMMAND = re.compile(r"unknown command", re.IGNORECASE)

# The server's code, and the client's name for it where it has one.
_REASONS: tuple[tuple[str, str], ...] = (
    ("WRONGPASS", "refuses the username or password; check global.stores.memory.valkey.username and .password"),
    ("NOAUTH", "asks for a password; set global.stores.memory.valkey.password"),
    (
        "NOPERM|PermissionDenied|ACL failure",
        "does not allow this user a command or key that memrouter needs; see ACL SETUSER in docs/valkey.md",
    ),
    ("OOM", "has reached maxmemory and takes no more writes; raise maxmemory, or remove memories"),
    ("READONLY|ReadOnly", "is a read-only replica; set global.stores.memory.valkey.host to the primary"),
    ("MISCONF", "refuses writes because it cannot save to its disk; free some disk space"),
    ("LOADING|BusyLoadingError", "is still loading its data; try again later"),
    ("MASTERDOWN|MasterDown", "has lost its primary; try again later"),
    ("CLUSTERDOWN|ClusterDown", "reports its cluster as down; see CLUSTER INFO"),
    ("MOVED|Moved", "is part of a cluster; set global.stores.memory.valkey.cluster: true"),
    ("CROSSSLOT|CrossSlot", "is part of a cluster; set global.stores.memory.valkey.cluster: true"),
    ("BUSY", "is busy with a script; try again later"),
    ("NOREPLICAS", "has too few replicas to take writes; bring them back"),
)


class ServerRefused(StoreUnavailable):
    """The server answered a command with an error.

    Attributes:
        reply: The server's own words. For decisions, not for logs or clients: they may quote an argument.
    """

    def __init__(self, message: str, *, reply: str) -> None:
        super().__init__(message)
        self.reply = reply

    @property
    def index_missing(self) -> bool:
        """Return whether the server does not have the search index, in the words of RediSearch or valkey-search."""
        return _MISSING_INDEX.search(self.reply) is not None

    @property
    def command_unknown(self) -> bool:
        """Return whether the server does not know the command, such as FT.SEARCH without the Search module."""
        return _UNKNOWN_COMMAND.search(self.reply) is not None

    @property
    def full(self) -> bool:
        """Return whether the server is at ``maxmemory``: it takes nothing new, and still reads and removes."""
        return re.search(r"\bOOM\b", self.reply) is not None

    @property
    def fenced(self) -> bool:
        """Return whether one of our own scripts refused the write; see ``Fence``."""
        return re.search(rf"\b{FENCED}\b", self.reply) is not None

    @property
    def script_unknown(self) -> bool:
        """Return whether the server has lost the script, as after a restart."""
        return "noscript" in self.reply.lower()


def refused(reply: str, *, place: str) -> ServerRefused:
    """Return the error for a server's error reply.

    Args:
        reply: The server's words.
        place: Host and port, for the message.
    """
    for words, reason in _REASONS:
        if re.search(rf"\b(?:{words})\b", reply):
            return ServerRefused(f"Valkey at {place} {reason}", reply=reply)
    error = ServerRefused("", reply=reply)
    if error.index_missing:
        text = "does not have the search index; run: memrouter index create"
    elif "db != 0" in reply:
        text = "keeps search indexes in database 0 only (RediSearch); set global.stores.memory.valkey.database: 0"
    elif error.command_unknown:
        text = "does not know a command that memrouter needs: load the Search module (valkey-search 1.2.0 or newer)"
    else:
        text = f"refused a command ({_code(reply)})"
    return ServerRefused(f"Valkey at {place} {text}", reply=reply)


def _code(reply: str) -> str:
    """Return the error code in front of a reply, which never quotes an argument."""
    found = re.search(r"\b[A-Z][A-Z0-9_]{2,}\b", reply)
    return found[0] if found else "ERR"
