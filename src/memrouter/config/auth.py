"""``global.auth``: who is calling."""

from typing import Final, Literal

from pydantic import Field

from memrouter.config.base import Seconds, Secret, Section

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
"""Networks of this machine alone."""

SigningAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]
"""Algorithms that a token may be signed with; ``none`` is not among them and cannot be."""


class ApiKeySettings(Section):
    """Where API keys are kept, for ``mode: api_key``. Only hashes of them are."""

    file: str = ""
    """YAML or JSON file of keys, readable by nobody but its owner and group; empty = beside the memories."""
    cache: Seconds = Field(default=5, gt=0, le=3600)
    """Seconds for which a key that was looked up counts as known: a revoked one may work for as long."""
    grace: Seconds = Field(default=300, ge=0, le=86_400)
    """Seconds for which known keys go on working while the store cannot be asked."""


class JwtSettings(Section):
    """Which tokens are believed, for ``mode: jwt``; needs the extra ``[jwt]``."""

    issuer: str = ""
    """What the claim ``iss`` must be; required."""
    audience: tuple[str, ...] = ()
    """The claim ``aud`` must hold one of these; required."""
    jwks_url: str = ""
    """Where the issuer publishes its keys. Exactly one of this, ``key_file`` and ``secret``."""
    key_file: str = ""
    """File with public keys: PEM (also certificates) or a JSON Web Key Set."""
    secret: Secret = Secret("")
    """Shared secret of at least 32, 48 or 64 bytes, for HS256, HS384 and HS512 only."""
    algorithms: tuple[SigningAlgorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
    """The only algorithms that are believed, whatever a token says."""
    user_claim: str = Field(default="sub", min_length=1)
    """Claim that names the user. A name with dots also finds a claim within a claim."""
    project_claim: str = ""
    """Claim that names the project; empty = the project header chooses among the user's own."""
    groups_claim: str = ""
    """Claim with the user's groups: a list, or text with commas. Empty = none."""
    tenant_claim: str = ""
    """Claim that names the tenant; users are then known as ``tenant/user``. Empty = none."""
    leeway: Seconds = Field(default=30, ge=0, le=600)
    """How far clocks may differ."""
    refresh: Seconds = Field(default=3600, ge=10)
    """Age at which keys are fetched anew; those at hand stay in use until that succeeds."""


class AuthSettings(Section):
    """Who is calling."""

    mode: Literal["trusted_header", "api_key", "jwt"] = "trusted_header"
    """``trusted_header``: a proxy says so; ``api_key``: a key from ``memrouter keys``; ``jwt``: a signed token."""
    user_header: str = "x-authz-user-id"
    groups_header: str = "x-authz-user-groups"
    """Comma-separated group names."""
    project_header: str = "x-authz-project-id"
    trusted_proxies: tuple[str, ...] = LOOPBACK
    """Networks whose word about the user is believed; from elsewhere the headers are ignored."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names, without port, by which browsers may reach the router in the mode ``trusted_header``: those on its
    own machine, and the inspector's. ``localhost`` and addresses always may."""
    operator_groups: tuple[str, ...] = ()
    """Groups whose members are operators, in the modes ``trusted_header`` and ``jwt``."""
    protect_metrics: bool = False
    """Whether only operators see ``/metrics``."""
    trust_body_user: bool = False
    """For development alone: whether ``user`` in a chat request says who is calling where nothing else does."""
    api_keys: ApiKeySettings = ApiKeySettings()
    jwt: JwtSettings = JwtSettings()

    @property
    def private_headers(self) -> frozenset[str]:
        """Return the names, in lower case, of the headers that say who is calling and that no model server sees."""
        named = {self.user_header.lower(), self.groups_header.lower(), self.project_header.lower()}
        return frozenset(named | {"authorization"} if self.mode == "jwt" else named)
