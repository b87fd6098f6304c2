"""Series of numbers as the geometry of a picture; templates draw it and put the numbers in a table beside it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Size:
    """Of a picture, with the room for labels at its edges."""

    width: float = 720
    height: float = 240
    left: float = 64
    right: float = 32
    top: float = 16
    bottom: float = 34


SIZE: Final = Size()
TICKS: Final = 4
TIME_LABELS: Final = 6

Kind = Literal["bars", "lines"]


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers that belong together.

    Attributes:
        name: For the legend.
        style: Name of its colour in the style sheet.
        values: One for each stretch of time, oldest first; None where there is nothing to show.
    """

    name: str
    style: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a bar, in the picture's units."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through the values of one series; ``points`` as SVG takes them, pieces of it apart where values lack."""

    pieces: Sequence[str]
    dots: Sequence[tuple[float, float]]
    style: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A label at an axis and where it stands along it."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of some series over the same stretches of time.

    Attributes:
        name: Unique on the page; part of ids.
        title: What it shows.
        unit: Of the numbers.
        series: As given.
        times: When each stretch ended, in milliseconds since the epoch.
        bars: Pieces of stacked bars.
        lines: One for each series, where it has no bars.
        levels: Horizontal marks, lowest first.
        moments: Marks along the time axis.
        summary: What the picture says, in a sentence.
    """

    name: str
    title: str
    unit: str
    series: Sequence[Series]
    times: Sequence[int]
    bars: Sequence[Bar]
    lines: Sequence[Line]
    levels: Sequence[Mark]
    moments: Sequence[Mark]
    summary: str

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing but zeros and gaps."""
        return not any(value for series in self.series for value in series.values)


def draw(
    name: str,
    title: str,
    series: Sequence[Series],
    times: Sequence[int],
    labels: Sequence[str],
    *,
    kind: Kind = "bars",
    unit: str = "",
    summary: str = "",
) -> Chart:
    """Return the picture of some series.

    Args:
        name: Unique on the page, fit for an id.
        title: What it shows.
        series: Each with one value for each time.
        times: When each stretch ended, oldest first.
        labels: The times as text, for the axis.
        kind: ``bars`` are stacked; ``lines`` stand for themselves.
        unit: Of the numbers.
        summary: What it says, in a sentence.
    """
    columns = [[series_.values[index] or 0.0 for series_ in series] for index in range(len(times))]
    totals = [(sum if kind == "bars" else max)(column) for column in columns] if series else []
    top = ceiling(max(totals, default=0.0))
    step = (SIZE.width - SIZE.left - SIZE.right) / max(1, len(times))
    every = max(1, math.ceil(len(times) / TIME_LABELS))
    marks = range((len(times) - 1) % every, len(times), every)
    return Chart(
        name=name,
        title=title,
        unit=unit,
        series=series,
        times=times,
        bars=_bars(series, columns, top, step) if kind == "bars" else (),
        lines=[_line(each, top, step) for each in series] if kind == "lines" else (),
        levels=[Mark(_y(top * level / TICKS, top), amount(top * level / TICKS)) for level in range(TICKS + 1)],
        moments=[Mark(round(SIZE.left + (index + 0.5) * step, 1), labels[index]) for index in marks],
        summary=summary,
    )


def ceiling(value: float) -> float:
    """Return the least of 1, 2, 4 and 8 times a power of ten that is no less than ``value``; 1 for nothing."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((factor * power for factor in (1, 2, 4, 8) if factor * power >= value), 10 * power)


def amount(value: float) -> str:
    """Return a number in few characters, such as ``0.25``, ``12`` or ``1.5k``."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _y(value: float, top: float) -> float:
    return round(SIZE.top + (SIZE.height - SIZE.top - SIZE.bottom) * (1 - value / top), 1)


def _bars(series: Sequence[Series], columns: Sequence[Sequence[float]], top: float, step: float) -> list[Bar]:
    bars = []
    width = round(max(1.0, step * 0.8), 1)
    for index, column in enumerate(columns):
        below = 0.0
        for each, value in zip(series, column, strict=True):
            if value > 0:
                upper = _y(below + value, top)
                height = max(0.5, round(_y(below, top) - upper, 1))
                bars.append(Bar(round(SIZE.left + index * step + step * 0.1, 1), upper, width, height, each.style))
                below += value
    return bars


def _line(series: Series, top: float, step: float) -> Line:
    pieces: list[list[str]] = [[]]
    dots = []
    for index, value in enumerate(series.values):
        if value is None:
            pieces.append([])
            continue
        x, y = round(SIZE.left + (index + 0.5) * step, 1), _y(value, top)
        pieces[-1].append(f"{x},{y}")
        dots.append((x, y))
    return Line([" ".join(piece) for piece in pieces if len(piece) > 1], dots, series.style)
