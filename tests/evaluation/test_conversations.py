from random import Random

import pytest

from memrouter.errors import InvalidRequest
from memrouter.evaluation.conversations import DataSet, sampled, strata


def test_a_sample_keeps_the_first_conversations_and_as_many_questions_in_their_order(sample: DataSet) -> None:
    part = sampled(sample, conversations=2, questions=5, rng=Random(1))
    assert [conversation.id for conversation in part.conversations] == [c.id for c in sample.conversations[:2]]
    assert strata(part.conversations) == [0] * 5 + [1] * 5
    for few, all_of_them in zip(part.conversations, sample.conversations, strict=False):
        places = [all_of_them.questions.index(question) for question in few.questions]
        assert places == sorted(places)
        assert few.utterances == all_of_them.utterances


def test_the_same_seed_draws_the_same_questions_and_another_others(sample: DataSet) -> None:
    one, same, other = (sampled(sample, conversations=None, questions=5, rng=Random(seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_without_bounds_everything_stays(sample: DataSet) -> None:
    assert sampled(sample, conversations=None, questions=None, rng=Random(1)) == sample
    assert sampled(sample, conversations=99, questions=999, rng=Random(1)) == sample


def test_a_sample_without_questions_is_refused(sample: DataSet) -> None:
    with pytest.raises(InvalidRequest, match="no question is left"):
        sampled(sample, conversations=None, questions=0, rng=Random(1))
