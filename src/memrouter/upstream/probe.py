"""Whether model servers can be connected to, without asking them anything."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from memrouter.errors import UpstreamUnreachable
from memrouter.upstream.backend import Backend


async def check_backends(models: Mapping[str, Sequence[Backend]], *, patience: float) -> None:
    """Return if every model has a backend that takes connections.

    Args:
        models: Backends by model.
        patience: Seconds to wait for a connection.

    Raises:
        UpstreamUnreachable: It names the models without one.
    """
    backends = {backend.url: backend for own in models.values() for backend in own}
    urls = list(backends)
    found = await asyncio.gather(*(_connects(backends[url], patience) for url in urls))
    reachable = {url for url, connects in zip(urls, found, strict=True) if connects}
    missing = [name for name, own in models.items() if not any(backend.url in reachable for backend in own)]
    if missing:
        raise UpstreamUnreachable(f"no backend can be connected to for: {', '.join(missing)}")


async def _connects(backend: Backend, patience: float) -> bool:
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(backend.url.host, backend.url.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
