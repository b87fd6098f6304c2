"""An MCP server that passes everything on to a running router's ``/mcp``, for clients that only speak stdio."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import httpx2
import mcp_types as types
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from memrouter import __version__
from memrouter.errors import MemrouterError

PATIENCE_SECONDS: Final = 60

T = TypeVar("T")
Context: TypeAlias = ServerRequestContext[Any, Any]


class Bridge:
    """Hands requests to a router and its answers back; each request stands alone, so that a router may restart.

    Args:
        http: Sends the headers that say who is asking; closed by whoever opened it.
        endpoint: Where the router answers.
        instructions: What the router tells models about its tools.
    """

    def __init__(self, http: httpx2.AsyncClient, endpoint: str, *, instructions: str | None = None) -> None:
        self._http = http
        self._endpoint = endpoint
        self._instructions = instructions

    def build(self) -> Server[Any]:
        """Return the SDK's server, for any transport."""
        return Server(
            "memrouter",
            version=__version__,
            title="memrouter memory",
            instructions=self._instructions,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_resource_templates,
            on_read_resource=self.read_resource,
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.get_prompt,
        )

    async def list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """Return the router's tools."""
        return await self.ask(lambda router: router.list_tools())

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Return what a tool of the router gives back."""
        return await self.ask(lambda router: router.call_tool(params.name, params.arguments or {}))

    async def list_resources(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the router's resources."""
        return await self.ask(lambda router: router.list_resources())

    async def list_resource_templates(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the router's kinds of resources."""
        return await self.ask(lambda router: router.list_resource_templates())

    async def read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """Return a resource of the router."""
        return await self.ask(lambda router: router.read_resource(str(params.uri)))

    async def list_prompts(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        """Return the router's prompts."""
        return await self.ask(lambda router: router.list_prompts())

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Return a prompt of the router."""
        return await self.ask(lambda router: router.get_prompt(params.name, params.arguments))

    async def ask(self, question: Callable[[Client], Awaitable[T]], *, mode: str = MODERN_PROTOCOL_VERSIONS[0]) -> T:
        """Return the router's answer.

        Args:
            question: Asks it.
            mode: Version of the protocol; ``auto`` finds out whether the router speaks it.

        Raises:
            MCPError: The router's own, or there was no answer.
        """
        transport = streamable_http_client(self._endpoint, http_client=self._http)
        try:
            async with Client(transport, mode=mode, cache=None) as router:
                return await question(router)
        except Exception as error:  # noqa: BLE001 - the SDK's tasks wrap whatever they met in groups
            cause = _first(error)
            if isinstance(cause, MCPError):
                raise cause from None
            reason = str(cause) or type(cause).__name__
            raise MCPError(types.INTERNAL_ERROR, f"no answer from the router at {self._endpoint}: {reason}") from None


@contextlib.asynccontextmanager
async def open_bridge(url: str, headers: Mapping[str, str]) -> AsyncIterator[Bridge]:
    """Make sure that a router answers, and pass requests on to it.

    Args:
        url: Its address, such as ``http://127.0.0.1:8888``.
        headers: What says who is asking; the same in every request.

    Raises:
        MemrouterError: It does not answer, or not as an MCP server.
    """
    endpoint = f"{url.rstrip('/').removesuffix('/v1').removesuffix('/mcp')}/mcp"
    async with httpx2.AsyncClient(headers=dict(headers), timeout=PATIENCE_SECONDS) as http:
        try:
            instructions = await Bridge(http, endpoint).ask(_instructions, mode="auto")
        except MCPError as error:
            raise MemrouterError(
                f"no MCP server answers at {endpoint} ({error}); is it a router with global.mcp.enabled: true?"
            ) from None
        yield Bridge(http, endpoint, instructions=instructions)


async def _instructions(router: Client) -> str | None:
    return router.instructions


def _first(error: BaseException) -> BaseException:
    """Return the first thing that went wrong, of those that stand in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
