import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.models.memory import MAX_CONTENT_BYTES

REFERENCE = """
import json, sys
from safetensors import safe_open
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference
from memrouter.embeddings.tokens import bundled_file
with safe_open(str(bundled_file("weights", "l2_supercat_256.safetensors")), framework="np") as tensors:
    weights = tensors.get_tensor("embedding.weight")
tokenizer = Tokenizer.from_file(str(bundled_file("tokenizers", "l2_supercat_tokenizer_config.json")))
print(json.dumps(WordLlamaInference(weights, tokenizer).embed(json.load(sys.stdin), norm=True).tolist()))
"""

TEXTS = [
    "What is my dog called?",
    "My dog is called Rex and he is a beagle.",
    "日本語のテキスト \U0001f600",
    "control \x00\x01\x7f characters\n\n\ttoo",
    "<s> special </s> tokens <unk>",
    "word " * 2_000,
]


@pytest.fixture(scope="module")
def embedder(tokenizer: Tokenizer) -> WordLlamaEmbedder:
    return WordLlamaEmbedder.load(tokenizer)


async def test_vectors_are_those_of_the_package(embedder: WordLlamaEmbedder) -> None:
    run = subprocess.run(
        [sys.executable, "-c", REFERENCE], input=json.dumps(TEXTS), capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(await embedder.embed(TEXTS), np.array(json.loads(run.stdout)), atol=1e-5)


@given(st.lists(st.text(st.characters()), max_size=4))
def test_any_text_gives_a_unit_vector(embedder: WordLlamaEmbedder, texts: list[str]) -> None:
    rows = asyncio.run(embedder.embed(texts))
    assert rows.shape == (len(texts), embedder.info.dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(len(texts)), atol=1e-5)


async def test_the_same_text_gives_the_same_vector_alone_and_in_a_batch(embedder: WordLlamaEmbedder) -> None:
    batch = await embedder.embed(TEXTS)
    for text, row in zip(TEXTS, batch, strict=True):
        np.testing.assert_array_equal((await embedder.embed([text]))[0], row)


async def test_an_empty_text_gives_the_first_basis_vector(embedder: WordLlamaEmbedder) -> None:
    assert np.flatnonzero((await embedder.embed([""]))[0]).tolist() == [0]


async def test_no_texts_give_no_rows(embedder: WordLlamaEmbedder) -> None:
    assert (await embedder.embed([])).shape == (0, 256)


async def test_only_the_first_16384_bytes_count(embedder: WordLlamaEmbedder) -> None:
    text = "memory " * 200_000
    rows = await embedder.embed([text, text[:MAX_CONTENT_BYTES]])
    np.testing.assert_array_equal(rows[0], rows[1])


@pytest.mark.parametrize(
    ("question", "related", "unrelated"),
    [
        ("What is my dog called?", "My dog's name is Rex.", "I booked a flight to Lisbon."),
        ("What's my budget for the trip?", "The Hawaii trip may cost $10,000.", "My sister plays the violin."),
        ("Am I allergic to anything?", "The user has a peanut allergy.", "The server runs on port 8080."),
    ],
)
async def test_a_paraphrase_is_nearer_than_an_unrelated_text(
    embedder: WordLlamaEmbedder, question: str, related: str, unrelated: str
) -> None:
    asked, near, far = await embedder.embed([question, related, unrelated])
    assert asked @ near > asked @ far + 0.1


async def test_the_default_threshold_parts_related_from_unrelated(embedder: WordLlamaEmbedder) -> None:
    asked, near, far = await embedder.embed(
        [
            "What is my dog called?",
            "Q: My dog is called Rex and he is a beagle.\nA: Rex sounds lovely!",
            "Q: Write a poem about autumn leaves.\nA: Golden they fall.",
        ]
    )
    assert (1 + asked @ near) / 2 >= embedder.info.default_threshold > (1 + asked @ far) / 2


async def test_closing_twice_is_harmless(embedder: WordLlamaEmbedder) -> None:
    await embedder.aclose()
    await embedder.aclose()
