"""``global.stores.memory``: where memories live, how they are found and what is kept."""

from typing import ClassVar, Literal

from pydantic import Field

from memrouter.config.base import Seconds, Secret, Section
from memrouter.config.keeping import (
    ConsolidationSettings,
    DeduplicationSettings,
    ExtractionSettings,
    QualitySettings,
    QuarantineSettings,
    RedactionSettings,
    RetentionSettings,
)
from memrouter.config.reranking import QueryRewriteSettings, RerankerSettings
from memrouter.config.retrieval import RetrievalSettings


class SqliteSettings(Section):
    """The embedded store: one file."""

    path: str = "./memrouter.db"
    """File of the database; its folder must exist and be writable."""
    synchronous: Literal["normal", "full"] = "full"
    """``full`` survives a power cut; ``normal`` survives a killed process and is faster."""


class ValkeySettings(Section):
    """Valkey with the Search module."""

    host: str = "localhost"
    port: int = Field(default=6379, ge=1, le=65_535)
    database: int = Field(default=0, ge=0, le=15)
    username: str = ""
    password: Secret = Secret("")
    timeout: Seconds = Field(default=10, gt=0)
    """Seconds for connecting and for each command."""
    collection_prefix: str = "mem:"
    index_name: str = "mem_idx"
    dimension: int | None = Field(default=None, ge=1, le=32_768)
    """Length of the vectors; omitted = taken from the embedder."""
    metric_type: Literal["COSINE", "L2", "IP"] = "COSINE"
    index_algorithm: Literal["auto", "flat", "hnsw"] = "auto"
    text_index: bool = False
    index_m: int = Field(default=16, ge=2, le=512)
    index_ef_construction: int = Field(default=256, ge=1, le=4096)
    cluster: bool = False
    tls_enabled: bool = False
    tls_ca_path: str = ""
    tls_insecure_skip_verify: bool = False


