"""Draws how a request flows, as an SVG that is readable on light and on dark pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1000, 452
LEFT, RIGHT, GAP, BOX = 150, 830, 18, 52
DESCRIPTION: Final = (
    "A request goes from the client through the router: who is calling, signals, decision, model. The memory plugin "
    "asks whether the message is worth a search, finds and ranks the user's memories, filters them and puts them into "
    "the prompt. The model server's answer goes back to the client byte for byte. After the last byte the turn is "
    "extracted, screened, compared with what is known, embedded and stored. Where memory fails, the request goes on "
    "without it."
)


@dataclass(frozen=True)
class Step:
    """One box: what happens, what with, and the memory status of a request whose memory ends here."""

    name: str
    detail: str
    status: str = ""


@dataclass(frozen=True)
class Lane:
    """Steps from left to right under a heading."""

    heading: str
    top: int
    steps: tuple[Step, ...]


LANES: Final = (
    Lane(
        "The request",
        58,
        (
            Step("who is calling", "proxy header, key, token"),
            Step("signals", "words, meaning, groups"),
            Step("decision", "highest priority"),
            Step("model and plugins", "prompt, memory, headers"),
        ),
    ),
    Lane(
        "Memory, within a deadline",
        164,
        (
            Step("gate", "worth a search?", "ignored"),
            Step("find", "words and vectors", "unavailable"),
            Step("rank", "of this user only", "missing"),
            Step("filter", "age, repeats", "missing"),
            Step("inject", "as data, escaped", "used"),
        ),
    ),
    Lane(
        "After the last byte",
        364,
        (
            Step("extract", "the turn, facts"),
            Step("screen", "junk, secrets"),
            Step("compare", "said before?"),
            Step("embed", "text to vector"),
            Step("write", "one atomic step"),
        ),
    ),
)
STYLE: Final = """
.page{fill:#ffffff}.room{fill:#f3f7fa;stroke:#c6d5e0}.box{fill:#ffffff;stroke:#7b98ad}.end{fill:#1f5f8b;stroke:#1f5f8b}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1c2b36;font-size:13px}
.name{font-weight:600;text-anchor:middle}.detail{font-size:11px;fill:#4a5f6e;text-anchor:middle}
.heading{font-size:12px;font-weight:600;fill:#1f5f8b;text-anchor:end}
.status{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:11px;fill:#9a3412;text-anchor:middle}
.end+.white,.white.detail{fill:#ffffff}
.way{stroke:#3f6580;stroke-width:1.6;fill:none}.back{stroke:#9a3412}.dashed{stroke-dasharray:5 4}
.tip{fill:#3f6580}.tip.back{fill:#9a3412;stroke:none}.along{font-size:11px;fill:#9a3412}
@media (prefers-color-scheme:dark){
.page{fill:#11181e}.room{fill:#18242d;stroke:#33475a}.box{fill:#11181e;stroke:#56738a}.end{fill:#2f78ab;stroke:#2f78ab}
text{fill:#e4edf4}.detail{fill:#a9bdcb}.heading{fill:#7cc0ee}.status,.along{fill:#fdba74}
.way{stroke:#8fb3cc}.back{stroke:#fdba74}.tip{fill:#8fb3cc}.tip.back{fill:#fdba74}.end+.white,.white.detail{fill:#ffffff}}
"""


def picture() -> str:
    """Return the SVG."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-labelledby="flow-title flow-text">\n'
        f'<title id="flow-title">How a request flows</title>\n<desc id="flow-text">{escape(DESCRIPTION)}</desc>'
    )
    parts = [head, f"<style>{STYLE}</style>", *_rooms(), *(part for lane in LANES for part in _lane(lane)), *_ways()]
    return "\n".join([*parts, "</svg>", ""])


def _rooms() -> Iterator[str]:
    yield f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="10"/>'
    yield f'<rect class="room" x="{LEFT - 16}" y="14" width="{RIGHT - LEFT + 32}" height="{HEIGHT - 28}" rx="10"/>'
    yield from _box(16, 58, 92, 256, Step("client", "OpenAI, Anthropic"), "end")
    yield from _box(880, 58, 104, 256, Step("model server", "vLLM and alike"), "end")
    yield from _box(880, 358, 104, 64, Step("store", "SQLite, Valkey, Milvus"), "end")


def _lane(lane: Lane) -> Iterator[str]:
    yield f'<text class="heading" x="{RIGHT}" y="{lane.top - 10}">{escape(lane.heading)}</text>'
    for number, step in enumerate(lane.steps):
        left, width = _place(lane, number)
        yield from _box(left, lane.top, width, BOX, step, "box")
        if step.status:
            yield f'<text class="status" x="{left + width / 2:g}" y="{lane.top + BOX + 16}">{step.status}</text>'
        if number:
            yield from _way(f"M{left - GAP:g} {lane.top + BOX / 2:g}H{left:g}", (left, lane.top + BOX / 2), "right")


def _place(lane: Lane, number: int) -> tuple[float, float]:
    """Return the left edge and the width of a box."""
    width = (RIGHT - LEFT - GAP * (len(lane.steps) - 1)) / len(lane.steps)
    return LEFT + number * (width + GAP), width


def _middle(lane: Lane, number: int) -> float:
    left, width = _place(lane, number)
    return left + width / 2


def _box(left: float, top: float, width: float, height: float, step: Step, kind: str) -> Iterator[str]:
    white = " white" if kind == "end" else ""
    middle, centre = left + width / 2, top + height / 2
    lines = step.detail.rsplit(", ", 1) if kind == "end" else [step.detail]
    yield f'<rect class="{kind}" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6"/>'
    top = centre - 3 - 6 * (len(lines) - 1)
    yield f'<text class="name{white}" x="{middle:g}" y="{top:g}">{escape(step.name)}</text>'
    for number, line in enumerate(lines):
        comma = "," if number + 1 < len(lines) else ""
        text = f'y="{top + 16 + 13 * number:g}">{escape(line)}{comma}</text>'
        yield f'<text class="detail{white}" x="{middle:g}" {text}'


def _ways() -> Iterator[str]:
    request, memory, after = LANES
    middle = BOX / 2
    yield from _way(f"M108 {request.top + middle:g}H{LEFT}", (LEFT, request.top + middle), "right")
    turn, first = _middle(request, 3), _middle(memory, 0)
    between = request.top + BOX + 22
    yield from _way(
        f"M{turn:g} {request.top + BOX}V{between}H{first + 60:g}Q{first:g} {between} {first:g} {memory.top}",
        (first, memory.top),
        "down",
    )
    yield from _way(f"M{RIGHT} {memory.top + middle:g}H880", (880, memory.top + middle), "right")
    answer = 276
    yield from _way(f"M880 {answer}H108", (108, answer), "left", "back")
    yield f'<text class="along" x="{LEFT}" y="{answer - 8}">the answer, byte for byte as it comes</text>'
    extract, find = _middle(after, 0), _middle(memory, 1)
    yield from _way(f"M{extract:g} {answer}V{after.top}", (extract, after.top), "down", "back dashed")
    yield from _way(f"M{RIGHT} {after.top + middle:g}H880", (880, after.top + middle), "right")
    reads = f"M932 358V334H{find + 44:g}V{memory.top + BOX}"
    yield from _way(reads, (find + 44, memory.top + BOX), "up", "dashed")


def _way(path: str, end: tuple[float, float], direction: str, kind: str = "") -> Iterator[str]:
    """Yield a line with a tip at its end."""
    x, y = end
    across = {"right": (-8, -4, -8, 4), "left": (8, -4, 8, 4), "down": (-4, -8, 4, -8), "up": (-4, 8, 4, 8)}[direction]
    tip = f"M{x:g} {y:g}L{x + across[0]:g} {y + across[1]:g}L{x + across[2]:g} {y + across[3]:g}Z"
    yield f'<path class="{f"way {kind}".strip()}" d="{path}"/>'
    yield f'<path class="{f"tip {kind}".strip()}" d="{tip}"/>'
