"""``providers``: the models behind the router and where they run."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from memrouter.config.base import Secret, Section


class BackendRef(Section):
    """One server that answers for a model: ``endpoint`` (host:port) or ``base_url``."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"provider", "type", "api_version"})

    name: str = ""
    endpoint: str = ""
    """``host:port``; the path is ``/v1``."""
    protocol: Literal["http", "https"] = "http"
    base_url: str = ""
    """Full URL up to and including the version, such as ``https://host/v1``; instead of ``endpoint``."""
    chat_path: str = "/chat/completions"
    weight: int = Field(default=1, ge=0)
    """Share of requests that try this backend first; 0 is used only when the others fail."""
    api_key: Secret = Secret("")
    api_key_env: str = ""
    """Environment variable with the key; without a key the client's Authorization header is passed through."""
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer"
    extra_headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_address(self) -> "BackendRef":
        if bool(self.endpoint) == bool(self.base_url):
            msg = "exactly one of endpoint (host:port) and base_url"
            raise ValueError(msg)
        return self

    @property
    def url(self) -> str:
        """Return the address of the chat completions route."""
        base = self.base_url.rstrip("/") if self.base_url else f"{self.protocol}://{self.endpoint}/v1"
        return base + self.chat_path


class ModelSettings(Section):
    """One model that clients and decisions can name."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset(
        {"reasoning_family", "pricing", "reliability", "api_format", "external_model_ids"}
    )

    name: str = Field(min_length=1)
    provider_model_id: str = ""
    """Name that the backend knows the model by; omitted = ``name``."""
    backend_refs: tuple[BackendRef, ...] = Field(min_length=1)
    role: Literal["", "memory_rewrite", "memory_extraction"] = ""
    """``memory_rewrite``: rewrites messages into search texts (see ``query_rewrite``); ``memory_extraction``: turns
    finished turns into facts (see ``extraction``). Such a model is not listed to clients and not the default."""

    @property
    def upstream_name(self) -> str:
        """Return the name to send to the backend."""
        return self.provider_model_id or self.name


class ProviderDefaults(Section):
    """What holds for all models."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"reasoning_families", "default_reasoning_effort"})

    default_model: str = ""
    """Model for ``auto`` where no decision matches; omitted = the first one."""


class ProviderSettings(Section):
    """The models behind the router."""

    defaults: ProviderDefaults = ProviderDefaults()
    models: tuple[ModelSettings, ...] = ()
