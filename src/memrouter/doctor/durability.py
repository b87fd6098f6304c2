"""Whether memories survive a restart of the server. Pure."""

from collections.abc import Iterator, Mapping

from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, broken, ok, warning


def durability_findings(
    info: Mapping[str, str], config: Mapping[str, str], address: ServerAddress
) -> Iterator[Finding]:
    """Yield what a crash of the server would cost.

    Args:
        info: Fields of ``INFO persistence``.
        config: ``save`` and ``appendfsync`` of CONFIG GET; without what the user may not see.
        address: Of the server.
    """
    if "aof_enabled" not in info:
        return
    check, aof = "persistence", info["aof_enabled"] == "1"
    snapshots = config.get("save")
    yield from _failures(info, aof=aof, snapshots=bool(snapshots), address=address)
    switch_on = (
        f"{address.admin_cli('CONFIG', 'SET', 'appendonly', 'yes')}; to keep it over restarts, start the server with "
        "--appendonly yes --appendfsync everysec"
    )
    if aof:
        yield _aof(config.get("appendfsync", ""), address)
    elif snapshots:
        yield warning(
            check,
            f"snapshots only (save {snapshots}), no append-only file",
            why="a crash loses every memory since the last snapshot",
            fix=switch_on,
        )
    elif snapshots is None:
        yield warning(
            check,
            "no append-only file; whether snapshots are made may not be seen (CONFIG GET)",
            why="a crash loses every memory since the last snapshot, or all of them",
            fix=switch_on,
        )
    else:
        yield warning(
            check,
            "off: neither append-only file nor snapshots",
            why="a restart of the server forgets every memory",
            fix=switch_on,
        )


def _aof(fsync: str, address: ServerAddress) -> Finding:
    if fsync == "no":
        return warning(
            "persistence",
            "append-only file, written to disk when the system pleases (appendfsync no)",
            why="a power cut loses the memories of about the last half minute",
            fix=address.admin_cli("CONFIG", "SET", "appendfsync", "everysec"),
        )
    lost = {"always": "no acknowledged memory", "everysec": "at most about the last second"}.get(fsync)
    return ok("persistence", "append-only file on" + (f" (appendfsync {fsync}): a crash loses {lost}" if lost else ""))


def _failures(info: Mapping[str, str], *, aof: bool, snapshots: bool, address: ServerAddress) -> Iterator[Finding]:
    failed = []
    if aof and info.get("aof_last_write_status", "ok") != "ok":
        failed.append("the last write of the append-only file failed")
    if snapshots and info.get("rdb_last_bgsave_status", "ok") != "ok":
        failed.append("the last snapshot failed")
    for seen in failed:
        yield broken(
            "persistence status",
            seen,
            why="the server refuses writes in this state (MISCONF), and a restart loses memories",
            fix="free disk space and see that the server may write its folder "
            f"({address.admin_cli('CONFIG', 'GET', 'dir')}); then: {address.admin_cli('BGSAVE')}",
        )
    if info.get("loading") == "1":
        yield broken(
            "persistence status",
            "the server is loading its data",
            why="it answers no command until that is done",
            fix=f"wait; see how far it is: {address.cli('INFO', 'persistence')}",
        )
