from random import Random

import pytest

from memrouter.evaluation.fake_secrets import FAKES


@pytest.mark.parametrize("name", FAKES)
def test_the_same_seed_makes_the_same_string_and_another_one_another(name: str) -> None:
    made = [FAKES[name].make(Random(seed)) for seed in (1, 1, 2, 3, 4)]
    assert made[0] == made[1] != ""
    assert len(set(made)) > 2
