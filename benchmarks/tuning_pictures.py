"""The pictures of ``benchmarks.tuning``, readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sampling import Spread
from benchmarks.tuning_tables import cells, label, settings_of, sizes, widths

Figures = Mapping[str, Spread]

INK = "#808a94"
COLOUR = {0: "#808a94", 8: "#3b82f6", 16: "#d9822b", 32: "#22a06b", 64: "#c2449a"}
"""By M, the same in every panel; others take their turn."""
COLOURS = ("#3b82f6", "#d9822b", "#22a06b", "#c2449a", "#8a6df0", "#b0a02a")


def draw(figures: Figures, folder: Path) -> list[str]:
    """Draw recall against time, what making costs, and one user's search; return the names of the files."""
    found = sizes(figures)
    if not found or not widths(figures):
        return []
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    style: Any = mpl.rcParams
    style.update(_style(mpl))
    for name, (title, panel) in PANELS.items():
        figure, axes = plt.subplots(1, len(found), figsize=(4.6 * len(found) + 0.6, 3.8), squeeze=False)
        for axis, size in zip(axes[0], found, strict=True):
            panel(axis, figures, size)
            axis.set_title(f"{title}, {size:,} memories", fontsize=10)
            axis.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    return [f"{name}.svg" for name in PANELS]


def _style(mpl: Any) -> dict[str, Any]:
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    colours = dict.fromkeys(inked, INK)
    return {**colours, "svg.hashsalt": "tuning", "axes.prop_cycle": mpl.cycler(color=COLOURS), "font.size": 9,
            "legend.framealpha": 0.0, "svg.fonttype": "none"}  # fmt: skip


def _recall(axis: Any, figures: Figures, size: int) -> None:
    """One line an index, one point a value of EF_RUNTIME."""
    for links, group in _by_links(cells(figures, size)).items():
        cell = group[-1] if links else "flat"
        name, wide = f"s{size}.{cell}.everybody", widths(figures) if links else [0]
        times = [figures[f"{name}.ef{width}.p50_ms"].median for width in wide]
        shares = [figures[f"{name}.ef{width}.recall"].median for width in wide]
        axis.plot(times, shares, marker="o", color=COLOUR.get(links), linestyle="-" if links else "", label=label(cell))
    axis.set(xlabel="p50, ms", ylabel="recall@10", xscale="log")
    _plain(axis.xaxis)
    axis.legend(fontsize=8)


def _build(axis: Any, figures: Figures, size: int) -> None:
    for links, group in _by_links(cells(figures, size)).items():
        cost = [figures[f"s{size}.{cell}.build_cpu_s"].median * 1000 / size for cell in group]
        if links:
            axis.plot(
                [settings_of(cell)[1] for cell in group], cost, marker="o", color=COLOUR.get(links), label=f"M {links}"
            )
        else:
            axis.axhline(cost[0], color=INK, linestyle="--", label="FLAT")
    axis.set(xlabel="EF_CONSTRUCTION", ylabel="server CPU, ms a memory", xscale="log", yscale="log")
    ticks = sorted({settings_of(cell)[1] for cell in cells(figures, size)} - {0})
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    _plain(axis.yaxis)
    axis.legend(fontsize=8)


def _user(axis: Any, figures: Figures, size: int) -> None:
    chosen = cells(figures, size)
    for place, (key, title) in enumerate((("user100", "as the server does it"), ("walk100", "graph walked"))):
        heights = [(at, figures[f"s{size}.{cell}.{key}.p50_ms"].median) for at, cell in enumerate(chosen)
                   if f"s{size}.{cell}.{key}.p50_ms" in figures]  # fmt: skip
        if heights:
            axis.plot(*zip(*heights, strict=True), marker="os"[place], linestyle="", label=title)
    axis.set(ylabel="p50, ms", yscale="log")
    _plain(axis.yaxis)
    axis.set_xticks(range(len(chosen)), [label(cell) for cell in chosen], rotation=90, fontsize=7)
    axis.legend(fontsize=8)


def _plain(axis: Any) -> None:
    """Have a logarithmic axis show plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _by_links(chosen: Sequence[str]) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = {}
    for cell in chosen:
        groups.setdefault(settings_of(cell)[0], []).append(cell)
    return groups


PANELS = {
    "tuning-recall": ("the 10 nearest of everybody's", _recall),
    "tuning-build": ("making the index", _build),
    "tuning-user": ("the 10 nearest of one user with 100", _user),
}
"""What is drawn in each file, for every size."""
