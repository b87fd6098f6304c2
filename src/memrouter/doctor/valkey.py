"""The checks of the memory store on Valkey, from its name to a memory that is written and found again."""

from collections.abc import Mapping
from importlib.util import find_spec

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings, ValkeySettings
from memrouter.doctor.address import ServerAddress
from memrouter.doctor.canary import canary_finding
from memrouter.doctor.capacity import Sizing, policy_findings, sizing_findings
from memrouter.doctor.durability import durability_findings
from memrouter.doctor.findings import Finding, Level, broken, ok
from memrouter.doctor.index import look_at_index
from memrouter.doctor.permissions import rights_findings
from memrouter.doctor.reach import Reach, Report
from memrouter.doctor.resp import Refused, RespConnection
from memrouter.doctor.server_advice import (
    cluster_state_finding,
    info_fields,
    module_finding,
    role_findings,
    skew_finding,
    version_finding,
)
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import StoreError
from memrouter.sizing.allocators import Allocator
from memrouter.sizing.keyspace import Keyspace
from memrouter.sizing.search_index import SearchModule
from memrouter.sizing.valkey import ServerKind
from memrouter.stores.valkey.errors import refused
from memrouter.stores.valkey.index_info import FoundIndex
from memrouter.stores.valkey.server import ServerFacts


class ValkeyExamination:
    """Looks at one server (in a cluster: at the node that is configured).

    Args:
        memory: ``global.stores.memory``.
        embedder: What the embedder is; None where it could not be opened: its checks are left out.
        report: Takes the findings, in order.
        clock: Tells the time.
    """

    def __init__(self, memory: MemorySettings, embedder: EmbedderInfo | None, *, report: Report, clock: Clock) -> None:
        self._settings = memory.valkey or ValkeySettings()
        self._address = ServerAddress.of_store(self._settings)
        self._embedder = embedder
        self._report = report
        self._clock = clock

    async def run(self) -> None:
        """Report everything; changes nothing but the canary's own key, which is gone afterwards."""
        if find_spec("glide") is None:
            self._report(
                broken(
                    "valkey client",
                    "the package valkey-glide is not installed",
                    why="backend: valkey cannot be used without it",
                    fix="pip install 'memrouter[valkey]'",
                )
            )
        connection = await Reach(self._address, name="valkey", report=self._report, clock=self._clock).connect()
        if connection is None:
            return
        try:
            await self._examine(connection)
        except StoreError as error:
            self._report(
                broken(
                    "valkey",
                    f"the server stopped answering: {error}",
                    why="the checks behind this one were not possible",
                    fix=f"look into the server's log, then run memrouter doctor again; {self._address.cli('PING')}",
                )
            )
        finally:
            await connection.aclose()

    async def _examine(self, connection: RespConnection) -> None:
        address, cluster = self._address, self._settings.cluster
        told = await _allowed(connection, "INFO")
        info = info_fields(told)
        rights = await rights_findings(
            connection, address, prefix=self._settings.collection_prefix, index=self._settings.index_name
        )
        self._add(*rights)
        facts = ServerFacts.read(told, await _allowed(connection, "MODULE", "LIST"))
        self._add(version_finding(facts), *role_findings(info, address, cluster=cluster))
        if cluster and info.get("cluster_enabled") == "1":
            state = await _allowed(connection, "CLUSTER", "INFO")
            self._add(*([cluster_state_finding(info_fields(state), address)] if state is not None else []))
        module = module_finding(facts, address, knows_search=await _knows_search(connection))
        self._add(module)
        found = None
        if module.level is not Level.BROKEN:
            found = await self._look_at_index(connection)
        config = await _config(connection)
        self._add(*durability_findings(info, config, address), *policy_findings(info, address))
        if self._embedder is not None and found is not None:
            self._add(*sizing_findings(info, found.documents, self._sizing(found, facts, info)))
        await self._compare_clocks(connection)

    async def _look_at_index(self, connection: RespConnection) -> FoundIndex | None:
        if self._embedder is None:
            return None
        look = await look_at_index(connection, self._settings, self._address, self._embedder)
        self._add(*look.findings)
        if look.found is None:
            return None
        if not look.claimed:
            self._add(ok("canary", "not sent: no router has used this index yet"))
        elif all(finding.level is not Level.BROKEN for finding in look.findings):
            self._add(await canary_finding(self._settings, self._embedder))
        return look.found

    def _sizing(self, found: FoundIndex, facts: ServerFacts, info: Mapping[str, str]) -> Sizing:
        vector, dimension = found.vector, self._embedder.dimension if self._embedder else 0
        graph = vector is not None and vector.algorithm == "HNSW"
        links = (vector.m if vector and vector.m else self._settings.index_m) if graph else 0
        module = SearchModule.REDISEARCH if facts.search == "RediSearch" else SearchModule.VALKEY_SEARCH
        kind = ServerKind(module, Keyspace(Allocator.named(info.get("mem_allocator", ""))))
        return Sizing(dimension=dimension, graph_links=links, text_index="content" in found.fields, kind=kind)

    async def _compare_clocks(self, connection: RespConnection) -> None:
        before = self._clock.now_ms()
        told = await _allowed(connection, "TIME")
        match told:
            case [bytes(seconds), bytes(microseconds)] if seconds.isdigit() and microseconds.isdigit():
                server_ms = int(seconds) * 1000 + int(microseconds) // 1000
                self._add(skew_finding(server_ms, before, self._clock.now_ms()))

    def _add(self, *findings: Finding) -> None:
        for finding in findings:
            self._report(finding)


async def _config(connection: RespConnection) -> Mapping[str, str]:
    """Return what CONFIG GET tells of persistence; without what it does not."""
    config = {}
    for name in ("save", "appendfsync"):
        reply = await _allowed(connection, "CONFIG", "GET", name)
        match reply:
            case [_, bytes(value)]:
                config[name] = value.decode(errors="replace")
    return config


async def _knows_search(connection: RespConnection) -> bool | None:
    try:
        await connection.run(["FT._LIST"])
    except Refused as error:
        return False if refused(str(error), place="the server").command_unknown else None
    return True


async def _allowed(connection: RespConnection, *args: str) -> object:
    """Return the reply; None where the server refuses the command."""
    try:
        return await connection.run(args)
    except Refused:
        return None
