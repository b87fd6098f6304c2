"""``python -m benchmarks.tuning``: M and EF of HNSW against an exact search, for everybody and for one user.

Figures are named ``s<memories>.<index>.<what>``, with ``flat`` or ``m16.ef256`` for the index.
"""

import argparse
import itertools
import json
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack

from rich.console import Console

from benchmarks.arguments import parameters, parser, positive
from benchmarks.backends import Backend, backend, memory_of
from benchmarks.index_cells import STORE_EF, Bench, Cell, through, walks_on_request
from benchmarks.populations import LARGE, USUAL, Population, Question
from benchmarks.report import Report
from benchmarks.running import finish
from benchmarks.sampling import Block, Case, Spread, measure
from benchmarks.tuning_pictures import draw
from benchmarks.tuning_tables import sheets, sizes
from memrouter.stores.factory import open_store
from memrouter.stores.query import MergeMode
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.valkey import URL_VARIABLE

FLAT = Cell()
TIMEOUT_SECONDS = 300.0
BATCH = 1_000
WHOLE_LIMIT = 10_000
"""``scan_limit`` with which every user of the population is read whole."""
WALK = " HYBRID_POLICY BATCHES"
"""Tells RediSearch to walk the graph and filter what it meets."""
NAMES = ("rounds", "samples", "questions", "builds", "dimension", "sizes", "ef_runtime")
MUST_FIT = ("samples", "questions", "dimension", "ef_runtime")
"""What must be chosen alike where a run is taken up again."""


class Tuning:
    """One size being measured.

    Args:
        bench: The server with the memories.
        population: Whose memories they are.
        questions: Asked, by the size of the user; all of them are asked of everybody's memories too.
        chosen: The options.
        walks: Whether the server can be told to walk the graph.
    """

    def __init__(
        self,
        bench: Bench,
        population: Population,
        questions: dict[int, list[Question]],
        chosen: argparse.Namespace,
        *,
        walks: bool,
    ) -> None:
        self._bench = bench
        self._questions = questions
        self._chosen = chosen
        self._walks = walks
        self._prefix = f"s{len(population.vectors)}"

    async def cells(self, cells: Sequence[Cell], report: Report) -> None:
        """Measure indexes beside FLAT, which is there already, in turns, and remove them."""
        load = os.getloadavg()[0]
        for cell in cells:
            await self.built(cell, report)
        async with AsyncExitStack() as stack:
            cases: list[Case] = []
            for cell in (FLAT, *cells):
                store = await self._bench.store(cell)
                stack.push_async_callback(store.aclose)
                cases += self._cases(cell, store)
            await measure(cases, rounds=self._chosen.rounds, per_round=self._chosen.samples, warm_up=3, most_seconds=5)
        for case in cases:
            report.figures[f"{self._prefix}.{case.key}.p50_ms"] = case.quantile(0.5).times(1000)
            report.figures[f"{self._prefix}.{case.key}.p99_ms"] = case.quantile(0.99).times(1000)
        for cell in (FLAT, *cells):
            await self._recalls(cell, report)
            report.figures[f"{self._prefix}.{cell.key}.load"] = Spread.of([load, os.getloadavg()[0]])
        for cell in cells:
            await self._bench.drop(cell)

    async def built(self, cell: Cell, report: Report) -> None:
        """Make an index as often as chosen, and tell what it took."""
        found = [await self._bench.build(cell) for _ in range(self._chosen.builds)]
        name = f"{self._prefix}.{cell.key}"
        report.figures[f"{name}.build_s"] = Spread.of([one.seconds for one in found])
        report.figures[f"{name}.build_cpu_s"] = Spread.of([one.cpu for one in found])
        report.figures[f"{name}.index_mb"] = Spread.of([one.megabytes for one in found])

    def _cases(self, cell: Cell, store: ValkeyStore) -> list[Case]:
        everybody = self._questions[USUAL]
        cases = [self._case(cell, f"everybody.ef{ef}", everybody, ef=ef, everybody=True) for ef in self._widths(cell)]
        for size in (USUAL, LARGE):
            if size not in self._questions:
                continue
            questions = self._questions[size]
            cases.append(self._case(cell, f"user{size}", questions, ef=STORE_EF))
            if cell.m and self._walks:
                cases.append(self._case(cell, f"walk{size}", questions, ef=STORE_EF, how=WALK))
            cases.append(_case(f"{cell.key}.store{size}", through(store, questions, scan_limit=0)))
        if not cell.m:
            for size, questions in self._questions.items():
                whole = through(store, questions, scan_limit=WHOLE_LIMIT)
                worded = through(store, questions, scan_limit=0, words=True)
                cases.append(_case(f"whole{size}", whole))
                cases.append(_case(f"worded{size}", worded))
                cases.append(_case(f"nearest{size}", through(store, questions, scan_limit=0)))
        return cases

    def _case(
        self, cell: Cell, key: str, questions: list[Question], *, ef: int, everybody: bool = False, how: str = ""
    ) -> Case:
        block = self._bench.asked(cell, questions, everybody=everybody, ef=ef, how=how)
        return _case(f"{cell.key}.{key}", block)

    async def _recalls(self, cell: Cell, report: Report) -> None:
        name = f"{self._prefix}.{cell.key}"
        for ef in self._widths(cell):
            found = await self._bench.recall(cell, self._questions[USUAL], everybody=True, ef=ef)
            report.figures[f"{name}.everybody.ef{ef}.recall"] = found
        for size in (USUAL, LARGE):
            if size not in self._questions:
                continue
            for key, how in (("user", ""), ("walk", WALK)):
                if key == "user" or (cell.m and self._walks):
                    found = await self._bench.recall(cell, self._questions[size], everybody=False, ef=STORE_EF, how=how)
                    report.figures[f"{name}.{key}{size}.recall"] = found

    def _widths(self, cell: Cell) -> Sequence[int]:
        widths: Sequence[int] = self._chosen.ef_runtime if cell.m else [0]
        return widths


