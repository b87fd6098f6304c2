"""Users with memories in plain sentences and questions about them; the same on every run."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.models.memory import MemoryRecord

EPOCH = 1_750_000_000_000
MINUTE_MS = 60_000
TURNS = 10
"""Memories that come from one conversation."""
_RELATIONS = ("sister", "brother", "neighbour", "boss", "daughter", "son", "uncle", "aunt", "flatmate", "dentist")
_CITIES = ("Lisbon", "Oslo", "Kyoto", "Toronto", "Nairobi", "Lima", "Hamburg", "Seoul", "Dublin", "Quito", "Hanoi")
_THINGS = ("bicycle", "guitar", "telescope", "sofa", "laptop", "tent", "kettle", "carpet", "camera", "piano", "boat")
_QUALITIES = ("red", "wooden", "second-hand", "broken", "tiny", "silver", "dusty", "waterproof", "blue", "heavy")
_FOODS = ("peanuts", "ramen", "olives", "cheesecake", "mango", "rye bread", "lentils", "oysters", "pancakes", "kimchi")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
_FORMS = (
    (
        "Last {month} I bought a {quality} {thing} in {city} and gave it to my {relation} for {number} euros.",
        "What did I buy in {city} for my {relation}?",
    ),
    (
        "My {relation} moved to {city} in {month} and keeps a {quality} {thing} in room {number}.",
        "Where does my {relation} with the {thing} live?",
    ),
    (
        "For the trip to {city} in {month} my budget is {number} euros, and I must not forget the {quality} {thing}.",
        "How much may the trip to {city} cost?",
    ),
    (
        "My {relation} cannot eat {food}, so for {month} we booked table {number} at a small place in {city}.",
        "What can my {relation} not eat?",
    ),
    (
        "I lost the {quality} {thing} on bus {number} in {city}, while I was eating {food} with my {relation}.",
        "On which bus did I lose my {thing}?",
    ),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a user has said.

    Attributes:
        text: The memory.
        question: Something that it answers.
    """

    text: str
    question: str


def facts(user: int, number: int) -> Iterator[Fact]:
    """Yield a user's facts."""
    rng = random.Random(f"user {user}")
    for place in range(number):
        values = {
            "relation": rng.choice(_RELATIONS),
            "city": rng.choice(_CITIES),
            "thing": rng.choice(_THINGS),
            "quality": rng.choice(_QUALITIES),
            "food": rng.choice(_FOODS),
            "month": rng.choice(_MONTHS),
            "number": 1_000 * rng.randrange(10) + place % 1_000,
        }
        text, question = rng.choice(_FORMS)
        yield Fact(text.format(**values), question.format(**values))


def name(user: int) -> str:
    """Return a user's id."""
    return f"user{user}"


async def memories(embedder: WordLlamaEmbedder, users: Sequence[int], number: int) -> list[MemoryRecord]:
    """Return records of some users' facts, each user's oldest first."""
    texts = [(user, place, fact.text) for user in users for place, fact in enumerate(facts(user, number))]
    vectors = await embedder.embed([text for _, _, text in texts])
    model = embedder.info.model
    return [
        MemoryRecord(
            id=f"b{user:09d}-{place:06d}",
            user_id=name(user),
            content=text,
            embedding=vector.copy(),
            embedding_model=model,
            created_at=EPOCH + MINUTE_MS * place,
            updated_at=EPOCH + MINUTE_MS * place,
            conversation_id=f"c{user}-{place // TURNS}",
            turn_index=place % TURNS,
            role="turn",
        )
        for (user, place, text), vector in zip(texts, vectors, strict=True)
    ]


def asked(users: Sequence[int], per_user: int, number: int, *, seed: int = 1) -> list[tuple[str, str]]:
    """Return users' ids and questions, in a random order of users.

    Args:
        users: Who asks.
        per_user: How many facts each of them has.
        number: How many questions.
        seed: Of the order.
    """
    rng, known = random.Random(seed), {}
    questions = []
    for _ in range(number):
        user = rng.choice(users)
        if user not in known:
            known[user] = [fact.question for fact in facts(user, min(per_user, 200))]
        questions.append((name(user), rng.choice(known[user])))
    return questions


def said(users: Sequence[int], per_user: int, number: int, *, seed: int = 1) -> list[tuple[str, str]]:
    """Return users' ids and what they say in turn: now a fact that is new, now a question about an old one.

    Args:
        users: Who speaks, in a random order.
        per_user: How many facts of each are remembered already.
        number: How many turns; some ten thousands before facts come again.
        seed: Of the order.
    """
    rng = random.Random(seed)
    fresh = {user: islice(facts(user, per_user + number), per_user, None) for user in users}
    questions = asked(users, per_user, number, seed=seed)
    turns = []
    for place, question in enumerate(questions):
        user = rng.choice(users)
        turns.append(question if place % 2 else (name(user), next(fresh[user]).text))
    return turns
