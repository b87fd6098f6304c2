"""The whole configuration as one typed tree."""

from typing import ClassVar, Literal

from pydantic import Field

from memrouter.config.base import Seconds, Section
from memrouter.config.memory import MemorySettings
from memrouter.config.providers import ModelSettings, ProviderSettings
from memrouter.config.routing import RoutingSettings


class Listener(Section):
    """An address that the router answers on."""

    name: str = "http"
    address: str = "127.0.0.1"
    port: int = Field(default=8888, ge=0, le=65_535)
    """0 takes a free port."""
    timeout: Seconds = Field(default=300, gt=0)
    """Longest silence of the upstream: until its first byte, and between two pieces of a stream."""


class AuthSettings(Section):
    """Who is calling."""

    mode: Literal["trusted_header"] = "trusted_header"
    user_header: str = "x-authz-user-id"
    groups_header: str = "x-authz-user-groups"
    """Comma-separated group names."""
    project_header: str = "x-authz-project-id"
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks whose word about the user is believed; from elsewhere the headers are ignored."""


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


class GlobalSettings(Section):
    """Everything that is not a route."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"services", "integrations", "model_catalog"})

    router: RouterSettings = RouterSettings()
    stores: StoreSettings = StoreSettings()
    auth: AuthSettings = AuthSettings()
    server: ServerSettings = ServerSettings()


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
    def rewriting_model(self) -> ModelSettings | None:
        """Return the model that rewrites queries; None where rewriting is off, or no model is meant for it."""
        rewrite, models = self.memory.query_rewrite, self.providers.models
        meant = (model for model in models if (model.name == rewrite.model if rewrite.model else model.role))
        return next(meant, None) if rewrite.enabled else None
