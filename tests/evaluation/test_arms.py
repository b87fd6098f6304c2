from dataclasses import replace

import pytest

from memrouter.errors import InvalidRequest
from memrouter.evaluation.arms import DEFAULT, all_arms, chosen_arms
from memrouter.memory.policy import RecallPolicy

POLICY = RecallPolicy(limit=20, threshold=0.0, adaptive=False)


def test_names_of_arms_are_distinct_and_the_default_one_comes_first() -> None:
    names = [arm.name for arm in all_arms(POLICY)]
    assert names[0] == DEFAULT
    assert len(set(names)) == len(names)


def test_an_arm_that_is_the_default_one_again_is_not_run_twice() -> None:
    names = [arm.name for arm in chosen_arms(all_arms(POLICY), [])]
    assert "rerank" not in names
    assert {"off", "vector", "weighted", "rrf"} <= set(names)


def test_every_arm_keeps_threshold_limit_and_types_of_the_default_one() -> None:
    for arm in all_arms(POLICY):
        if arm.policy is not None:
            policy = arm.policy
            assert (policy.limit, policy.threshold, policy.adaptive) == (20, 0.0, False)


def test_chosen_arms_stand_beside_the_default_one_in_their_own_order() -> None:
    assert [arm.name for arm in chosen_arms(all_arms(POLICY), ["rrf", "off"])] == [DEFAULT, "off", "rrf"]


def test_an_unknown_arm_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"no arm is called 'best'; there are: default, off, vector"):
        chosen_arms(all_arms(POLICY), ["best"])


def test_there_is_an_ablation_of_every_signal_that_counts_and_only_that_signal_differs() -> None:
    arms = {arm.name: arm for arm in all_arms(POLICY)}
    default = POLICY.ranking.weights.model_dump()
    assert {f"no-{name}" for name, weight in default.items() if weight} <= set(arms)
    for name in default:
        policy = arms[f"no-{name}"].policy
        assert policy is not None
        assert policy.ranking.weights.model_dump() == {**default, name: 0.0}


def test_a_signal_that_is_off_has_no_ablation() -> None:
    weights = POLICY.ranking.weights.model_copy(update={"date": 0.0})
    policy = replace(POLICY, ranking=POLICY.ranking.model_copy(update={"weights": weights}))
    assert "no-date" not in {arm.name for arm in all_arms(policy)}


def test_modes_without_signal_weights_have_no_ablations() -> None:
    assert not [arm for arm in all_arms(replace(POLICY, mode="rrf")) if arm.name.startswith("no-")]


def test_a_cross_encoder_has_an_arm_without_it_which_is_not_taken_for_the_default_one() -> None:
    names = [arm.name for arm in chosen_arms(all_arms(POLICY, reranker=True), [])]
    assert "no-reranker" in names
    assert "rerank" not in names
