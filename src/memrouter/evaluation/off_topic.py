"""Questions that a history cannot answer."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Literal

import msgspec

from memrouter.errors import InvalidRequest
from memrouter.evaluation.conversations import Conversation

OffTopic = Literal["other conversation", "general"]
"""Where an off-topic question comes from: another conversation's questions, or the bundled list."""


def general_questions() -> tuple[str, ...]:
    """Return the bundled questions, of the kind people ask an assistant, that no personal history answers.

    Reads a file: not for the event loop.
    """
    raw = files("memrouter.evaluation").joinpath("data/general_questions.json").read_bytes()
    return msgspec.json.decode(raw, type=tuple[str, ...])


def others(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Return for each conversation the one whose questions are off its topic: the next one, for the last the first.

    Raises:
        InvalidRequest: There is only one conversation.
    """
    if len(conversations) < 2:
        raise InvalidRequest("off-topic questions come from another conversation; at least two are needed")
    return [*conversations[1:], conversations[0]]
