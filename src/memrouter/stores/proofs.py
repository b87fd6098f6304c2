"""What is known to be equal in two stores, and for how long that holds."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_PROOFS: Final = 200_000
"""Most owners whose proof is held; about 40 MB."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An owner's memories were read from both stores, after these generations were, and were equal.

    Since a generation never comes again and every write raises it, they are equal whenever both generations stand.

    Attributes:
        old: The owner's generation in the old store.
        new: The owner's generation in the new store.
    """

    old: int
    new: int


class Proofs:
    """The proofs of the owners who were compared last; the one that was used longest ago goes first."""

    def __init__(self, *, capacity: int = MAX_PROOFS) -> None:
        self._capacity = capacity
        self._held: OrderedDict[str, Proof] = OrderedDict()

    def get(self, user_id: str) -> Proof | None:
        """Return the proof for an owner, if one is held."""
        proof = self._held.get(user_id)
        if proof is not None:
            self._held.move_to_end(user_id)
        return proof

    def keep(self, user_id: str, proof: Proof) -> None:
        """Hold a proof in the place of an earlier one."""
        self._held[user_id] = proof
        self._held.move_to_end(user_id)
        if len(self._held) > self._capacity:
            self._held.popitem(last=False)