class MilvusSettings(Section):
    """Milvus Standalone, Distributed or Lite."""

    address: str = "localhost:19530"
    """``host:port``, a URI (``http``, ``https``, ``tcp``, ``unix``), or a path that ends in ``.db`` (Milvus Lite)."""
    collection: str = Field(default="agentic_memory", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")
    """Name of a collection or of an alias; a collection that is not there is made."""
    dimension: int | None = Field(default=None, ge=1, le=32_768)
    """Length of the vectors; omitted = taken from the embedder."""
    metric_type: Literal["COSINE", "L2", "IP"] = "COSINE"
    """For a collection that is made; scores are the same with each."""
    index_algorithm: Literal["auto", "flat", "hnsw"] = "auto"
    """For a collection that is made; ``auto`` is ``flat``, which is exact."""
    index_m: int = Field(default=16, ge=2, le=2048)
    index_ef_construction: int = Field(default=256, ge=1, le=4096)
    num_partitions: int = Field(default=16, ge=1, le=1024)
    """For a collection that is made; users are spread over them by ``user_id``."""
    timeout: Seconds = Field(default=10, gt=0)
    """Seconds for connecting and for each call."""
    token: Secret = Secret("")
    """An API key, or ``user:password``; wins over the two."""
    username: str = ""
    password: Secret = Secret("")
    database: str = ""
    tls_enabled: bool = False
    """Whether to encrypt; a URI with ``https`` does so without it."""
    tls_ca_path: str = ""
    """PEM file with the authority of the server's certificate; empty = those that gRPC brings."""


class RedisCacheSettings(Section):
    """The hot cache in front of the store: search answers on a Valkey or Redis server."""

    enabled: bool = False
    """Whether answers are kept; needs the extra ``[valkey]``."""
    address: str = "localhost:6379"
    """``host:port`` of a standalone server without TLS. It holds memory texts: trust it as you trust the store."""
    ttl_seconds: int = Field(default=300, ge=1)
    """Seconds after which what is kept for an owner is dropped."""
    db: int = Field(default=0, ge=0, le=15)
    key_prefix: str = "memory_cache:"
    """In front of every key, which is this and the owner's digest in braces."""
    username: str = ""
    password: Secret = Secret("")


class ReflectionSettings(Section):
    """The filter between retrieval and injection."""

    enabled: bool = True
    algorithm: str = "recency_semantic"
    """``recency_semantic`` (the Go router's ``heuristic``), ``noop``, or a name that an installed package brings."""
    max_inject_tokens: int = Field(default=2048, ge=1)
    """Most tokens that the injected memories may have; whole memories only."""
    recency_decay_days: float = Field(default=30, gt=0)
    """Half-life: days after which a memory's score has lost half of the tenth that recency can take."""
    dedup_threshold: float = Field(default=0.90, ge=0, le=1)
    """``vector_score`` between two memories from which the lower-ranked one is left out."""
    block_patterns: tuple[str, ...] = ()
    """Regular expressions; a memory that one of them finds something in, or needs over 10 ms for, is not injected."""


class ReflectionOverride(Section):
    """A route's own reflection settings; what is omitted comes from the global ones."""

    enabled: bool | None = None
    algorithm: str | None = None
    max_inject_tokens: int | None = Field(default=None, ge=1)
    recency_decay_days: float | None = Field(default=None, gt=0)
    dedup_threshold: float | None = Field(default=None, ge=0, le=1)
    block_patterns: tuple[str, ...] | None = None


class InjectionSettings(Section):
    """How memories enter the prompt."""

    position: Literal["before_last_user", "after_system"] = "before_last_user"
    """``before_last_user`` keeps the system prompt and the history byte-identical for the model's prefix cache."""
    style: Literal["message", "merge_into_user"] = "message"
    """``message``: one message of its own with role ``user``; ``merge_into_user``: in front of the user's text."""


class EmbeddingEndpointSettings(Section):
    """An OpenAI-compatible ``/v1/embeddings`` endpoint for ``embedding_model: openai``."""

    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = "text-embedding-3-small"
    api_key: Secret = Secret("")
    api_key_env: str = ""
    dimension: int = Field(default=1536, ge=1, le=32_768)
    send_dimension: bool = False
    """Whether to ask the endpoint for this dimension; only for models made for truncation."""
    timeout: Seconds = Field(default=10, gt=0)
    batch_size: int = Field(default=64, ge=1, le=2048)
    default_threshold: float = Field(default=0.70, ge=0, le=1)


class MemoryLimits(Section):
    """Bounds that keep one caller from hurting the rest."""

    store_queue: int = Field(default=1000, ge=1)
    """Most finished turns that wait to be stored; past it the oldest is dropped and counted."""
    store_workers: int = Field(default=16, ge=1, le=64)
    """Groups of finished turns that are stored at the same time; a group is what waited together, up to 32 turns."""
    scan_limit: int = Field(default=2000, ge=0)
    """Largest owner whose memories are ranked whole, by vectors and words with true statistics."""
    working_set_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Most memory for owners' ranked texts kept between requests; 0 keeps none."""
    embedding_cache_entries: int = Field(default=4096, ge=0)
    list_page: int = Field(default=100, ge=1, le=1000)
    """Largest ``limit`` of a list."""
    add_batch: int = Field(default=256, ge=1, le=10_000)
    """Most memories in one POST /v1/memory."""
    import_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """Largest body of a POST /v1/memory/import; it is read as a stream and never held whole."""
    import_line_bytes: int = Field(default=1_048_576, ge=1024, le=16 * 1024 * 1024)
    """Longest line in it."""


class MigrationTarget(Section):
    """A store that memories move to; the same keys as in ``global.stores.memory``."""

    backend: Literal["sqlite", "valkey", "milvus"] | None = None
    """Omitted: as the blocks here imply."""
    valkey: ValkeySettings | None = None
    milvus: MilvusSettings | None = None
    sqlite: SqliteSettings = SqliteSettings()


class MigrationSettings(Section):
    """A move to another store while the router serves."""

    to: MigrationTarget
    """The new store. Writes go to both; reads go to it as soon as it is proven equal to the old one."""
    rate: int = Field(default=2000, ge=1)
    """Most memories per second that the background copy reads."""
    overwrite: bool = False
    """Whether memories that only the new store holds may be removed from it, more than a stopped copy leaves."""


class MemorySettings(Section):
    """Agentic memory."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"qdrant"})

    enabled: bool = True
    backend: Literal["sqlite", "valkey", "milvus"] | None = None
    """Omitted: ``milvus`` where a milvus block is present, ``valkey`` where only a valkey block is, else sqlite."""
    auto_store: bool = True
    """Whether finished turns are stored where the route does not say otherwise."""
    recall: bool = True
    """Whether memories are retrieved and injected where the route does not say otherwise."""
    embedding_model: str = "wordllama"
    """``wordllama`` (bundled), ``openai`` (an endpoint) or ``hash`` (tests)."""
    embedding_endpoint: EmbeddingEndpointSettings = EmbeddingEndpointSettings()
    valkey: ValkeySettings | None = None
    milvus: MilvusSettings | None = None
    sqlite: SqliteSettings = SqliteSettings()
    redis_cache: RedisCacheSettings = RedisCacheSettings()
    disabled_routes: tuple[str, ...] = ()
    """Decision names or request paths without memory."""
    disabled_models: tuple[str, ...] = ()
    """Model names, as the client sends them, without memory."""
    default_retrieval_limit: int = Field(default=5, ge=1, le=1000)
    default_similarity_threshold: float | None = Field(default=None, ge=0, le=1)
    """Lowest ``vector_score`` of a relevant memory; omitted = the embedder's own."""
    hybrid_search: bool = True
    """Whether words count beside vectors."""
    hybrid_mode: Literal["rerank", "weighted", "rrf"] = "rerank"
    adaptive_threshold: bool = True
    """Whether the largest gap between scores ends the result early."""
    timeout_ms: int = Field(default=1000, ge=1)
    """Most milliseconds that retrieval may add to a request before it goes on without memory."""
    retrieval: RetrievalSettings = RetrievalSettings()
    quality_scoring: QualitySettings = QualitySettings()
    reflection: ReflectionSettings = ReflectionSettings()
    injection: InjectionSettings = InjectionSettings()
    reranker: RerankerSettings = RerankerSettings()
    query_rewrite: QueryRewriteSettings = QueryRewriteSettings()
    consolidation: ConsolidationSettings = ConsolidationSettings()
    deduplication: DeduplicationSettings = DeduplicationSettings()
    redaction: RedactionSettings = RedactionSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    retention: RetentionSettings = RetentionSettings()
    extraction: ExtractionSettings = ExtractionSettings()
    extraction_batch_size: int = Field(default=10, ge=1, le=100)
    """How many finished turns of a conversation an extraction model gets at once."""
    limits: MemoryLimits = MemoryLimits()
    migration: MigrationSettings | None = None
    """Present: the memories move to another store while the router serves."""

    @property
    def effective_backend(self) -> Literal["sqlite", "valkey", "milvus"]:
        """Return the chosen backend, or the one that the present blocks imply."""
        if self.backend is not None:
            return self.backend
        if self.milvus is not None:
            return "milvus"
        return "valkey" if self.valkey is not None else "sqlite"

    @property
    def store_dimension(self) -> int | None:
        """Return the length of vectors that the chosen backend's block names; None where it names none."""
        block = {"valkey": self.valkey, "milvus": self.milvus}.get(self.effective_backend)
        return None if block is None else block.dimension

    @property
    def migration_target(self) -> "MemorySettings | None":
        """Return the same settings with the store that memories move to as the store; None where none move."""
        if self.migration is None:
            return None
        to = self.migration.to
        blocks = {"backend": to.backend, "valkey": to.valkey, "milvus": to.milvus, "sqlite": to.sqlite}
        return self.model_copy(update={**blocks, "migration": None})


class MemoryPluginSettings(Section):
    """A route's own memory settings; what is omitted comes from ``global.stores.memory``."""

    enabled: bool | None = None
    retrieval_limit: int | None = Field(default=None, ge=1, le=1000)
    similarity_threshold: float | None = Field(default=None, ge=0, le=1)
    auto_store: bool | None = None
    recall: bool | None = None
    store_tool_output: bool | None = None
    """Whether tool results of the finished turn are remembered too, with trust ``tool``; omitted = they are not."""
    hybrid_search: bool | None = None
    hybrid_mode: Literal["rerank", "weighted", "rrf"] | None = None
    adaptive_threshold: bool | None = None
    reflection: ReflectionOverride | None = None