def _case(key: str, block: Block) -> Case:
    return Case(key, key, block)


async def filled(server: Backend, population: Population, chosen: argparse.Namespace) -> tuple[Connection, Bench]:
    """Put a population into a server, with no index over it."""
    memory = memory_of(server.apart(f"tuning{len(population.vectors)}"))
    assert memory.valkey is not None
    settings = memory.valkey.model_copy(update={"timeout": TIMEOUT_SECONDS})
    store = await open_store(
        memory.model_copy(update={"valkey": settings}), dimension=chosen.dimension, embedding_model=population.model
    )
    connection = await Connection.open(settings)
    await connection.run(["FT.DROPINDEX", settings.index_name])
    try:
        for records in population.records():
            for first in range(0, len(records), BATCH):
                await store.merge(records[first : first + BATCH], mode=MergeMode.SKIP)
    finally:
        await store.aclose()
    return connection, Bench(connection, settings, population)


async def one_size(memories: int, chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Measure all cells of a size that are not there yet: those with the same M beside each other and FLAT."""
    wanted = missing(memories, chosen.cells, report)
    if not wanted and not missing(memories, [FLAT], report):
        return
    population = await Population.make(memories, chosen.dimension)
    users = sorted(set(population.sizes))
    questions = {size: await population.questions(size, chosen.questions) for size in users}
    async with backend("valkey") as server:
        report.versions["valkey"] = server.version
        console.print(f"{memories:,} memories: filling")
        connection, bench = await filled(server, population, chosen)
        try:
            walks = await walks_on_request(connection)
            tuning = Tuning(bench, population, questions, chosen, walks=walks)
            await tuning.built(FLAT, report)
            for group in grouped(wanted):
                await tuning.cells(group, report)
                told(report, chosen)
                console.print(f"{memories:,} memories: measured {', '.join(cell.name for cell in (FLAT, *group))}")
        finally:
            await connection.aclose()


def missing(memories: int, cells: Sequence[Cell], report: Report) -> list[Cell]:
    """Return the cells whose figures at a size are not in the report."""
    return [cell for cell in cells if f"s{memories}.{cell.key}.load" not in report.figures]


def grouped(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return cells with the same M together; one empty group where there are none: FLAT is measured all the same."""
    return [list(group) for _, group in itertools.groupby(cells, key=lambda cell: cell.m)] or [[]]


def told(report: Report, chosen: argparse.Namespace) -> None:
    """Write what is known so far, so that a run can be taken up again."""
    report.sheets = sheets(report.figures)
    report.images = draw(report.figures, chosen.output)
    report.write(chosen.output)


def earlier(chosen: argparse.Namespace) -> dict[str, Spread]:
    """Return the figures of an earlier run.

    Raises:
        SystemExit: It was made with other options.
    """
    file = chosen.output / "tuning.json"
    if not file.exists():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    other = [name for name in MUST_FIT if content["parameters"][name] != getattr(chosen, name)]
    if other:
        raise SystemExit(f"{file.name} was made with another choice of {', '.join(other)}; leave out --resume")
    return {name: Spread(**spread) for name, spread in content["figures"].items()}


def begun(chosen: argparse.Namespace) -> Report:
    """Return a report, with what an earlier run has found where that is taken up."""
    figures = earlier(chosen) if chosen.resume else {}
    told_of = {"sizes": sorted({*sizes(figures), *chosen.sizes})}
    report = Report("tuning", "Figures", parameters(chosen, NAMES) | told_of)
    report.figures.update(figures)
    return report


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything."""
    report = begun(chosen)
    for memories in chosen.sizes:
        await one_size(memories, chosen, report, console)
    told(report, chosen)
    for sheet in report.sheets:
        sheet.print(console)
    return report


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = parser(__doc__ or "")
    made.add_argument("--sizes", type=positive, nargs="*", help="by default 10000, with --full 10000 and 100000")
    made.add_argument("--m", type=positive, nargs="*", default=[8, 16, 32, 64], help="links of a node")
    made.add_argument("--ef", type=positive, nargs="*", default=[64, 128, 256, 512], help="EF_CONSTRUCTION")
    made.add_argument("--cells", type=Cell.read, nargs="*", help="M:EF instead of every M with every EF")
    made.add_argument("--ef-runtime", type=positive, nargs="*", default=[16, 64, 256, 512], help="EF_RUNTIME")
    made.add_argument("--dimension", type=positive, default=256, help="256 or more; more is padded with zeros")
    made.add_argument("--samples", type=positive, default=20, help="searches of each kind in each round")
    made.add_argument("--questions", type=positive, default=100, help="for the recall")
    made.add_argument("--builds", type=positive, default=1, help="how often each index is made")
    made.add_argument("--url", help=f"a running server, as in {URL_VARIABLE}; by default one is started")
    made.add_argument("--resume", action="store_true", help="keep what the JSON file has and measure the rest")
    return made


def completed(chosen: argparse.Namespace) -> argparse.Namespace:
    """Return the options with what they leave open."""
    chosen.sizes = chosen.sizes or ([10_000, 100_000] if chosen.full else [10_000])
    if chosen.cells is None:
        chosen.cells = [Cell(m, ef) for m in chosen.m for ef in chosen.ef]
    return chosen


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    chosen = completed(options().parse_args())
    if chosen.url:
        os.environ[URL_VARIABLE] = chosen.url
    finish(run, chosen, width=170)


if __name__ == "__main__":
    main()
