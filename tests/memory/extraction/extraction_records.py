"""Remembered turns for tests of extraction."""

from typing import Any

import numpy as np

from memrouter.models.memory import MemoryRecord, MemoryType, Source

NOON = 1_795_348_800_000
"""2026-11-22, noon, UTC."""


def turn(user: str, assistant: str = "How nice!", *, number: int = 0, **changes: Any) -> MemoryRecord:
    """Return the memory of a turn."""
    usual: dict[str, Any] = {
        "id": f"turn-{number}",
        "user_id": "anna",
        "content": f"Q: {user}\nA: {assistant}",
        "embedding": np.ones(1, dtype=np.float32),
        "embedding_model": "m",
        "created_at": NOON + number,
        "updated_at": NOON + number,
        "conversation_id": "c1",
        "turn_index": number,
        "role": "turn",
    }
    return MemoryRecord(**{**usual, **changes})


def known(text: str, *, number: int = 0, **changes: Any) -> MemoryRecord:
    """Return a remembered fact."""
    usual = {"id": f"fact-{number}", "content": text, "type": MemoryType.SEMANTIC, "source": Source.EXTRACTION}
    return turn("", number=number, **{**usual, "role": "user", **changes})
