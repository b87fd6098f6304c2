from collections.abc import Sequence

import numpy as np
import pytest
from benchmarks.sampling import LEAST, Block, Case, Spread, measure, quotient


def recording(name: str, seen: list[tuple[str, int, int]], *, seconds: float = 0.001) -> Block:
    async def block(first: int, number: int) -> Sequence[float]:
        seen.append((name, first, number))
        return [seconds] * number

    return block


async def failing(first: int, number: int) -> Sequence[float]:
    raise RuntimeError("no such server")


async def test_every_case_has_its_turn_in_every_round_and_no_sample_comes_twice() -> None:
    seen: list[tuple[str, int, int]] = []
    cases = [Case(name, name, recording(name, seen)) for name in "abc"]
    await measure(cases, rounds=5, per_round=4, warm_up=2)
    turns = [seen[place : place + 3] for place in range(0, len(seen), 3)]
    assert len(turns) == 7
    assert all({name for name, _, _ in turn} == set("abc") for turn in turns)
    assert len({tuple(name for name, _, _ in turn) for turn in turns}) > 1
    numbers = [range(first, first + number) for name, first, number in seen if name == "a"]
    assert len({number for span in numbers for number in span}) == sum(map(len, numbers)) == LEAST + 2 + 5 * 4
    assert [len(case.rounds) for case in cases] == [5, 5, 5]


async def test_a_slow_case_does_less_but_never_too_little() -> None:
    seen: list[tuple[str, int, int]] = []
    cases = [
        Case("fast", "fast", recording("fast", seen)),
        Case("slow", "slow", recording("slow", seen, seconds=1.0)),
    ]
    await measure(cases, rounds=2, per_round=100, warm_up=0, most_seconds=10)
    counted = {name: [number for other, _, number in seen if other == name][1:] for name in ("fast", "slow")}
    assert counted == {"fast": [100, 100], "slow": [10, 10]}


async def test_another_product_that_fails_is_told_and_stops_nothing() -> None:
    seen: list[tuple[str, int, int]] = []
    cases = [Case("ours", "ours", recording("ours", seen)), Case("theirs", "theirs", failing, foreign=True)]
    await measure(cases, rounds=2, per_round=1, warm_up=1)
    assert cases[1].failure == "RuntimeError: no such server"
    assert (len(cases[0].rounds), len(cases[1].rounds)) == (2, 0)


async def test_a_failure_of_our_own_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="no such server"):
        await measure([Case("ours", "ours", failing)], rounds=1, per_round=1, warm_up=0)


def test_a_quotient_is_taken_round_by_round() -> None:
    # The machine was ten times slower in the second round, for both.
    assert quotient([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == Spread(2.0, 2.0, 2.0, 3)


def test_quantiles_and_rates_are_those_of_the_rounds() -> None:
    case = Case("one", "one", failing, rounds=[np.array([1.0, 3.0]), np.array([2.0, 2.0])])
    assert case.quantile(1.0) == Spread(2.5, 2.0, 3.0, 2)
    assert case.rate(10) == [5.0, 5.0]
