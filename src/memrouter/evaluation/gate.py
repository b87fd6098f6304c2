"""How well the gate tells what is worth remembering from junk, attacks and secrets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memrouter.evaluation.gate_corpus import GateCase, Outcome
from memrouter.memory.screening.screen import Rejected, Screen
from memrouter.memory.turns.gate import low_information
from memrouter.models.memory import Trust

OUTCOMES: tuple[Outcome, ...] = ("junk", "quarantined", "redacted", "kept")


@dataclass(frozen=True, slots=True)
class KindResult:
    """What became of the cases of one kind.

    Attributes:
        kind: Kind of turn.
        wanted: What has to become of them.
        cases: How many there are.
        right: How many ended as wanted.
        outcomes: How often each outcome was had; those that none had are left out.
        wrong: The first few texts that ended otherwise.
    """

    kind: str
    wanted: Outcome
    cases: int
    right: int
    outcomes: dict[str, int]
    wrong: tuple[str, ...]

    @property
    def recall(self) -> float:
        """Return the share that ended as wanted."""
        return self.right / self.cases


@dataclass(frozen=True, slots=True)
class OutcomeResult:
    """How far one outcome can be relied on.

    Attributes:
        outcome: Which.
        wanted: How many cases should have it.
        had: How many have it.
        precision: Share of those that have it which should; 1 where none has.
        recall: Share of those that should have it which do; 1 where none should.
    """

    outcome: Outcome
    wanted: int
    had: int
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class GateReport:
    """What became of a corpus."""

    kinds: tuple[KindResult, ...]
    outcomes: tuple[OutcomeResult, ...]


def measure_gate(screen: Screen, cases: Sequence[GateCase], *, shown: int = 5) -> GateReport:
    """Put every case through the gate and count.

    Args:
        screen: As configured.
        cases: At least one.
        shown: Most texts of a kind to report that did not end as wanted.
    """
    judged = [(case, outcome_of(screen, case)) for case in cases]
    names = dict.fromkeys((case.kind, case.wanted) for case in cases)
    kinds = [
        _of_kind(kind, wanted, [pair for pair in judged if pair[0].kind == kind and pair[0].wanted == wanted], shown)
        for kind, wanted in names
    ]
    return GateReport(tuple(kinds), tuple(_of_outcome(outcome, judged) for outcome in OUTCOMES))


def outcome_of(screen: Screen, case: GateCase) -> Outcome:
    """Return what the gate does with a case. A secret that is left in the stored text counts as kept."""
    if case.answer and case.trust is Trust.DIRECT_USER:
        if low_information(case.text, case.answer) is not None:
            return "junk"
        screened = screen.screen(f"Q: {case.text}\nA: {case.answer}", trust=case.trust, role="turn", explicit=False)
    else:
        screened = screen.screen(case.text, trust=case.trust, role=None, explicit=False)
    if isinstance(screened, Rejected):
        return "redacted" if screened.reason == "only_redacted" else "junk"
    if screened.quarantine is not None:
        return "quarantined"
    left = bool(case.secret) and case.secret in screened.content
    return "redacted" if screened.redacted and not left else "kept"


def _of_kind(kind: str, wanted: Outcome, judged: Sequence[tuple[GateCase, Outcome]], shown: int) -> KindResult:
    wrong = [case.text if case.kind != "refusal" else case.answer for case, outcome in judged if outcome != wanted]
    found = [outcome for _, outcome in judged]
    counts: dict[str, int] = {outcome: found.count(outcome) for outcome in OUTCOMES if outcome in found}
    return KindResult(kind, wanted, len(judged), len(judged) - len(wrong), counts, tuple(wrong[:shown]))


def _of_outcome(outcome: Outcome, judged: Iterable[tuple[GateCase, Outcome]]) -> OutcomeResult:
    wanted = had = both = 0
    for case, found in judged:
        wanted += case.wanted == outcome
        had += found == outcome
        both += case.wanted == outcome == found
    return OutcomeResult(outcome, wanted, had, both / had if had else 1.0, both / wanted if wanted else 1.0)
