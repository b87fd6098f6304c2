"""The demo on Valkey, as a user runs it."""

import asyncio
import sys


async def test_the_story_holds_on_valkey() -> None:
    command = (sys.executable, "-m", "memrouter", "demo", "--store", "valkey")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert "store: Valkey" in " ".join(output.decode().split())
    assert "All 16 steps held." in output.decode()
