"""The MCP server over one memory service; who is asking is told by the transport, request by request."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from memrouter import __version__
from memrouter.errors import ConfigError, ConfigProblem, NotFound, RequestError
from memrouter.mcp.catalog import (
    INSTRUCTIONS,
    MEMORY_PREFIX,
    PROFILE_PROMPT,
    PROFILE_URI,
    prompts,
    resource_templates,
    resources,
    tool_offers,
)
from memrouter.mcp.failures import explain
from memrouter.mcp.forms import read_form
from memrouter.mcp.profile import MemoryProfile
from memrouter.mcp.text import render
from memrouter.mcp.tools import MemoryTools
from memrouter.mcp.views import MemoryDocument, MemoryView
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.runtime import Runtime

logger = logging.getLogger(__name__)

Context: TypeAlias = ServerRequestContext[Any, Any]
"""One request of a client."""

_UNKNOWN: Final = "Nothing is remembered about this user yet."


class MemoryServer:
    """Answers the requests of the protocol. Keeps nothing between two of them.

    Args:
        tools: What can be called.
        profile: Chooses what stands in a profile.
        scope_of: Says whose memories a request is about.
        clock_now: Returns milliseconds since the epoch.
        seconds: Longest time that one request may take.
    """

    def __init__(
        self,
        tools: MemoryTools,
        *,
        profile: MemoryProfile,
        scope_of: Callable[[Context], Scope],
        clock_now: Callable[[], int],
        seconds: float,
    ) -> None:
        self._tools = tools
        self._offers = tool_offers(tools)
        self._profile = profile
        self._scope_of = scope_of
        self._now = clock_now
        self._seconds = seconds

    def build(self) -> Server[Any]:
        """Return the SDK's server, for any transport."""
        return Server(
            "memrouter",
            version=__version__,
            title="memrouter memory",
            instructions=INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_resource_templates,
            on_read_resource=self.read_resource,
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.get_prompt,
        )

    async def list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """Return the tools."""
        return types.ListToolsResult(tools=[offer.tool for offer in self._offers.values()])

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Do what a tool does; a failure is told to the model.

        Raises:
            MCPError: There is no such tool.
        """
        offer = self._offers.get(params.name)
        if offer is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no such tool; these are: {', '.join(self._offers)}")
        try:
            async with asyncio.timeout(self._seconds):
                form = read_form(offer.form, params.arguments or {})
                answer = await offer.run(self._scope_of(ctx), form)
        except Exception as error:  # noqa: BLE001 - whatever fails, the model is told in one form
            logger.info("mcp call", extra={"tool": offer.tool.name, "outcome": type(error).__name__})
            return types.CallToolResult(content=[_text(explain(error))], is_error=True)
        logger.info("mcp call", extra={"tool": offer.tool.name, "outcome": "ok"})
        return types.CallToolResult(
            content=[_text(answer.text)], structured_content=answer.view.model_dump(mode="json")
        )

    async def list_resources(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the resources that every user has."""
        return types.ListResourcesResult(resources=resources())

    async def list_resource_templates(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the kinds of resources that are named by an id."""
        return types.ListResourceTemplatesResult(resource_templates=resource_templates())

    async def read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """Return a resource.

        Raises:
            MCPError: There is none, or it cannot be had now.
        """
        uri = str(params.uri)
        try:
            async with asyncio.timeout(self._seconds):
                kind, text = await self._read(self._scope_of(ctx), uri)
        except Exception as error:  # noqa: BLE001 - whatever fails, the client is told in one form
            code = types.INVALID_PARAMS if isinstance(error, RequestError) else types.INTERNAL_ERROR
            raise MCPError(code, explain(error), {"uri": uri}) from None
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, mime_type=kind, text=text)])

    async def list_prompts(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        """Return the prompts."""
        return types.ListPromptsResult(prompts=prompts())

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Return a prompt.

        Raises:
            MCPError: There is no such prompt, or it cannot be made now.
        """
        if params.name != PROFILE_PROMPT:
            raise MCPError(types.INVALID_PARAMS, f"there is no such prompt; this one is: {PROFILE_PROMPT}")
        try:
            async with asyncio.timeout(self._seconds):
                text = await self._profile_text(self._scope_of(ctx))
        except Exception as error:  # noqa: BLE001 - whatever fails, the client is told in one form
            raise MCPError(types.INTERNAL_ERROR, explain(error)) from None
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=_text(text))])

    async def _read(self, scope: Scope, uri: str) -> tuple[str, str]:
        """Return the media type and the text of a resource."""
        if uri == PROFILE_URI:
            return "text/plain", await self._profile_text(scope)
        if not uri.startswith(MEMORY_PREFIX):
            raise NotFound(f"there is no such resource; there are {PROFILE_URI} and {MEMORY_PREFIX}{{id}}")
        await self._tools.require_recall(scope)
        record = await self._tools.readable(scope, unquote(uri.removeprefix(MEMORY_PREFIX)))
        return "application/json", MemoryDocument(memory=MemoryView.of(record)).model_dump_json(indent=2)

    async def _profile_text(self, scope: Scope) -> str:
        await self._tools.require_recall(scope)
        facts: Sequence[MemoryRecord] = await self._profile.facts(scope)
        return render(facts, now=self._now()) if facts else _UNKNOWN


def open_memory_server(runtime: Runtime, *, scope_of: Callable[[Context], Scope]) -> Server[Any]:
    """Return the MCP server of a running router's memories.

    Args:
        runtime: Opened and closed by the caller.
        scope_of: Says whose memories a request is about.

    Raises:
        ConfigError: Memory is switched off.
    """
    service, memory = runtime.memory, runtime.settings.memory
    if service is None:
        raise ConfigError([_switched_off()])
    tools = MemoryTools(
        service,
        settings=memory,
        default_threshold=runtime.default_threshold,
        reflection=runtime.reflection,
        clock=runtime.clock,
    )
    profile = MemoryProfile(
        service, settings=memory.quality_scoring, reflection=runtime.reflection, clock=runtime.clock
    )
    server = MemoryServer(
        tools,
        profile=profile,
        scope_of=scope_of,
        clock_now=runtime.clock.now_ms,
        seconds=runtime.settings.global_.mcp.timeout,
    )
    return server.build()


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _switched_off() -> ConfigProblem:
    return ConfigProblem(
        file="<configuration>",
        line=None,
        key="global.stores.memory.enabled",
        found="false, in every route",
        allowed="true, for an MCP server of memories",
        hint="Set global.stores.memory.enabled: true, or global.mcp.enabled: false",
    )
