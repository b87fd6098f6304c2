"""WordLlama as its package has it, for peers: the same vectors as memrouter's own embedder. Imports no memrouter."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSION = 256


class WordLlamaVectors:
    """The package's inference object, made of the two files that its wheel ships; its own loader would download."""

    def __init__(self) -> None:
        from safetensors import safe_open
        from tokenizers import Tokenizer
        from wordllama.inference import WordLlamaInference

        spec = find_spec("wordllama")
        assert spec is not None
        folder = Path((spec.submodule_search_locations or [""])[0])
        with safe_open(str(folder / "weights" / "l2_supercat_256.safetensors"), framework="np") as tensors:
            weights = tensors.get_tensor("embedding.weight")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        self._inference: Any = WordLlamaInference(weights, tokenizer)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text, of unit length."""
        rows: NDArray[np.float32] = self._inference.embed(list(texts), norm=True)
        return rows
