"""Conversations with labelled questions: what retrieval is measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from memrouter.errors import InvalidRequest

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Utterance:
    """One dialogue turn; becomes one memory.

    Attributes:
        id: Name of the turn, unique in its conversation.
        session: Name of the session it was said in.
        index: Place in that session, from 0.
        at: When it was said, in milliseconds since the epoch, UTC.
        text: Speaker, words and the caption of a shared picture.
    """

    id: str
    session: str
    index: int
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the turns that answer it.

    Attributes:
        text: The question.
        category: 1 several facts together, 2 time, 3 inference with knowledge of the world, 4 a single fact.
        evidence: Ids of the turns that answer it, at least one, none twice.
    """

    text: str
    category: int
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Sessions between two people, and questions about them.

    Attributes:
        id: Name of the conversation.
        utterances: In the order of time.
        questions: Those that the protocol counts.
    """

    id: str
    utterances: tuple[Utterance, ...]
    questions: tuple[Question, ...]

    @property
    def asked_at(self) -> int:
        """Return when the questions are asked: a day after the last turn, in milliseconds."""
        return self.utterances[-1].at + DAY_MS


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What of a file does not count, and how much of it.

    Attributes:
        category: Questions of another category than 1 to 4.
        without_evidence: Questions of these categories that name no turn of their conversation.
        unknown_ids: Evidence ids, of questions of these categories, that name no turn of their conversation.
    """

    category: int = 0
    without_evidence: int = 0
    unknown_ids: int = 0


@dataclass(frozen=True, slots=True)
class DataSet:
    """Everything that a file holds.

    Attributes:
        name: What to call it in reports.
        conversations: At least one, each with at least one turn.
        left_out: What did not count.
    """

    name: str
    conversations: tuple[Conversation, ...]
    left_out: LeftOut

    @property
    def memories(self) -> int:
        """Return how many turns there are."""
        return sum(len(conversation.utterances) for conversation in self.conversations)

    @property
    def questions(self) -> int:
        """Return how many questions count."""
        return sum(len(conversation.questions) for conversation in self.conversations)


def sampled(data: DataSet, *, conversations: int | None, questions: int | None, rng: Random) -> DataSet:
    """Return a part of a data set for a quick run.

    Args:
        data: The whole.
        conversations: Most conversations, the first ones; None for all.
        questions: Most questions of each, drawn at random and in their own order; None for all.
        rng: Draws.

    Raises:
        InvalidRequest: No question is left.
    """
    kept = tuple(
        conversation if questions is None else replace(conversation, questions=_drawn(conversation, questions, rng))
        for conversation in data.conversations[:conversations]
    )
    if not any(conversation.questions for conversation in kept):
        raise InvalidRequest("no question is left; raise --conversations or --limit")
    return replace(data, conversations=kept)


def _drawn(conversation: Conversation, count: int, rng: Random) -> tuple[Question, ...]:
    total = len(conversation.questions)
    places = sorted(rng.sample(range(total), min(count, total)))
    return tuple(conversation.questions[place] for place in places)


def strata(conversations: Sequence[Conversation]) -> list[int]:
    """Return for every question, in order, the number of its conversation."""
    return [number for number, conversation in enumerate(conversations) for _ in conversation.questions]
