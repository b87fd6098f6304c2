"""The tables of ``benchmarks.tuning``, from its figures alone, so that those of several runs stand together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.populations import LARGE, USUAL
from benchmarks.report import Sheet
from benchmarks.sampling import Spread

Figures = Mapping[str, Spread]

BUSY_LOAD = 3.0
"""Load average above which a measurement shared the processor with other work."""
_BUSY = " *"


def sizes(figures: Figures) -> list[int]:
    """Return the numbers of memories, smallest first."""
    return sorted({int(name.partition(".")[0].removeprefix("s")) for name in figures if name.endswith(".load")})


def cells(figures: Figures, size: int) -> list[str]:
    """Return the indexes measured at a size: ``flat`` first, then by M and EF."""
    prefix, suffix = f"s{size}.", ".load"
    found = [name.removeprefix(prefix).removesuffix(suffix) for name in figures if name.startswith(prefix)
             and name.endswith(suffix)]  # fmt: skip
    return sorted(found, key=settings_of)


def settings_of(cell: str) -> tuple[int, int]:
    """Return M and EF_CONSTRUCTION of an index; 0 for ``flat``."""
    if cell == "flat":
        return 0, 0
    links, _, width = cell.partition(".")
    return int(links.removeprefix("m")), int(width.removeprefix("ef"))


def label(cell: str) -> str:
    """Return the name of an index as it is shown."""
    links, width = settings_of(cell)
    return f"M {links}, EF {width}" if links else "FLAT"


def widths(figures: Figures) -> list[int]:
    """Return the values of EF_RUNTIME that were measured."""
    names = (name.split(".") for name in figures if ".everybody." in name)
    return sorted({int(part.removeprefix("ef")) for parts in names for part in parts[-2:-1]} - {0})


def sheets(figures: Figures) -> list[Sheet]:
    """Return all tables that the figures make."""
    return [sheet for size in sizes(figures) for sheet in _of_size(figures, size)]


def _of_size(figures: Figures, size: int) -> Iterator[Sheet]:
    chosen = cells(figures, size)
    busy = any(_is_busy(figures, size, cell) for cell in chosen)
    note = f"\\* while the machine had other work: load average above {BUSY_LOAD:g}." if busy else ""
    yield _making(figures, size, chosen, note)
    for user in (USUAL, LARGE):
        if f"s{size}.flat.user{user}.recall" in figures:
            yield _user(figures, size, chosen, user, note)
    whole = sorted(int(name.rpartition("whole")[2].partition(".")[0]) for name in figures
                   if name.startswith(f"s{size}.whole") and name.endswith("p50_ms"))  # fmt: skip
    if whole:
        yield _whole(figures, size, whole)


def _making(figures: Figures, size: int, chosen: Sequence[str], note: str) -> Sheet:
    wide = widths(figures)
    shown = wide[-2] if len(wide) > 1 else (wide or [0])[0]
    columns = ["index", "build s", "server CPU s", "CPU ms a memory", "index MB"]
    columns += [*(f"recall, EF_RUNTIME {width}" for width in wide), f"p50 ms, {shown}"]
    sheet = Sheet(f"{size:,} memories: the index, and the 10 nearest of everybody's", columns, note=note)
    for cell in chosen:
        name, flat = f"s{size}.{cell}", cell == "flat"
        cpu, grown = figures[f"{name}.build_cpu_s"].median, figures[f"{name}.index_mb"].median
        row = [label(cell) + (_BUSY if _is_busy(figures, size, cell) else "")]
        row += [f"{figures[f'{name}.build_s'].median:.1f}", f"{cpu:.1f}", f"{cpu * 1000 / size:.3f}", f"{grown:.1f}"]
        row += [f"{figures[f'{name}.everybody.ef{0 if flat else width}.recall'].median:.3f}" for width in wide]
        sheet.rows.append([*row, f"{figures[f'{name}.everybody.ef{0 if flat else shown}.p50_ms'].median:.2f}"])
    return sheet


def _user(figures: Figures, size: int, chosen: Sequence[str], user: int, note: str) -> Sheet:
    walked = any(f"s{size}.{cell}.walk{user}.recall" in figures for cell in chosen)
    columns = ["index", "recall", "p50 ms", "p99 ms", "store p50 ms", "store p99 ms"]
    columns += ["walked: recall", "walked: p50 ms"] if walked else []
    sheet = Sheet(f"{size:,} memories: the 10 nearest of one user with {user:,}", columns, note=note)
    for cell in chosen:
        name = f"s{size}.{cell}"
        row = [label(cell) + (_BUSY if _is_busy(figures, size, cell) else "")]
        row.append(f"{figures[f'{name}.user{user}.recall'].median:.3f}")
        for key in ("user", "store"):
            row += _times(figures, f"{name}.{key}{user}")
        walk = f"{name}.walk{user}"
        if f"{walk}.recall" in figures:
            row += [f"{figures[f'{walk}.recall'].median:.3f}", f"{figures[f'{walk}.p50_ms'].median:.2f}"]
        sheet.rows.append(row + [""] * (len(columns) - len(row)))
    return sheet


def _whole(figures: Figures, size: int, users: Iterable[int]) -> Sheet:
    keys = {"whole": "read whole", "worded": "10 nearest, and those with words", "nearest": "10 nearest"}
    columns = [
        "memories of the user",
        *(f"{name}: {share}" for name in keys.values() for share in ("p50 ms", "p99 ms")),
    ]
    sheet = Sheet(f"{size:,} memories: a user read whole, or only what is near (FLAT)", columns)
    for user in sorted(users):
        cells_of = [_times(figures, f"s{size}.{key}{user}") for key in keys]
        sheet.rows.append((f"{user:,}", *(cell for pair in cells_of for cell in pair)))
    sheet.note = "Through memrouter's store, with nothing held from before."
    return sheet


def _times(figures: Figures, name: str) -> list[str]:
    found = [figures.get(f"{name}.{share}_ms") for share in ("p50", "p99")]
    return ["" if spread is None else f"{spread.median:.2f}" for spread in found]


def _is_busy(figures: Figures, size: int, cell: str) -> bool:
    return figures[f"s{size}.{cell}.load"].high > BUSY_LOAD
