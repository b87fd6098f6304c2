"""A server to look at, and how an operator reaches it from a shell."""

import shlex
from dataclasses import dataclass, replace
from typing import Final

from memrouter.config.base import Secret
from memrouter.config.memory import RedisCacheSettings, ValkeySettings
from memrouter.errors import ConfigError, ConfigProblem

MOST_PATIENCE: Final = 5.0
"""Longest the doctor waits for one answer, whatever the configured timeout, in seconds."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a Valkey or Redis server is and how it wants to be spoken to.

    Attributes:
        section: The part of the configuration that names it.
        host: Name or address.
        port: TCP port.
        database: Its number.
        username: For AUTH; empty = the default user.
        password: For AUTH; empty = none.
        patience: Seconds for connecting, and for each answer.
        tls: Whether to encrypt.
        ca_path: File of trusted authorities; empty = the system's.
        verify: Whether the certificate is checked.
    """

    section: str
    host: str
    port: int
    database: int
    username: str
    password: Secret
    patience: float
    tls: bool = False
    ca_path: str = ""
    verify: bool = True

    @classmethod
    def of_store(cls, settings: ValkeySettings) -> "ServerAddress":
        """Return the address of the memory store."""
        return cls(
            section="global.stores.memory.valkey",
            host=settings.host,
            port=settings.port,
            database=settings.database,
            username=settings.username,
            password=settings.password,
            patience=min(settings.timeout, MOST_PATIENCE),
            tls=settings.tls_enabled,
            ca_path=settings.tls_ca_path,
            verify=not settings.tls_insecure_skip_verify,
        )

    @classmethod
    def of_cache(cls, settings: RedisCacheSettings) -> "ServerAddress":
        """Return the address of the hot cache.

        Raises:
            ConfigError: ``address`` is not host:port.
        """
        section = "global.stores.memory.redis_cache"
        host, _, port = settings.address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65_535:
            raise ConfigError(
                [ConfigProblem("<configuration>", None, f"{section}.address", repr(settings.address), "host:port")]
            )
        return cls(
            section=section,
            host=host.removeprefix("[").removesuffix("]"),
            port=int(port),
            database=settings.db,
            username=settings.username,
            password=settings.password,
            patience=MOST_PATIENCE,
        )

    def __str__(self) -> str:
        """Return host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def cli(self, *command: str) -> str:
        """Return a shell command that runs ``command`` on this server; it asks for the password, if there is one."""
        parts = ["valkey-cli", "-h", self.host, "-p", str(self.port)]
        parts += ["-n", str(self.database)] if self.database else []
        parts += ["--tls"] if self.tls else []
        parts += ["--cacert", self.ca_path] if self.tls and self.ca_path else []
        parts += ["--insecure"] if self.tls and not self.verify else []
        parts += ["--user", self.username] if self.username else []
        parts += ["--askpass"] if self.password.get_secret_value() else []
        return shlex.join([*parts, *command])

    def admin_cli(self, *command: str) -> str:
        """Return the same for what an administrator does, who is not the router's user."""
        return replace(self, username="").cli(*command)
