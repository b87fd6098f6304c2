"""Answers of a model that draws facts from turns, as vLLM gives them, for ``ScriptedUpstream``."""

import json
from collections.abc import Mapping
from typing import Any

from memrouter.testing.upstream import Answer, Received


def fact(text: str, *, turns: tuple[int, ...] = (1,), **changes: Any) -> dict[str, Any]:
    """Return one fact in the form that the model is asked for.

    Args:
        text: The fact.
        turns: Numbers of the turns that say it.
        changes: Other fields, such as ``replaces``.
    """
    usual = {"type": "semantic", "importance": 0.6, "said_by": "user", "replaces": 0}
    return {"fact": text, "turns": list(turns), **usual, **changes}


def facts_answer(*facts: Mapping[str, Any], prompt_tokens: int = 700, completion_tokens: int = 60) -> Answer:
    """Return the answer of a model server that holds these facts."""
    return text_answer(json.dumps({"facts": facts}), prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)


def text_answer(text: str, *, prompt_tokens: int = 700, completion_tokens: int = 60) -> Answer:
    """Return the answer of a model server that holds this text, in the shape of vLLM's."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "reasoning_content": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    total = prompt_tokens + completion_tokens
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}
    return Answer.json(
        {
            "id": "chatcmpl-9f0",
            "object": "chat.completion",
            "created": 1_767_225_600,
            "model": "org/small",
            "choices": [choice],
            "usage": {**usage, "prompt_tokens_details": None},
            "prompt_logprobs": None,
            "kv_transfer_params": None,
        }
    )


def shown_turns(request: Received) -> list[dict[str, Any]]:
    """Return the turns that a request showed to the model."""
    return [line for line in _shown(request) if "turn" in line]


def shown_facts(request: Received) -> list[dict[str, Any]]:
    """Return the remembered facts that a request showed to the model."""
    return [line for line in _shown(request) if "number" in line]


def _shown(request: Received) -> list[dict[str, Any]]:
    asked = request.json()["messages"][-1]["content"]
    return [json.loads(line) for line in asked.splitlines() if line.startswith("{")]
