"""An inspector's run: everything that is offered is described rightly and does what it says."""

import asyncio
import json
from typing import Any

import jsonschema
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, TextContent

from memrouter import __version__
from memrouter.errors import ConfigError
from memrouter.mcp.profile import MemoryProfile
from memrouter.mcp.server import MemoryServer, open_memory_server
from memrouter.mcp.tools import MemoryTools
from memrouter.runtime import Runtime

from .calls import done, refused, remembered, resource
from .conftest import ANN, Connect

TOOLS = ["remember", "recall", "list", "update", "forget", "history"]
READING = {"recall", "list", "history"}
DESTRUCTIVE = {"update", "forget"}
PEANUTS = "The user is allergic to peanuts."


async def test_every_tool_is_described_for_a_model_and_for_programs(ann: Client) -> None:
    tools = (await ann.list_tools()).tools
    assert [tool.name for tool in tools] == TOOLS
    for tool in tools:
        assert tool.title
        assert tool.description is not None
        assert len(tool.description) > 80
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema is not None
            assert schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert "$ref" not in json.dumps(tool.input_schema)
        for name, field in tool.input_schema["properties"].items():
            assert field.get("description"), f"{tool.name}.{name}"


async def test_hints_say_what_a_tool_may_do(ann: Client) -> None:
    for tool in (await ann.list_tools()).tools:
        hints = tool.annotations
        assert hints is not None
        assert bool(hints.read_only_hint) == (tool.name in READING)
        assert bool(hints.destructive_hint) == (tool.name in DESTRUCTIVE)
        assert (hints.idempotent_hint, hints.open_world_hint) == (True, False)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_inspector_finds_everything_in_order(connect: Connect, mode: str) -> None:
    async with connect(mode=mode) as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("memrouter", __version__)
        assert "recall" in (client.instructions or "")
        name = await remembered(client, PEANUTS)
        for tool, given in (
            ("recall", {"query": "peanuts"}),
            ("list", {}),
            ("history", {"id": name}),
            ("update", {"id": name, "content": "The user is allergic to cashews."}),
            ("forget", {"id": name}),
        ):
            await done(client, tool, **given)
        assert [each.uri for each in (await client.list_resources()).resources] == ["memory://profile"]
        (template,) = (await client.list_resource_templates()).resource_templates
        name = await remembered(client, PEANUTS)
        document = json.loads(await resource(client, template.uri_template.replace("{id}", name)))
        assert document["memory"]["content"] == PEANUTS
        assert PEANUTS in await resource(client, "memory://profile")
        (prompt,) = (await client.list_prompts()).prompts
        (message,) = (await client.get_prompt(prompt.name)).messages
        assert isinstance(message.content, TextContent)
        assert PEANUTS in message.content.text


async def test_what_is_not_offered_is_an_error_of_the_protocol(ann: Client) -> None:
    for call in (
        ann.call_tool("recall_everybody", {}),
        ann.read_resource("memory://profiles"),
        ann.read_resource("file:///etc/passwd"),
        ann.read_resource("memory://memories/"),
        ann.read_resource("memory://memories/%2e%2e"),
        ann.read_resource("memory://memories/" + "x" * 5000),
        ann.get_prompt("profiles"),
    ):
        with pytest.raises(MCPError) as caught:
            await call
        assert caught.value.code == INVALID_PARAMS


async def test_calls_of_one_client_run_at_the_same_time(ann: Client) -> None:
    names = await asyncio.gather(
        *(remembered(ann, f"The user owns horse {word}.") for word in ["Ada", "Bea", "Cid", "Dan"])
    )
    assert len(set(names)) == 4
    assert (await done(ann, "list"))["total"] == 4


async def test_a_call_that_takes_too_long_is_given_up(runtime: Runtime) -> None:
    assert runtime.memory is not None
    shared: dict[str, Any] = {"reflection": runtime.reflection, "clock": runtime.clock}
    memory = runtime.settings.memory
    server = MemoryServer(
        MemoryTools(runtime.memory, settings=memory, default_threshold=0.5, **shared),
        profile=MemoryProfile(runtime.memory, settings=memory.quality_scoring, **shared),
        scope_of=lambda _: ANN,
        clock_now=runtime.clock.now_ms,
        seconds=0,
    )
    async with Client(server.build()) as client:
        assert "took too long" in await refused(client, "remember", content=PEANUTS)
        with pytest.raises(MCPError, match="took too long"):
            await client.read_resource("memory://profile")


async def test_without_memory_there_is_no_server(runtime: Runtime) -> None:
    runtime.memory = None
    with pytest.raises(ConfigError, match=r"memory\.enabled"):
        open_memory_server(runtime, scope_of=lambda _: ANN)
