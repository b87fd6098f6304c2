"""Short forms for what tests of the MCP server do often."""

from typing import Any

from mcp.client.client import Client
from mcp_types import CallToolResult, TextContent, TextResourceContents


def said(result: CallToolResult) -> str:
    """Return the text of a result."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def done(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool that must succeed and return its structured result, which the client has checked by its schema."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, said(result)
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must fail and return what the model is told."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, said(result)
    return said(result)


async def remembered(client: Client, content: str, **arguments: Any) -> str:
    """Have something remembered and return its id."""
    made = await done(client, "remember", content=content, **arguments)
    return str(made["memory"]["id"])


async def resource(client: Client, uri: str) -> str:
    """Return the text of a resource."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text
