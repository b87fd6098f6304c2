"""The object that the Responses API answers with, built from a chat completion. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from memrouter.api.responses.chat_body import ResponsesRequest
from memrouter.api.translation import token_count

Json: TypeAlias = dict[str, Any]

_ECHOED: Final[Mapping[str, Any]] = {
    "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
    "max_output_tokens": None, "max_tool_calls": None, "reasoning": {"effort": None, "summary": None},
    "service_tier": "default", "text": {"format": {"type": "text"}}, "top_logprobs": 0, "truncation": "disabled",
    "user": None,
}  # fmt: skip
"""Parameters that an answer repeats, with what stands for one that was not given."""

INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by the model's finish reason."""


@dataclass(slots=True)
class Answer:
    """One answer as it grows.

    Attributes:
        request: What was asked; its ``store`` says whether the answer will be kept.
        id: Its id.
        created_at: Seconds since the epoch.
        new_id: Returns a fresh id for a kind of item, such as ``msg``.
        model: The model that answered, once it says so.
        output: Items that are finished.
        status: ``in_progress``, ``completed``, ``incomplete`` or ``failed``.
        usage: Tokens, once known.
        error: Code and message of a failure.
        reason: Why it is incomplete.
    """

    request: ResponsesRequest
    id: str
    created_at: int
    new_id: Callable[[str], str]
    model: str = ""
    output: list[Json] = field(default_factory=list)
    status: str = "in_progress"
    usage: Json | None = None
    error: Json | None = None
    reason: str | None = None

    def close(self, finish_reason: str | None) -> None:
        """Note that the model has finished."""
        self.reason = INCOMPLETE.get(finish_reason or "")
        self.status = "incomplete" if self.reason else "completed"

    def fail(self, code: str, message: str) -> None:
        """Note that there is no answer."""
        self.status = "failed"
        self.error = {"code": code, "message": message}

    def render(self) -> Json:
        """Return the object as it stands."""
        asked = self.request.fields
        echoed = {name: asked.get(name) if asked.get(name) is not None else value for name, value in _ECHOED.items()}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": self.status,
            "background": False,
            "error": self.error,
            "incomplete_details": {"reason": self.reason} if self.reason else None,
            "instructions": self.request.instructions,
            "model": self.model or self.request.model,
            "output": list(self.output),
            "previous_response_id": self.request.previous,
            "store": self.request.store,
            "usage": self.usage,
            **echoed,
            **({} if self.status == "in_progress" else {"output_text": self._words()}),
        }

    def _words(self) -> str:
        """Return all that was said, as clients of the Go router read it."""
        messages = (item["content"] for item in self.output if item["type"] == "message")
        return "".join(part.get("text", "") for content in messages for part in content)


def message_item(item_id: str, parts: Sequence[Json], *, status: str = "completed") -> Json:
    """Return an item with the model's words."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": list(parts)}


def text_part(text: str) -> Json:
    """Return a part with words."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Json:
    """Return a part with a refusal."""
    return {"type": "refusal", "refusal": text}


def call_item(item_id: str, *, call_id: str, name: str, arguments: str, status: str = "completed") -> Json:
    """Return an item that calls a function."""
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def reasoning_part(text: str) -> Json:
    """Return a part with thinking."""
    return {"type": "reasoning_text", "text": text}


def reasoning_item(item_id: str, parts: Sequence[Json], *, status: str = "completed") -> Json:
    """Return an item with the model's thinking."""
    return {"id": item_id, "type": "reasoning", "summary": [], "content": list(parts), "status": status}


def usage_of(counts: Mapping[str, Any]) -> Json:
    """Return a backend's token counts in the Responses API's words."""
    asked, said = token_count(counts.get("prompt_tokens")), token_count(counts.get("completion_tokens"))
    return {
        "input_tokens": asked,
        "input_tokens_details": {
            "cached_tokens": _detail(counts, "prompt_tokens_details", "cached_tokens"),
            "cache_write_tokens": _detail(counts, "prompt_tokens_details", "cache_write_tokens"),
        },
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": _detail(counts, "completion_tokens_details", "reasoning_tokens")},
        "total_tokens": token_count(counts.get("total_tokens")) or asked + said,
    }


def _detail(counts: Mapping[str, Any], group: str, name: str) -> int:
    details = counts.get(group)
    return token_count(details.get(name)) if isinstance(details, dict) else 0
