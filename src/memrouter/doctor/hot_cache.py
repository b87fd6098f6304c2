"""Whether the hot cache can be reached. Without it memory is slower, not broken."""

from dataclasses import replace

from memrouter.clock import Clock
from memrouter.config.memory import RedisCacheSettings
from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, Level, warning
from memrouter.doctor.reach import Reach, Report
from memrouter.errors import ConfigError


async def examine_hot_cache(settings: RedisCacheSettings, *, report: Report, clock: Clock) -> None:
    """Report every step to the cache; what breaks there is a warning."""
    try:
        address = ServerAddress.of_cache(settings)
    except ConfigError as error:
        report(
            warning(
                "cache address",
                str(error),
                why="retrieval goes to the store each time",
                fix="set global.stores.memory.redis_cache.address to host:port",
            )
        )
        return
    connection = await Reach(
        address, name="cache", report=lambda found: report(_softened(found)), clock=clock
    ).connect()
    if connection is not None:
        await connection.aclose()


def _softened(finding: Finding) -> Finding:
    if finding.level is not Level.BROKEN:
        return finding
    return replace(finding, level=Level.WARNING, why="without the cache, retrieval goes to the store each time: slower")
