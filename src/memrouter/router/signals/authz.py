"""Authz signals: who is calling."""

from collections.abc import Sequence
from dataclasses import dataclass

from memrouter.config.routing import RoleBinding
from memrouter.models.turn import Identity, Turn


@dataclass(frozen=True, slots=True)
class _Binding:
    names: frozenset[str]
    users: frozenset[str]
    groups: frozenset[str]

    def covers(self, identity: Identity) -> bool:
        return identity.user_id in self.users or not self.groups.isdisjoint(identity.groups)


class AuthzSignals:
    """Compares the caller with the subjects of role bindings: exactly, case included.

    Args:
        bindings: The configured bindings; each matches under its name and its role.
    """

    def __init__(self, bindings: Sequence[RoleBinding]) -> None:
        self._bindings = tuple(
            _Binding(
                names=frozenset(filter(None, (binding.name, binding.role))),
                users=frozenset(subject.name for subject in binding.subjects if subject.kind == "User"),
                groups=frozenset(subject.name for subject in binding.subjects if subject.kind == "Group"),
            )
            for binding in bindings
        )

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        """Return the names and roles of the bindings that cover the caller."""
        return frozenset(name for binding in self._bindings if binding.covers(turn.identity) for name in binding.names)
