"""Keys of model endpoints, from the configuration or the environment."""

from collections.abc import Mapping
from typing import Protocol

from memrouter.config.base import Secret
from memrouter.errors import ConfigError, ConfigProblem


class KeyedSection(Protocol):
    """A section with a key, or with the name of the variable that holds it."""

    @property
    def api_key(self) -> Secret:
        """Return the key itself; empty for none."""
        ...

    @property
    def api_key_env(self) -> str:
        """Return the name of the environment variable; empty for none."""
        ...


def resolve_api_key(section: KeyedSection, *, env: Mapping[str, str], path: str, whose: str) -> str | None:
    """Return the key to send; None for none.

    Args:
        section: The endpoint's section.
        env: Environment variables.
        path: The section's dotted path, for messages.
        whose: What the key is for, such as ``the embedding endpoint``.

    Raises:
        ConfigError: The variable is empty, or the key cannot stand in a header.
    """
    name = section.api_key_env
    key = (section.api_key.get_secret_value() or (env.get(name, "") if name else "")).strip()
    if (name and not key) or not (key.isascii() and key.isprintable()):
        problem = ConfigProblem(
            file="<environment>" if name else "<configuration>",
            line=None,
            key=name or f"{path}.api_key",
            found="characters that no header may have" if key else "nothing",
            allowed=f"the key of {whose}, printable ASCII",
            hint=f"Set {name}, or leave api_key_env out" if name else "",
        )
        raise ConfigError([problem])
    return key or None
