"""``global.mcp``: memories as tools for agents, over the Model Context Protocol."""

from pydantic import Field

from memrouter.config.base import Seconds, Section


class McpSettings(Section):
    """The MCP server."""

    enabled: bool = False
    """Whether each listener answers at ``/mcp``; needs the extra ``[mcp]``."""
    timeout: Seconds = Field(default=30, gt=0)
    """Longest time that one call may take."""
