from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.provenance import FULL_LENGTH, Provenance, read_provenance
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, Source, unit

ANALYZER = Analyzer()


def memory(content: str = "text", **fields: Any) -> MemoryRecord:
    fields.setdefault("created_at", 1)
    return MemoryRecord(
        id="m",
        user_id="ann",
        content=content,
        embedding=unit(np.array([1.0, 0.0])),
        embedding_model="test",
        updated_at=1,
        **fields,
    )


def read(*records: MemoryRecord) -> Provenance:
    return read_provenance(records, [ANALYZER.terms(record.content) for record in records], ANALYZER)


def test_turns_know_the_turns_beside_them_of_the_same_conversation_and_source() -> None:
    origin = read(
        memory(conversation_id="talk", turn_index=1),
        memory(conversation_id="talk", turn_index=2),
        memory(conversation_id="talk", turn_index=2),
        memory(conversation_id="other", turn_index=3),
        memory(conversation_id="talk", turn_index=3, source=Source.SESSION_WINDOW),
        memory(conversation_id="talk"),
        memory(),
    )
    end = len(origin.turns) + 1
    assert (origin.turns + end).tolist() == [0, 1, 1, 3, 4, 5, 6]
    none = [-1, -1]
    assert origin.neighbours.tolist() == [[-1, 1 - end], [-end, -1], [-end, -1], none, none, none, none]
    assert origin.shares_turns


def test_conversations_are_numbered_and_grouped() -> None:
    origin = read(
        memory(conversation_id="b"), memory(), memory(conversation_id="a"), memory(conversation_id="b", turn_index=4)
    )
    assert origin.conversations.tolist() == [0, -1, 1, 0]
    assert origin.by_conversation.tolist() == [0, 3, 2]
    assert origin.starts.tolist() == [0, 2]


def test_a_speaker_is_a_name_before_a_colon_or_else_the_role() -> None:
    origin = read(
        memory("Caroline: hello"),
        memory("Mary Ann: Caroline: hello"),
        memory("Q: what?\nA: that", role="user"),
        memory("no colon", role="assistant"),
        memory("https://example.com"),
        memory("caroline: again"),
        memory("The: is a stop word"),
    )
    by_number = {number: name for name, number in origin.names.items()}
    assert [by_number.get(int(number)) for number in origin.speakers] == [
        "carolin",
        "mari",
        "user",
        "assistant",
        None,
        "carolin",
        None,
    ]


def test_times_are_seen_and_lengths_are_bounded() -> None:
    origin = read(memory("we met yesterday"), memory("in 1999 it was"), memory("x1999 tea"), memory("w " * 500))
    assert origin.timed.tolist() == [True, True, False, False]
    assert origin.lengths[-1] == np.log1p(FULL_LENGTH)


@given(st.lists(st.text(st.characters()), max_size=6))
def test_any_text_has_a_provenance(texts: list[str]) -> None:
    origin = read(*(memory(text) for text in texts))
    assert origin.speakers.size == origin.lengths.size == len(texts)
    assert origin.nbytes >= 0


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, 0, 1, 2])), min_size=2), st.data())
def test_a_provenance_that_records_came_before_equals_one_read_anew(
    told: list[tuple[str | None, int | None]], data: st.DataObject
) -> None:
    records = [memory(f"Ann{talk}: hi", conversation_id=talk, turn_index=turn, role="user") for talk, turn in told]
    terms = [ANALYZER.terms(record.content) for record in records]
    new = data.draw(st.integers(0, len(records) - 1))
    older = read_provenance(records[new:], terms[new:], ANALYZER)
    later, anew = read_provenance(records, terms, ANALYZER, previous=older), read_provenance(records, terms, ANALYZER)
    assert np.array_equal(later.turns, anew.turns)
    assert later.shares_turns == anew.shares_turns
    assert np.array_equal(later.neighbours, anew.neighbours)
    talks = {name: np.flatnonzero(anew.conversations == number).tolist() for name, number in anew.numbers.items()}
    assert talks == {
        name: np.flatnonzero(later.conversations == number).tolist() for name, number in later.numbers.items()
    }
    assert sorted(later.by_conversation.tolist()) == sorted(anew.by_conversation.tolist())
    assert later.names.keys() == anew.names.keys()
    assert np.array_equal(later.timed, anew.timed)
