"""A user's memories as an MCP server: tools, resources and a prompt. Needs the extra ``[mcp]``."""
