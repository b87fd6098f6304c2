"""``reranker`` and ``query_rewrite`` in ``global.stores.memory``: models that help to find memories. Both are off."""

from typing import Literal

from pydantic import Field

from memrouter.config.base import Secret, Section


class RerankerSettings(Section):
    """A cross-encoder that reads question and memory together and orders the best ones anew."""

    kind: Literal["endpoint", "onnx"] | None = None
    """``endpoint``: a ``/v1/rerank`` route (vLLM, Jina, Cohere); ``onnx``: a local model, extra ``[rerank]``; omitted =
    nothing is re-ranked."""
    candidates: int = Field(default=30, ge=2, le=200)
    """Most memories that it reads for one question."""
    timeout_ms: int = Field(default=300, ge=1)
    """Most milliseconds for it; past them the order stays as it was."""
    base_url: str = ""
    """For ``endpoint``: address up to and including the version, such as ``http://127.0.0.1:8001/v1``."""
    model: str = ""
    """For ``endpoint``: name of the model there."""
    api_key: Secret = Secret("")
    api_key_env: str = ""
    """For ``endpoint``: environment variable with the key."""
    path: str = ""
    """For ``onnx``: folder with ``model.onnx`` and ``tokenizer.json``."""


class QueryRewriteSettings(Section):
    """A small model that turns the user's last message into a search text that stands on its own."""

    enabled: bool = True
    """Whether a model that is named here, or has ``role: memory_rewrite``, is used."""
    model: str = ""
    """Name from ``providers.models``; omitted = the one with ``role: memory_rewrite``, and without one nothing is
    rewritten."""
    timeout_ms: int = Field(default=1000, ge=1)
    """Most milliseconds that rewriting may add to a request, besides those of retrieval; past them the message itself
    is searched for."""
    max_tokens: int = Field(default=128, ge=8, le=4096)
    """Most tokens that the model may write."""
    turns: int = Field(default=3, ge=1, le=20)
    """How many of the turns before the message the model gets to read."""
