"""What a worker and its supervisor say to each other, over a pair of connected sockets."""

import asyncio
import struct
from typing import Final, Literal

import msgspec

_LENGTH: Final = struct.Struct("<I")
MAX_BYTES: Final = 64 * 1024 * 1024
"""Largest frame; what says that it is larger is taken for the end of the conversation."""

Kind = Literal["ready", "ask_all", "ask_own", "own", "all"]
"""``ready``: the worker answers requests. ``ask_all``: it wants the metrics of all workers, which come as ``all``.
``ask_own``: the supervisor wants the worker's own, which come as ``own``."""


class Frame(msgspec.Struct, frozen=True):
    """One message.

    Attributes:
        kind: What it is.
        number: Chosen by who asks; the answer has the same.
        body: Metrics in Prometheus' text form; empty in a question.
    """

    kind: Kind
    number: int = 0
    body: bytes = b""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Frame)


def send(writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Send a frame; one to somebody who has gone is lost."""
    if not writer.is_closing():
        data = _ENCODER.encode(frame)
        writer.write(_LENGTH.pack(len(data)) + data)


async def receive(reader: asyncio.StreamReader) -> Frame | None:
    """Return the next frame; None where the other side has gone or says what cannot be understood."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_BYTES:
            return None
        return _DECODER.decode(await reader.readexactly(length))
    except (EOFError, OSError, msgspec.MsgspecError):
        return None
