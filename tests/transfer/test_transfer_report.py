"""Figures that must add up."""

import json

from memrouter.stores.query import Merged
from memrouter.transfer.report import MAX_REFUSALS, ImportReport, Outcomes


def test_figures_balance_only_when_every_memory_is_accounted_for() -> None:
    done = Outcomes(read=6)
    done.settle([Merged.ADDED, Merged.ADDED, Merged.REPLACED, Merged.KEPT])
    assert not done.balanced
    done.refuse("why", line=7)
    done.left_out += 1
    assert done.balanced
    done.added += 1
    assert not done.balanced


def test_parts_add_up_and_only_the_first_refusals_are_named() -> None:
    total = Outcomes()
    for part in range(3):
        counted = Outcomes(read=15)
        for line in range(15):
            counted.refuse("no", line=part * 15 + line)
        counted.renamed = 1
        total.include(counted)
    assert (total.read, total.refused, total.renamed, total.balanced) == (45, 45, 3, True)
    assert [refusal.line for refusal in total.refusals] == list(range(MAX_REFUSALS))


def test_a_report_is_plain_json_with_every_figure() -> None:
    report = ImportReport(Outcomes(read=1, kept=1), sha256="x", damage="d", damaged_line=3)
    found = json.loads(json.dumps(report.as_dict()))
    assert found["outcomes"]["kept"] == 1
    assert found["outcomes"]["balanced"] is True
    assert (found["damage"], found["damaged_line"], found["dry_run"]) == ("d", 3, False)
