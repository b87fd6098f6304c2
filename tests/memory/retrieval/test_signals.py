from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from memrouter.memory.retrieval.corpus import _build
from memrouter.memory.retrieval.question import parse_question
from memrouter.memory.retrieval.signals import Signals, read_signals
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, unit

ANALYZER = Analyzer()
DAY = 86_400_000
VECTOR = unit(np.array([1.0, 0.0]))


def memory(memory_id: str, content: str, **fields: Any) -> MemoryRecord:
    fields.setdefault("created_at", 1)
    return MemoryRecord(
        id=memory_id,
        user_id="ann",
        content=content,
        embedding=VECTOR,
        embedding_model="test",
        updated_at=1,
        **fields,
    )


def signals_of(question: str, *records: MemoryRecord, now: int = 0, hidden: str = "") -> tuple[Signals, dict[str, int]]:
    corpus = _build(records, ANALYZER, 1)
    rows = {record.id: row for row, record in enumerate(corpus.records)}
    visible = np.array([record.id != hidden for record in corpus.records])
    asked = parse_question(question, ANALYZER, now=now)
    return read_signals(corpus, VECTOR, asked, visible, spelling=0.5), rows


def signal(name: str, question: str, *records: MemoryRecord, now: int = 0, hidden: str = "") -> dict[str, float]:
    signals, rows = signals_of(question, *records, now=now, hidden=hidden)
    values: NDArray[np.float64] = signals.by_weight[name]
    return {memory_id: float(values[row]) for memory_id, row in rows.items()}


def turns(*contents: str, conversation: str = "talk", first: int = 0) -> list[MemoryRecord]:
    return [
        memory(f"{conversation}{index}", text, conversation_id=conversation, turn_index=index)
        for index, text in enumerate(contents, start=first)
    ]


def test_the_words_of_the_turn_before_count_for_a_turn() -> None:
    found = signal("passage", "the badge", *turns("which badge?", "the blue one", "goodbye"))
    assert found["talk0"] == found["talk1"] > 0
    assert found["talk2"] == 0


def test_an_invisible_turn_lends_no_words() -> None:
    found = signal("passage", "the badge", *turns("which badge?", "the blue one"), hidden="talk0")
    assert found["talk1"] == 0


def test_all_records_of_the_turn_before_lend_their_words() -> None:
    before = [
        memory(name, text, conversation_id="talk", turn_index=0) for name, text in (("a", "badge"), ("b", "zebra"))
    ]
    found = signal("passage", "badge zebra", *before, memory("c", "yes", conversation_id="talk", turn_index=1))
    assert found["c"] == pytest.approx(found["a"] + found["b"])


def test_a_conversation_about_the_subject_counts_for_all_its_turns() -> None:
    on = turns("my badge", "some cat", conversation="on")
    off = turns("my dog", "some bird", conversation="off")
    found = signal("conversation", "badge", *on, *off, memory("alone", "badge"))
    assert found["on0"] == found["on1"] > found["off0"] == found["off1"] == found["alone"] == 0


def test_one_conversation_alone_says_nothing() -> None:
    assert set(signal("conversation", "badge", *turns("my badge", "some cat")).values()) == {0.0}


def test_a_named_speaker_is_found_by_name_and_the_asker_by_role() -> None:
    said = [memory("c", "Caroline: hi"), memory("m", "Melanie: hi Caroline"), memory("u", "hello", role="user")]
    assert signal("speaker", "What did Caroline do?", *said) == {"c": 1, "m": 0, "u": 0}
    assert signal("speaker", "What did I do?", *said) == {"c": 0, "m": 0, "u": 1}
    assert signal("speaker", "Did Melanie and Caroline meet?", *said) == {"c": 0, "m": 0, "u": 0}


def test_a_speakers_name_is_no_word_of_the_subject() -> None:
    said = [memory("c", "Caroline: hi"), memory("m", "Melanie: hi Caroline")]
    assert set(signal("passage", "Caroline", *said).values()) == {0.0}
    assert set(signal("passage", "Caroline", memory("x", "about Caroline")).values()) != {0.0}


def test_memories_of_the_named_day_are_near() -> None:
    now = 1000 * DAY
    found = signal(
        "date",
        "what was yesterday?",
        memory("then", "a", created_at=now - DAY),
        memory("later", "b", created_at=now + 2 * DAY),
        memory("long ago", "c", created_at=now - 90 * DAY),
        now=now,
    )
    assert found["then"] == 1
    assert found["then"] > found["later"] > found["long ago"]


def test_times_count_only_where_a_time_is_asked_for() -> None:
    said = [memory("a", "it was last week"), memory("b", "it was nice")]
    assert signal("time", "When was it?", *said) == {"a": 1, "b": 0}
    assert signal("time", "Who was it?", *said) == {"a": 0, "b": 0}


def test_a_word_of_nearly_the_spelling_counts_in_part_and_only_where_the_word_is_unknown() -> None:
    signals, rows = signals_of("figarro", memory("a", "figaro sings"), memory("b", "other"))
    assert 0 < signals.lexical_scores[rows["a"]] <= 0.5
    signals, rows = signals_of("figaro", memory("a", "figaro sings"), memory("b", "figarro"))
    assert signals.lexical_scores[rows["b"]] == 0


@pytest.mark.parametrize(
    ("question", "strange"),
    [("did Ann meet Bob?", 0.0), ("did Ann meet Zoe?", 0.5), ("did Yul meet Zoe?", 1.0), ("did you meet?", 0.0)],
)
def test_names_that_no_memory_holds_are_strange(question: str, strange: float) -> None:
    signals, _ = signals_of(question, memory("a", "ann and bob"))
    assert signals.strange_names == strange


@pytest.mark.parametrize("question", ["", "...", "the", "\x00\ud800", "x" * 4000, "Q: A: B:" * 300])
def test_any_question_gives_finite_signals(question: str) -> None:
    signals, _ = signals_of(question, *turns("a: b", "\x00", "the"), memory("x", ""))
    assert all(np.isfinite(values).all() for values in signals.parts().values())
    assert np.isfinite(signals.coverage).all()
