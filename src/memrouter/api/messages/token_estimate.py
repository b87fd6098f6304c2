"""What of a chat request counts as text, for an estimate of its tokens. Pure."""

from typing import Any, Final

import msgspec

IMAGE_TOKENS: Final = 1_600
"""Tokens of an image or a file, whatever its size: about those of an image of the largest size that models look at."""


def countable(body: bytes) -> tuple[str, int]:
    """Return the text of messages and tools, and the number of images and files.

    Args:
        body: A chat request that has been checked.
    """
    fields: dict[str, Any] = msgspec.json.decode(body)
    texts: list[str] = []
    media = 0
    for message in fields["messages"]:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        texts += [part["text"] for part in parts if part["type"] == "text"]
        media += sum(part["type"] != "text" for part in parts)
        texts += [call["function"]["name"] + call["function"]["arguments"] for call in message.get("tool_calls", ())]
    texts += [msgspec.json.encode(tool["function"]).decode() for tool in fields.get("tools", ())]
    return "\n".join(texts), media
