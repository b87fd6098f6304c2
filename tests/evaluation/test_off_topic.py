import pytest

from memrouter.errors import InvalidRequest
from memrouter.evaluation.conversations import DataSet
from memrouter.evaluation.off_topic import general_questions, others


def test_every_conversation_gets_the_questions_of_another_and_each_is_used_once(sample: DataSet) -> None:
    strangers = others(sample.conversations)
    assert all(own is not stranger for own, stranger in zip(sample.conversations, strangers, strict=True))
    assert {stranger.id for stranger in strangers} == {own.id for own in sample.conversations}


def test_one_conversation_alone_is_refused(sample: DataSet) -> None:
    with pytest.raises(InvalidRequest, match="at least two are needed"):
        others(sample.conversations[:1])


def test_general_questions_are_many_and_different() -> None:
    questions = general_questions()
    assert len(set(questions)) == len(questions) >= 40
