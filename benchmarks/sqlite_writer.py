"""``python -m benchmarks.sqlite_writer FILE SYNCHRONOUS NUMBER``: writes memories until it is killed.

Prints the id of each once it was acknowledged.
"""

import asyncio
import sys
from pathlib import Path

from msgspec.structs import replace

from benchmarks.durability import DIMENSION, sqlite_store
from benchmarks.memories import Memories


async def run(file: Path, synchronous: str, number: int) -> None:
    """Write without an end."""
    store = await sqlite_store(file, synchronous)
    memories = Memories(number, dimension=DIMENSION)
    while True:
        for record in memories.of("user", 100):
            named = replace(record, id=f"k{number}-{record.id}")
            await store.create([named])
            print(named.id, flush=True)


def main() -> None:
    """Read the arguments and write."""
    file, synchronous, number = sys.argv[1:]
    asyncio.run(run(Path(file), synchronous, int(number)))


if __name__ == "__main__":
    main()
