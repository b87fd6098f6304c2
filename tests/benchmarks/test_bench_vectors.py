"""What peers embed with gives the vectors of memrouter's own embedder."""

import numpy as np
from benchmarks.peers.wordllama_vectors import DIMENSION, WordLlamaVectors

from benchmarks import people
from memrouter.embeddings.wordllama import WordLlamaEmbedder


async def test_peers_embed_as_memrouter_does() -> None:
    texts = [fact.text for fact in people.facts(1, 40)] + ["Naïve café in 東京 🙂", "x", "word " * 400]
    embedder = WordLlamaEmbedder.load()
    theirs, ours = WordLlamaVectors()(texts), await embedder.embed(texts)
    assert theirs.shape == ours.shape == (len(texts), DIMENSION)
    np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_users_and_their_facts_are_the_same_on_every_run() -> None:
    assert list(people.facts(7, 20)) == list(people.facts(7, 20))
    assert list(people.facts(7, 20)) != list(people.facts(8, 20))
    assert people.asked(range(5), 20, 50) == people.asked(range(5), 20, 50)


def test_turns_tell_something_new_and_ask_about_something_old() -> None:
    turns = people.said(range(5), 20, 400)
    told, asked = turns[::2], turns[1::2]
    held = {(people.name(user), fact.text) for user in range(5) for fact in people.facts(user, 20)}
    questions = {(people.name(user), fact.question) for user in range(5) for fact in people.facts(user, 20)}
    assert len(set(told)) == len(told)
    assert not held & set(told)
    assert set(asked) <= questions


def test_memories_of_one_user_differ() -> None:
    texts = [fact.text for fact in people.facts(3, 1_000)]
    assert len(set(texts)) == len(texts)
