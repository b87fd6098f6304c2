"""Mixed traffic at a steady rate: whole answers, streams, clients that hang up, models that break."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from benchmarks.load.connection import Connection, Seen

KINDS: Sequence[tuple[str, str, bool, int | None]] = (
    *(("streamed", "qwen3", True, None),) * 10,
    *(("whole", "qwen3", False, None),) * 6,
    *(("hung up", "qwen3", True, 3),) * 2,
    ("status 500", "broken", False, None),
    ("cut off", "cut", True, None),
)
"""What each request of twenty is: name, model, streamed, pieces after which the client hangs up."""
MOST_AT_ONCE = 1_000


async def soak(
    port: int, made: Callable[[str, bool], Iterator[bytes]], *, rate: float, seconds: float
) -> dict[str, object]:
    """Send requests at fixed times, whether or not earlier ones are answered; return how many of each kind were sent.

    Args:
        port: Of the server on this machine.
        made: Returns the requests for a model, streamed or not.
        rate: Requests per second.
        seconds: How long.
    """
    requests = {(model, stream): made(model, stream) for _, model, stream, _ in KINDS}
    seen, sent, late, begun = Seen(), Counter[str](), 0, time.perf_counter()
    under_way: set[asyncio.Task[None]] = set()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        if len(under_way) >= MOST_AT_ONCE:
            late += 1
            continue
        kind, model, stream, pieces = KINDS[number % len(KINDS)]
        task = asyncio.create_task(_once(port, next(requests[model, stream]), seen, hang_up_after=pieces))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        sent[kind] += 1
    if under_way:
        await asyncio.wait(under_way, timeout=30)
    return {"sent": sent, "answered": len(seen.latencies), "failures": seen.failures, "left_out": late}


async def _once(port: int, request: bytes, seen: Seen, *, hang_up_after: int | None) -> None:
    left = [request]
    loop = asyncio.get_running_loop()
    try:
        _, protocol = await loop.create_connection(
            lambda: Connection(lambda: left.pop() if left else None, seen, hang_up_after=hang_up_after),
            "127.0.0.1",
            port,
        )
    except OSError:
        seen.failures += 1
        return
    await protocol.ended
