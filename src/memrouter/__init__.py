"""memrouter: an OpenAI-compatible semantic router with agentic memory."""

__version__ = "0.1.0"

__all__ = ["__version__"]
