"""What a server says of itself, and whether memrouter can work with it. No I/O but ``ask``."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from memrouter.errors import StoreUnavailable
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.index_info import as_mapping

Version = tuple[int, int, int]

NEEDED: Final = "memrouter needs Valkey 8.0 or newer with valkey-search 1.2.0 or newer (or RediSearch 2.10 or newer)"
LEAST_VALKEY: Final[Version] = (8, 0, 0)
LEAST_REDIS: Final[Version] = (7, 2, 0)
LEAST_SEARCH: Final[dict[str, Version]] = {"valkey-search": (1, 2, 0), "RediSearch": (2, 10, 0)}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server's own account; what it does not tell, or forbids to ask, is None.

    Attributes:
        product: ``Valkey`` or ``Redis``.
        version: Of the server.
        search: ``valkey-search`` or ``RediSearch``; empty where the server has no Search module.
        search_version: Of the module.
        role: ``master``, ``slave`` or ``sentinel``.
    """

    product: Literal["Valkey", "Redis"]
    version: Version | None
    search: str | None
    search_version: Version | None
    role: str | None

    @classmethod
    async def ask(cls, connection: Connection) -> "ServerFacts":
        """Return what the server answers to INFO and MODULE LIST; a user may lack the right to either.

        Raises:
            StoreUnavailable: The server cannot be reached.
        """
        info = await _allowed(connection, "INFO")
        modules = await _allowed(connection, "MODULE", "LIST")
        return cls.read(info, modules)

    @classmethod
    def read(cls, info: object, modules: object) -> "ServerFacts":
        """Return the facts in the replies of INFO and MODULE LIST; None for a reply that was refused."""
        text = info.decode(errors="replace") if isinstance(info, bytes) else str(info or "")
        valkey = _line(text, "valkey_version")
        name, version = (None, None) if modules is None else search_module(modules)
        return cls(
            product="Redis" if valkey is None and _line(text, "redis_version") else "Valkey",
            version=_version(valkey or _line(text, "redis_version")),
            search=name,
            search_version=version,
            role=_line(text, "role"),
        )

    def problems(self, *, cluster: bool) -> list[str]:
        """Return why memrouter cannot work with this server, as sentences; empty if nothing is known against it."""
        problems = []
        least = LEAST_VALKEY if self.product == "Valkey" else LEAST_REDIS
        if self.version is not None and self.version < least:
            problems.append(f"the server is {self.product} {dotted(self.version)}; {NEEDED}")
        if self.search == "":
            problems.append(f"the server has no Search module; {NEEDED}. {MODULE_FIX}")
        if self.search and self.search_version is not None and self.search_version < LEAST_SEARCH[self.search]:
            problems.append(f"its Search module is {self.search} {dotted(self.search_version)}; {NEEDED}")
        if self.role not in (None, "master") and not cluster:
            problems.append(f"the server is a {_ROLES.get(self.role or '', self.role)}; set host to the primary")
        return problems


MODULE_FIX: Final = (
    "Start the server with --loadmodule /path/to/libsearch.so, or use the image valkey/valkey-bundle, "
    "which brings the module"
)
_ROLES: Final = {"slave": "replica, which takes no writes", "sentinel": "Sentinel, which keeps no data"}


def search_module(modules: object) -> tuple[str, Version | None]:
    """Return name and version of the Search module in a reply of MODULE LIST; an empty name where it is absent."""
    for module in modules if isinstance(modules, list | tuple) else ():
        facts = as_mapping(module)
        if facts.get("name") in (b"search", "search"):
            number = facts.get("ver")
            return decode_version(number) if isinstance(number, int) else ("valkey-search", None)
    return "", None


def decode_version(number: int) -> tuple[str, Version]:
    """Return whose Search module has this version number, and the version in it.

    valkey-search packs ``major << 16 | minor << 8 | patch`` (1.2.1 is 66049), RediSearch writes two decimal digits
    each for minor and patch (2.10.5 is 21005, 8.0.1 is 80001). The ranges of the versions in use do not meet.
    """
    if number < 1 << 16 or 70_000 <= number < 100_000:
        return "RediSearch", (number // 10_000, number // 100 % 100, number % 100)
    return "valkey-search", (number >> 16, number >> 8 & 0xFF, number & 0xFF)


def dotted(version: Version) -> str:
    """Return a version as text."""
    return ".".join(map(str, version))


async def _allowed(connection: Connection, *args: str) -> object:
    try:
        return _one_node(await connection.run(args))
    except ServerRefused as error:
        if error.command_unknown or "PermissionDenied" in error.reply or "NOPERM" in error.reply:
            return None
        raise


def explained(error: ServerRefused, *, doing: str) -> StoreUnavailable:
    """Return the error with what was being done and, where the server's words are well known, the way out."""
    if error.command_unknown:
        return StoreUnavailable(f"cannot {doing}: the server does not know FT.* commands; {NEEDED}. {MODULE_FIX}")
    if "db != 0" in error.reply:
        return StoreUnavailable(
            f"cannot {doing}: this server's Search module (RediSearch) only knows database 0. Set "
            "global.stores.memory.valkey.database: 0, or use valkey-search"
        )
    return StoreUnavailable(f"cannot {doing}: {error}")


def _one_node(reply: object) -> object:
    """Return what one node said; a cluster client may give the replies of all by their addresses."""
    return next(iter(reply.values()), None) if isinstance(reply, dict) else reply


def _line(text: str, name: str) -> str | None:
    match = re.search(rf"^{name}:([^\r\n]*)", text, re.MULTILINE)
    return match[1].strip() if match else None


def _version(text: str | None) -> Version | None:
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text or "")
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
