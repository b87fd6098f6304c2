"""What a server's version, role, mode and clock mean for the router. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.stores.valkey.server import LEAST_REDIS, LEAST_SEARCH, LEAST_VALKEY, MODULE_FIX, ServerFacts, dotted

MOST_SKEW_MS: Final = 2000
"""Difference between two clocks from which dates of memories come out wrong."""


def info_fields(reply: object) -> dict[str, str]:
    """Return the fields in a reply of INFO; empty for anything else."""
    if not isinstance(reply, bytes):
        return {}
    pairs = (line.partition(":") for line in reply.decode(errors="replace").splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, _, value in pairs if name}


def version_finding(facts: ServerFacts) -> Finding:
    """Return whether the server is new enough."""
    check = "valkey version"
    if facts.version is None:
        return _unseen(check, "the server's version", "+info")
    least = LEAST_VALKEY if facts.product == "Valkey" else LEAST_REDIS
    seen = f"{facts.product} {dotted(facts.version)}"
    if facts.version >= least:
        return ok(check, seen)
    return broken(
        check,
        f"{seen}, older than {dotted(least)}",
        why="the Search module that memory needs does not run on it",
        fix="upgrade the server to Valkey 8.0 or newer, for example: docker pull valkey/valkey-bundle:latest",
    )


def module_finding(facts: ServerFacts, address: ServerAddress, *, knows_search: bool | None) -> Finding:
    """Return whether the Search module is there and new enough.

    Args:
        facts: What the server tells of itself.
        address: Of the server.
        knows_search: Whether it knows the FT.* commands; None where that could not be seen.
    """
    check = "valkey search module"
    if knows_search is False or (facts.search == "" and knows_search is None):
        return broken(
            check,
            "the Search module is not loaded (unknown command 'FT.CREATE')",
            why="without it memories cannot be indexed or searched: FT.CREATE failed: unknown command",
            fix=f"{MODULE_FIX} (rather than plain valkey/valkey); then check: {address.cli('MODULE', 'LIST')}",
        )
    if facts.search == "RediSearch" and address.database:
        return broken(
            check,
            f"RediSearch only indexes database 0, configured is {address.database}",
            why="the index cannot be made: Cannot create index on db != 0",
            fix=f"set {address.section}.database: 0, or use valkey-search (valkey/valkey-bundle)",
        )
    if not facts.search or facts.search_version is None:
        return ok(check, "the FT.* commands are there; their version cannot be seen (MODULE LIST)")
    least = LEAST_SEARCH[facts.search]
    seen = f"{facts.search} {dotted(facts.search_version)}"
    if facts.search_version >= least:
        return ok(check, seen)
    return broken(
        check,
        f"{seen}, older than {dotted(least)}",
        why="its queries lack what retrieval needs",
        fix="upgrade the module, for example with the image valkey/valkey-bundle:latest; then check: "
        + address.cli("MODULE", "LIST"),
    )


def role_findings(info: Mapping[str, str], address: ServerAddress, *, cluster: bool) -> Iterator[Finding]:
    """Yield whether the server takes writes and is of the configured mode; ``info`` are INFO's fields."""
    section, role = address.section, info.get("role")
    if role is None:
        yield _unseen("valkey role", "the server's role", "+info")
        return
    if role == "master" or (role == "slave" and cluster):
        yield ok("valkey role", "primary" if role == "master" else "replica of a cluster, whose primaries are used")
    else:
        primary = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        yield broken(
            "valkey role",
            f"the server is a replica of {primary}" if role == "slave" else f"the server is a {role}",
            why="it takes no writes: nothing would be remembered",
            fix=f"set {section}.host and port to the primary ({primary})",
        )
    clustered = info.get("cluster_enabled", "0") == "1"
    if clustered != cluster:
        state = "in cluster mode" if clustered else "not in cluster mode"
        yield broken(
            "valkey cluster mode",
            f"the server is {state}, but {section}.cluster is {str(cluster).lower()}",
            why="commands for keys of other nodes fail" if clustered else "the cluster client finds no cluster",
            fix=f"set {section}.cluster: {str(clustered).lower()}",
        )


def cluster_state_finding(state: Mapping[str, str], address: ServerAddress) -> Finding:
    """Return whether a cluster serves all slots; ``state`` are the fields of CLUSTER INFO."""
    found, slots = state.get("cluster_state", "unknown"), state.get("cluster_slots_ok", "?")
    if found == "ok":
        return ok("valkey cluster state", f"ok, {slots} slots served by {state.get('cluster_size', '?')} primaries")
    return broken(
        "valkey cluster state",
        f"{found}, {slots} of 16384 slots served",
        why="users whose slot is not served have no memory",
        fix=f"mend the cluster: valkey-cli --cluster fix {address}",
    )


def skew_finding(server_ms: int, before_ms: int, after_ms: int) -> Finding:
    """Return whether server and router agree on the time.

    Args:
        server_ms: The server's clock.
        before_ms: Our clock when it was asked.
        after_ms: Our clock when it had answered.
    """
    skew = max(0, before_ms - server_ms, server_ms - after_ms)
    if skew < MOST_SKEW_MS:
        return ok("clock", "the server's clock agrees with this machine's")
    return warning(
        "clock",
        f"the server's clock is {skew / 1000:.1f} s {'ahead of' if server_ms > after_ms else 'behind'} this machine's",
        why="dates, expiry and recency of memories depend on the routers' clocks, which must agree",
        fix="keep both machines on network time; check with: timedatectl status",
    )


def _unseen(check: str, what: str, right: str) -> Finding:
    return warning(
        check,
        f"{what} may not be seen by this user",
        why="a server that does not suit would be found out late",
        fix=f"valkey-cli ACL SETUSER NAME {right}",
    )
