"""How full the server is, by its own account."""

from memrouter.stores.pressure import Pressure
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused


async def ask_pressure(connection: Connection) -> Pressure | None:
    """Return how full the fullest node is; None where no node has a limit, or INFO is not allowed.

    Raises:
        StoreUnavailable: The server cannot be reached.
    """
    try:
        reply = await connection.run(("INFO", "memory"))
    except ServerRefused:
        return None
    nodes = [read_pressure(info) for info in (reply.values() if isinstance(reply, dict) else (reply,))]
    known = [node for node in nodes if node is not None]
    return max(known, key=lambda node: node.used_bytes / node.limit_bytes, default=None)


def read_pressure(info: object) -> Pressure | None:
    """Return what one reply of ``INFO memory`` says; None without a limit."""
    text = info.decode(errors="replace") if isinstance(info, bytes) else str(info)
    fields = dict(line.strip().split(":", 1) for line in text.splitlines() if ":" in line)
    used, limit = fields.get("used_memory", ""), fields.get("maxmemory", "")
    if not (_is_number(used) and _is_number(limit)) or int(limit) == 0:
        return None
    return Pressure(int(used), int(limit))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
