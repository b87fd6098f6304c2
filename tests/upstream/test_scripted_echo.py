import json

import aiohttp

from memrouter.testing.echo import echo_all
from memrouter.testing.upstream import ScriptedUpstream

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}, {"role": "assistant"}]
SAID = "[system]: Be brief.\n[user]: Hello\n[assistant]: "


async def test_every_message_comes_back_whole_or_as_a_stream() -> None:
    async with ScriptedUpstream(echo_all) as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/chat/completions"
        async with session.post(url, json={"messages": MESSAGES}) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"] == SAID
        async with session.post(url, json={"messages": MESSAGES, "stream": True}) as answer:
            first = (await answer.read()).split(b"\n\n")[0].removeprefix(b"data: ")
            assert json.loads(first)["choices"][0]["delta"]["content"] == SAID
