"""Which model's vectors a store keeps, whether they are being made anew, and what is said where that does not fit."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from memrouter.errors import SchemaMismatch, StoreUnavailable

MODEL: Final = "embedding_model"
DIMENSION: Final = "dimension"
TARGET_MODEL: Final = "reindex_model"
TARGET_DIMENSION: Final = "reindex_dimension"
PHASE: Final = "reindex_phase"
"""Names under which a store writes these things down, whatever it is."""

_SETTING: Final = "global.stores.memory.embedding_model"


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Vectors that can be compared with each other: of one model and one length.

    Attributes:
        model: Name of the embedding model.
        dimension: Numbers of a vector.
    """

    model: str
    dimension: int

    def __str__(self) -> str:
        """Return the space for messages."""
        return f"{self.model} ({self.dimension} numbers)"

    @property
    def command(self) -> str:
        """Return the command that makes all vectors of a store anew in this space."""
        model = shlex.quote(self.model)
        return f"memrouter reindex --embedding-model {model} --dimension {self.dimension} --config FILE"


class Phase(StrEnum):
    """How far a reindex is."""

    FILLING = "filling"
    """New vectors are made beside the old ones, which everything still works with."""
    SEALED = "sealed"
    """All but the last new vectors are there; no memory with an old one is taken any more, reads go on."""
    SWITCHING = "switching"
    """The new vectors are being put in the place of the old ones; no router can use the store."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A reindex that is not finished."""

    target: EmbeddingSpace
    phase: Phase


def kept_space(notes: Mapping[str, str]) -> EmbeddingSpace | None:
    """Return whose vectors are kept; None where nothing is written down yet."""
    return _space(notes, MODEL, DIMENSION)


def under_way(notes: Mapping[str, str]) -> UnderWay | None:
    """Return the reindex that is not finished, if there is one."""
    target = _space(notes, TARGET_MODEL, TARGET_DIMENSION)
    return None if target is None else UnderWay(target, Phase(notes.get(PHASE, Phase.FILLING)))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a router must not start on a store.

    Attributes:
        seen: What is not as configured.
        fix: What to do, with the exact command.
    """

    seen: str
    fix: str


def refusal(
    notes: Mapping[str, str], *, wanted: EmbeddingSpace, place: str, instead: str | None = None
) -> Refusal | None:
    """Return why a router must not start on this store; None where it may.

    Args:
        notes: What the store wrote down.
        wanted: The space of the router's embedder.
        place: Names the store.
        instead: How such a store gets vectors of another model, where it cannot be reindexed.
    """
    kept, reindex = kept_space(notes) or wanted, under_way(notes)
    if reindex is not None and (kept != wanted or reindex.phase is Phase.SWITCHING):
        meanwhile = "no router can use it" if reindex.phase is Phase.SWITCHING else f"routers with {kept} can use it"
        return Refusal(
            f"{place}: a reindex to {reindex.target} is under way, and {wanted} is configured; until it is finished "
            f"{meanwhile}",
            f"finish it with: {reindex.target.command}",
        )
    if kept != wanted:
        return Refusal(
            f"{place} keeps vectors of {kept}, but {wanted} is configured",
            f"set {_SETTING} back to {kept.model}, or {instead or f'run: {wanted.command}'}",
        )
    return None


def check_space(notes: Mapping[str, str], *, wanted: EmbeddingSpace, place: str, instead: str | None = None) -> None:
    """Check that a router may start on this store; see ``refusal``.

    Raises:
        SchemaMismatch: It must not.
    """
    reason = refusal(notes, wanted=wanted, place=place, instead=instead)
    if reason is not None:
        raise SchemaMismatch(f"{reason.seen}; {reason.fix}")


def check_still_kept(notes: Mapping[str, str], *, own: EmbeddingSpace, place: str) -> None:
    """Check that the store still keeps the vectors of the router that is using it.

    Raises:
        SchemaMismatch: It was reindexed meanwhile.
    """
    kept = kept_space(notes)
    if kept is not None and kept != own:
        raise SchemaMismatch(
            f"{place} was reindexed: it keeps vectors of {kept} now, and this process has {own}. Set {_SETTING} to the "
            f"new model and restart memrouter"
        )


def check_writable(notes: Mapping[str, str], *, own: EmbeddingSpace, place: str) -> None:
    """Check that the store takes vectors of the router that is using it.

    Raises:
        SchemaMismatch: It was reindexed meanwhile.
        StoreUnavailable: A reindex is about to switch.
    """
    check_still_kept(notes, own=own, place=place)
    reindex = under_way(notes)
    if reindex is not None and reindex.phase is not Phase.FILLING:
        raise StoreUnavailable(
            f"{place} is about to switch to vectors of {reindex.target} and takes nothing new until the reindex is "
            f"finished ({reindex.target.command}). Then set {_SETTING} to the new model and restart memrouter"
        )


def check_target(notes: Mapping[str, str], *, target: EmbeddingSpace, place: str) -> None:
    """Check that a reindex to ``target`` may begin or go on.

    Raises:
        SchemaMismatch: One to another space is under way.
    """
    reindex = under_way(notes)
    if reindex is None or reindex.target == target:
        return
    if reindex.phase is Phase.SWITCHING:
        raise SchemaMismatch(switch_has_begun(reindex, place=place))
    raise SchemaMismatch(
        f"{place}: a reindex to {reindex.target} is under way. Finish it with: {reindex.target.command}; or give it up "
        "with the same command and --abandon"
    )


def switch_has_begun(reindex: UnderWay, *, place: str) -> str:
    """Return why a reindex cannot be given up any more."""
    return f"{place}: the switch to {reindex.target} has begun and can only be finished: {reindex.target.command}"


def check_begun(notes: Mapping[str, str], *, target: EmbeddingSpace, place: str) -> None:
    """Check that the reindex to ``target`` is still under way.

    Raises:
        StoreUnavailable: Another process has finished it or given it up.
    """
    reindex = under_way(notes)
    if reindex is None or reindex.target != target:
        raise StoreUnavailable(
            f"{place}: the reindex to {target} was ended by another process; run the command again to see how it stands"
        )


def _space(notes: Mapping[str, str], model: str, dimension: str) -> EmbeddingSpace | None:
    if model not in notes or not notes.get(dimension, "").isdecimal():
        return None
    return EmbeddingSpace(notes[model], int(notes[dimension]))
