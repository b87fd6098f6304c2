"""A cross-encoder from a local folder, as ONNX on the CPU."""

import asyncio
import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from memrouter.errors import ConfigError, ConfigProblem, MissingExtra, RerankError
from memrouter.rerankers.base import MAX_QUERY_CHARS, MAX_TEXT_CHARS, readable

MAX_TOKENS: Final = 512
"""Tokens of question and text together that the model reads; the text is cut first where both are long."""
BATCH: Final = 8
"""Pairs that the model reads at a time; a cancelled call ends between two batches."""

_INPUTS: Final = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class OnnxReranker:
    """Runs the model in one thread of its own; satisfies ``Reranker``.

    Args:
        session: An ``onnxruntime.InferenceSession`` whose inputs are of ``input_ids``, ``attention_mask`` and
            ``token_type_ids``, and whose first output has one row a pair; the last number of a row is its score.
        tokenizer: Its own; padding and truncation are set here.
    """

    def __init__(self, session: Any, tokenizer: Tokenizer) -> None:
        tokenizer.enable_truncation(MAX_TOKENS, strategy="longest_first")
        tokenizer.enable_padding()
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = [each.name for each in session.get_inputs()]
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reranker")
        self._closed = False

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one finite number for each text.

        Raises:
            RerankError: The model failed, gave something unusable, or the reranker is closed.
        """
        question = readable(query, MAX_QUERY_CHARS)
        pairs = [(question, readable(text, MAX_TEXT_CHARS)) for text in texts]
        scores: list[float] = []
        for start in range(0, len(pairs), BATCH):
            if self._closed:
                raise RerankError("the reranker is closed")
            batch = pairs[start : start + BATCH]
            scores += await asyncio.get_running_loop().run_in_executor(self._thread, self._score, batch)
        return scores

    async def aclose(self) -> None:
        """Let the thread end once it has done what it was asked for. Calling it again does nothing."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _score(self, pairs: list[tuple[str, str]]) -> list[float]:
        try:
            encoded = self._tokenizer.encode_batch(pairs)
            (logits, *_) = self._session.run(None, {name: _column(encoded, name) for name in self._inputs})
            rows = np.asarray(logits, dtype=np.float64).reshape(len(pairs), -1)
        except Exception as error:  # noqa: BLE001 - the model's package raises what it likes
            # Its message may quote the text.
            raise RerankError(f"the local reranking model failed ({type(error).__name__})") from None
        if rows.shape[1] == 0 or not np.isfinite(rows[:, -1]).all():
            raise RerankError("the local reranking model gave scores of a wrong shape or not finite")
        scores: list[float] = rows[:, -1].tolist()
        return scores


def load_onnx(folder: str) -> OnnxReranker:
    """Return the reranker; reads the model, so call it in a thread. Nothing is downloaded.

    Args:
        folder: Has ``model.onnx`` and ``tokenizer.json``.

    Raises:
        MissingExtra: onnxruntime is not installed.
        ConfigError: There is no usable model in the folder.
    """
    try:
        package = importlib.import_module("onnxruntime")
    except ImportError:
        raise MissingExtra("reranker.kind: onnx", "rerank") from None
    try:
        options = package.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads take no processor time
        model = str(Path(folder, "model.onnx"))
        session = package.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(Path(folder, "tokenizer.json")))
    except Exception as error:  # a missing file, a broken model: every layer below has errors of its own
        raise ConfigError([_not_usable(folder, str(error).partition("\n")[0])]) from error
    unknown = sorted({each.name for each in session.get_inputs()} - _INPUTS.keys())
    if unknown:
        raise ConfigError([_not_usable(folder, f"a model with the inputs {', '.join(unknown)}")])
    return OnnxReranker(session, tokenizer)


def _column(encoded: Sequence[Encoding], name: str) -> NDArray[np.int64]:
    return np.array([getattr(each, _INPUTS[name]) for each in encoded], dtype=np.int64)


def _not_usable(folder: str, found: str) -> ConfigProblem:
    return ConfigProblem(
        file="<configuration>",
        line=None,
        key="global.stores.memory.reranker.path",
        found=f"{folder!r}: {found}",
        allowed="a folder with model.onnx (a cross-encoder) and tokenizer.json",
        hint="Export one with: optimum-cli export onnx --task text-classification --model MODEL FOLDER",
    )
