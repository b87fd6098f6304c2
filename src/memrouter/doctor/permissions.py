"""Which rights the router's user lacks, found out without writing anything."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.doctor.resp import Refused, RespConnection

_NOBODY: Final = "{" + "0" * 32 + "}"
_NO_SCRIPT: Final = "0" * 40

_ON_KEYS: Final[tuple[tuple[str, ...], ...]] = (
    ("HSET", "<key>", "f", "v"),
    ("HSETNX", "<key>", "f", "v"),
    ("HGET", "<key>", "f"),
    ("HMGET", "<key>", "f"),
    ("HGETALL", "<key>"),
    ("HLEN", "<key>"),
    ("HSTRLEN", "<key>", "f"),
    ("HDEL", "<key>", "f"),
    ("HEXISTS", "<key>", "f"),
    ("EXISTS", "<key>"),
    ("TYPE", "<key>"),
    ("DUMP", "<key>"),
    ("DEL", "<key>"),
    ("UNLINK", "<key>"),
    ("PEXPIRE", "<key>", "1000"),
    ("PEXPIRETIME", "<key>"),
    ("PERSIST", "<key>"),
    ("GET", "<key>"),
    ("SET", "<key>", "v"),
    ("ZADD", "<key>", "1", "m"),
    ("ZREM", "<key>", "m"),
    ("ZCARD", "<key>"),
    ("ZCOUNT", "<key>", "0", "1"),
    ("ZRANGE", "<key>", "0", "-1"),
    ("ZRANK", "<key>", "m"),
    ("ZRANGEBYLEX", "<key>", "-", "+"),
    ("ZREVRANGE", "<key>", "0", "-1"),
    ("ZREVRANK", "<key>", "m"),
    ("ZSCORE", "<key>", "m"),
    ("EVAL", "return 1", "1", "<key>"),
    ("EVALSHA", _NO_SCRIPT, "1", "<key>"),
)
_KEYLESS: Final[tuple[tuple[str, ...], ...]] = (
    ("SCAN", "0"),
    ("TIME",),
    ("FT.INFO", "<index>"),
    ("FT.CREATE", "<index>", "ON", "HASH", "PREFIX", "1", "<prefix>", "SCHEMA", "f", "TAG"),
    ("FT.SEARCH", "<index>", "*"),
    ("FT.DROPINDEX", "<index>"),
)
_KEY_DENIED: Final = "ermissions to access"
COMMANDS: Final = frozenset(command[0] for command in (*_ON_KEYS, *_KEYLESS))
"""Everything that the store runs, in scripts or directly, for the router or for another command."""
FURTHER: Final = frozenset({"DEL", "DUMP", "FT.DROPINDEX", "HEXISTS", "PEXPIRETIME", "TYPE"})
"""What a router without memories of a Go router does not need; see the table of rights in docs/valkey.md."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server said to one command: empty where it took it.

    Attributes:
        command: Its name.
        pattern: The key pattern that would allow its key. RediSearch takes the name of an index for a key.
        said: The server's words.
    """

    command: str
    pattern: str
    said: str


async def rights_findings(
    connection: RespConnection, address: ServerAddress, *, prefix: str, index: str
) -> list[Finding]:
    """Return which commands and keys the user is denied, and whether writes are refused for another reason.

    The commands are only queued in a transaction that is then discarded: a server refuses what a user may not do, or
    what it cannot take now, on queueing already.
    """
    name = address.username or "default"
    try:
        await connection.run(["MULTI"])
    except Refused:
        return [_no_transaction(name, address)]
    refusals: list[Refusal] = []
    for base in (prefix, f"~{prefix}"):
        for command in _ON_KEYS:
            key = f"{base}{_NOBODY}:doctor"
            said = await _queue(connection, [key if part == "<key>" else part for part in command])
            refusals.append(Refusal(command[0], f"~{base}*", said))
    for command in _KEYLESS:
        said = await _queue(connection, [{"<index>": index, "<prefix>": prefix}.get(part, part) for part in command])
        refusals.append(Refusal(command[0], f"~{index}", said))
    await connection.run(["DISCARD"])
    return [rights_finding(name, refusals, address), *_write_findings(refusals, address)]


def rights_finding(name: str, refusals: Sequence[Refusal], address: ServerAddress) -> Finding:
    """Return what to grant to the user ``name``; ``refusals`` hold what the server said to each command."""
    check = "valkey rights"
    denied = [refusal for refusal in refusals if refusal.said.startswith("NOPERM")]
    if not denied:
        return ok(check, f"user {name} may run every command that the router uses on its keys")
    patterns = list(dict.fromkeys(refusal.pattern for refusal in denied if _KEY_DENIED in refusal.said))
    commands = list(dict.fromkeys(refusal.command for refusal in denied if _KEY_DENIED not in refusal.said))
    missing = [*commands, *(f"keys like {pattern[1:]}" for pattern in patterns)]
    grants = [*patterns, *(f"+{command.lower()}" for command in commands)]
    seen = f"user {name} may not use: {', '.join(missing)} (NOPERM)"
    fix = f"as an administrator: {address.admin_cli('ACL', 'SETUSER', name, *grants)}"
    if FURTHER.issuperset(missing):
        why = "memrouter index and reindex, and memories of a Go router, need these; other memories are kept and found"
        return warning(check, seen, why=why, fix=fix)
    return broken(check, seen, why="the router needs these to keep and find memories", fix=fix)


async def _queue(connection: RespConnection, args: Sequence[str]) -> str:
    """Return the server's refusal to queue a command; empty where it did."""
    try:
        await connection.run(args)
    except Refused as error:
        return str(error)
    return ""


def _no_transaction(name: str, address: ServerAddress) -> Finding:
    return warning(
        "valkey rights",
        f"user {name} may not use MULTI, so its other rights could not be tried",
        why="a missing right shows only when the command is needed",
        fix=f"as an administrator: {address.admin_cli('ACL', 'SETUSER', name, '+@transaction')}",
    )


def _write_findings(refusals: Sequence[Refusal], address: ServerAddress) -> Iterator[Finding]:
    reasons = {refusal.said.partition(" ")[0] for refusal in refusals}
    why = "nothing new is remembered"
    if "OOM" in reasons:
        yield broken(
            "valkey writes",
            "out of memory: OOM command not allowed when used memory > 'maxmemory'",
            why=why,
            fix="raise the limit, for example: " + address.admin_cli("CONFIG", "SET", "maxmemory", "1gb"),
        )
    if "MISCONF" in reasons:
        yield broken(
            "valkey writes",
            "the server refuses writes because it cannot save to its disk (MISCONF)",
            why=why,
            fix="free disk space and see that the server may write its folder: "
            + address.admin_cli("CONFIG", "GET", "dir"),
        )
    if "NOREPLICAS" in reasons:
        yield broken(
            "valkey writes",
            "the server refuses writes because too few replicas follow it (NOREPLICAS)",
            why=why,
            fix=f"bring the replicas back; see them with: {address.cli('INFO', 'replication')}",
        )
