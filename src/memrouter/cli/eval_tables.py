"""The reports of ``memrouter eval`` as tables."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from memrouter.doctor.findings import printable
from memrouter.evaluation.bootstrap import Interval
from memrouter.evaluation.calibration import Calibration, K, Point
from memrouter.evaluation.circumstances import Circumstances
from memrouter.evaluation.comparison import ArmReport, Latency
from memrouter.evaluation.gate import OUTCOMES, GateReport
from memrouter.evaluation.isolation import IsolationReport
from memrouter.evaluation.noise import NoiseReport

_CATEGORIES = {1: "several facts", 2: "time", 3: "inference", 4: "single fact"}
_ROWS_APART = 0.01
_SHOWN_CHARS = 140


def locomo_tables(about: Circumstances, arms: Sequence[ArmReport]) -> Iterator[RenderableType]:
    """Yield the figures of every arm, their differences to the default arm, and recall by category."""
    ks = list(arms[0].overall.recall)
    shown = max((k for k in ks if k <= K), default=ks[0])
    yield _facts(about)
    headings = [*(f"recall@{k}" for k in ks), f"hit@{shown}", "MRR", "tokens", "p50 ms", "p95 ms", "p99 ms", "first ms"]
    table = _table("arms: mean ± half of the 95 % interval", ["arm", *headings])
    for arm in arms:
        quality = arm.overall
        cells = [_around(quality.recall[k]) for k in ks] + [_around(quality.hit[shown]), _around(quality.mrr)]
        table.add_row(arm.name, *cells, f"{arm.tokens:.0f}", *_durations(arm.latency))
    yield table
    if len(arms) > 1:
        table = _table("difference to the default arm: mean [95 % interval]", ["arm", *(f"recall@{k}" for k in ks), ""])
        for arm in arms[1:]:
            table.add_row(arm.name, *(_signed(arm.against_default[k]) for k in ks), arm.about)
        yield table
    kinds = arms[0].categories
    headings = [f"{_CATEGORIES.get(kind, kind)} ({quality.questions})" for kind, quality in kinds.items()]
    table = _table(f"recall@{shown} by category (questions)", ["arm", *headings])
    for arm in arms:
        table.add_row(arm.name, *(_around(quality.recall[shown]) for quality in arm.categories.values()))
    yield table


def noise_tables(about: Circumstances, report: NoiseReport) -> Iterator[RenderableType]:
    """Yield what off-topic questions brought back, and what the threshold costs on topic."""
    yield _facts(about)
    headings = ["memories", "questions from", "questions", "anything found", "anything injected", "tokens"]
    table = _table(f"off topic, threshold {report.threshold:g}: share [95 % interval]", headings)
    for row in report.off_topic:
        shares = (_bounds(row.recalled), _bounds(row.injected))
        table.add_row(_size(row.memories), row.source, str(row.questions), *shares, f"{row.tokens:.1f}")
    yield table
    headings = ["memories", "questions", "threshold 0", f"threshold {report.threshold:g}", "cost", "as configured"]
    table = _table(f"on topic: recall@{K} [95 % interval]", headings)
    for line in report.on_topic:
        cells = (_bounds(line.free), _bounds(line.bounded), _signed(line.cost), _bounds(line.configured))
        table.add_row(_size(line.memories), str(line.questions), *cells)
    yield table


def calibration_tables(about: Circumstances, found: Calibration) -> Iterator[RenderableType]:
    """Yield the curve where it bends, and the verdict."""
    yield _facts(about)
    table = _table("what each threshold would do", ["threshold", "off topic", "general", f"recall@{K}", "loss", ""])
    for point in _bend(found.curve, found.recommended):
        table.add_row(*_cells(point), "recommended" if point == found.recommended else "")
    table.add_row(*_cells(found.declared), "declared now")
    yield table
    best = found.recommended
    verdict = "fits" if found.fits else f"does not fit: loses more than {found.most_loss:g}"
    yield (
        f"threshold {best.threshold:g} keeps off-topic questions at {best.off_topic:.3f} "
        f"(at most {found.most_off_topic:g}), loses {best.loss:.3f} of recall@{K}: {verdict}; "
        f"{found.lowest:g} to {found.highest:g} with one conversation left out"
    )


def isolation_tables(store: str, report: IsolationReport) -> Iterator[RenderableType]:
    """Yield the counts and the verdict."""
    table = _table(f"isolation on {store}", ["", "count"])
    for name, count in (
        ("owners (users, and projects of users)", report.owners),
        ("memories", report.memories),
        ("questions", report.questions),
        ("memories that came back", report.hits),
        ("foreign memories that came back", report.foreign),
        ("foreign memories reached by their id", report.reached),
        ("questions without any own memory", report.unanswered),
        ("owners whose memories changed", report.lost),
    ):
        table.add_row(name, str(count))
    yield table
    yield "isolation holds" if report.holds else "ISOLATION DOES NOT HOLD"


def gate_tables(report: GateReport) -> Iterator[RenderableType]:
    """Yield what became of each kind of turn, how far each outcome can be relied on, and the texts that went wrong."""
    table = _table("what became of each kind of turn", ["kind", "wanted", "cases", "as wanted", *OUTCOMES])
    for kind in report.kinds:
        counts = [str(kind.outcomes.get(outcome, "")) for outcome in OUTCOMES]
        table.add_row(printable(kind.kind), kind.wanted, str(kind.cases), f"{kind.recall:.3f}", *counts)
    yield table
    table = _table("how far each outcome can be relied on", ["outcome", "wanted", "had", "precision", "recall"])
    for row in report.outcomes:
        table.add_row(row.outcome, str(row.wanted), str(row.had), f"{row.precision:.3f}", f"{row.recall:.3f}")
    yield table
    for kind in report.kinds:
        for text in kind.wrong:
            yield Text(f"{printable(kind.kind)} not {kind.wanted}: {printable(text)[:_SHOWN_CHARS]}")


def _facts(about: Circumstances) -> str:
    left = about.left_out
    facts = (
        f"{printable(about.data)}: {about.conversations} conversations, {about.memories} memories, "
        f"{about.questions} questions; {about.embedding_model} on {about.store}, seed {about.seed}"
    )
    if left.category or left.without_evidence or left.unknown_ids:
        facts += (
            f"\nleft out of the file: {left.category} questions of other categories, {left.without_evidence} without "
            f"evidence, {left.unknown_ids} evidence ids that name no turn"
        )
    if about.not_reranked:
        facts += f"\nWARNING: {about.not_reranked} rankings kept their order: the reranker failed or was too slow"
    return facts


def _table(title: str, headings: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _bend(curve: Sequence[Point], recommended: Point) -> Iterator[Point]:
    """Yield the points, not too close, from where off-topic questions begin to fall silent to where all of them are."""
    last = -1.0
    for number, point in enumerate(curve):
        silent = number > 0 and curve[number - 1].off_topic == 0
        if point.off_topic < 1 and not silent and point.threshold - last >= _ROWS_APART - 1e-9:
            last = point.threshold
            yield point
        elif point == recommended:
            yield point


def _cells(point: Point) -> tuple[str, str, str, str, str]:
    return (
        f"{point.threshold:.3f}",
        f"{point.off_topic:.3f}",
        f"{point.general:.3f}",
        f"{point.recall:.3f}",
        f"{point.loss:.3f}",
    )


def _size(memories: int | None) -> str:
    return "all" if memories is None else str(memories)


def _around(interval: Interval) -> str:
    return f"{interval.mean:.3f} ±{(interval.high - interval.low) / 2:.3f}"


def _bounds(interval: Interval) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _durations(latency: Latency | None) -> tuple[str, ...]:
    if latency is None:
        return ("",) * 4
    return tuple(f"{ms:.2f}" for ms in (latency.p50, latency.p95, latency.p99, latency.first))
