"""The bundled tokenizer, loaded once: nothing changes it."""

import pytest
from tokenizers import Tokenizer

from memrouter.embeddings.tokens import load_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return load_tokenizer()
