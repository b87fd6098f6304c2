"""The whole configuration as one typed tree."""

from typing import ClassVar, Literal

from pydantic import Field

from memrouter.config.auth import AuthSettings
from memrouter.config.base import Seconds, Section
from memrouter.config.inspector import InspectorSettings
from memrouter.config.limits import CorsSettings, LimitSettings
from memrouter.config.mcp import McpSettings
from memrouter.config.memory import MemorySettings
from memrouter.config.providers import ModelSettings, ProviderSettings
from memrouter.config.routing import RoutingSettings
from memrouter.config.tracing import ObservabilitySettings, TracingSettings


class Listener(Section):
    """An address that the router answers on."""

    name: str = "http"
    address: str = "127.0.0.1"
    port: int = Field(default=8888, ge=0, le=65_535)
    """0 takes a free port."""
    timeout: Seconds = Field(default=300, gt=0)
    """Longest silence of the upstream: until its first byte, and between two pieces of a stream."""


class ServerSettings(Section):
    """Limits and habits of the HTTP server."""

    max_body_bytes: int = Field(default=10 * 1024 * 1024, ge=1024)
    shutdown_seconds: Seconds = Field(default=30, ge=0)
    """Time for streams to end and queued memories to be stored after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    connect_timeout: Seconds = Field(default=5, gt=0)
    """Seconds to connect to an upstream backend before the next one is tried."""
    upstream_connections: int = Field(default=512, ge=1)
    """Most connections to one backend host."""
    backend_cooldown: Seconds = Field(default=5, ge=0)
    """Seconds for which a backend that failed is tried last."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer behind the same ports: one a core, on a machine that does nothing else."""
    cors: CorsSettings = CorsSettings()


class RouterSettings(Section):
    """Names that stand for the router's own choice."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset(
        {
            "config_source",
            "strategy",
            "include_config_models_in_list",
            "clear_route_cache",
            "streamed_body",
            "skip_processing",
            "model_selection",
            "learning",
        }
    )

    auto_model_name: str = ""
    auto_model_names: tuple[str, ...] = ("auto", "MoM")
    """Model names with which a client lets the decision choose; compared without regard to case."""


class StoreSettings(Section):
    """What the router keeps."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"response_cache", "semantic_cache", "vector_store"})

    memory: MemorySettings = MemorySettings()


class ResponseApiSettings(Section):
    """What is kept of answers to ``/v1/responses``."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"store_backend", "max_responses", "redis"})

    enabled: bool = True
    """Whether responses are kept, so that a later one can name them as ``previous_response_id``."""
    ttl_seconds: int = Field(default=30 * 86_400, ge=1)
    """How long a response is kept."""
    max_response_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """Largest response that is kept, its input and its output; a larger one is answered, but not kept."""
    max_chain_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """Largest chain of responses that is built upon."""


class ServiceSettings(Section):
    """Services beside routing."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset(
        {"api", "authz", "ratelimit", "management_api", "router_replay", "startup_status"}
    )

    response_api: ResponseApiSettings = ResponseApiSettings()
    observability: ObservabilitySettings = ObservabilitySettings()


class GlobalSettings(Section):
    """Everything that is not a route."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"integrations", "model_catalog"})

    router: RouterSettings = RouterSettings()
    services: ServiceSettings = ServiceSettings()
    stores: StoreSettings = StoreSettings()
    auth: AuthSettings = AuthSettings()
    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    mcp: McpSettings = McpSettings()
    inspector: InspectorSettings = InspectorSettings()


class Settings(Section):
    """A configuration file, checked."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"entrypoints", "recipes"})

    version: Literal["v0.3"] = "v0.3"
    listeners: tuple[Listener, ...] = Field(default=(Listener(),), min_length=1)
    providers: ProviderSettings = ProviderSettings()
    routing: RoutingSettings = RoutingSettings()
    global_: GlobalSettings = Field(default=GlobalSettings(), alias="global")

    @property
    def memory(self) -> MemorySettings:
        """Return ``global.stores.memory``."""
        return self.global_.stores.memory

    @property
    def tracing(self) -> TracingSettings:
        """Return ``global.services.observability.tracing``."""
        return self.global_.services.observability.tracing

    @property
    def rewriting_model(self) -> ModelSettings | None:
        """Return the model that rewrites queries; None where rewriting is off, or no model is meant for it."""
        rewrite, models = self.memory.query_rewrite, self.providers.models
        return _meant(models, rewrite.model, "memory_rewrite") if rewrite.enabled else None

    @property
    def extraction_model(self) -> ModelSettings | None:
        """Return the model that extracts facts; None where extraction is off, or no model is meant for it."""
        extraction, models = self.memory.extraction, self.providers.models
        return _meant(models, extraction.model, "memory_extraction") if extraction.enabled else None

    @property
    def consolidation_model(self) -> ModelSettings | None:
        """Return the model that writes merged texts; None where none is named."""
        name = self.memory.consolidation.model
        return _meant(self.providers.models, name, "") if name else None


def _meant(models: tuple[ModelSettings, ...], name: str, role: str) -> ModelSettings | None:
    """Return the model of a name; without a name the first one of a role."""
    return next((model for model in models if (model.name == name if name else model.role == role)), None)
