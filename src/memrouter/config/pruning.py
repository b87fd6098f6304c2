"""Leaving parts out of plain data without losing track of where the rest stood."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from memrouter.config.paths import KeyPath


@dataclass(frozen=True, slots=True)
class Pruned:
    """Data without some of its parts.

    Attributes:
        data: What is left.
        kept: For each list that lost items: the former indexes of those left.
    """

    data: object
    kept: Mapping[KeyPath, tuple[int, ...]]

    def former(self, path: KeyPath) -> KeyPath:
        """Return where the value at ``path`` stood before."""
        former: KeyPath = ()
        for part in path:
            kept = self.kept.get(former)
            if kept is not None and isinstance(part, int) and part < len(kept):
                part = kept[part]  # noqa: PLW2901 - the loop walks both trees at once
            former = (*former, part)
        return former


def prune(data: object, removed: Collection[KeyPath]) -> Pruned:
    """Return a copy of plain data without the values at the paths ``removed``."""
    kept: dict[KeyPath, tuple[int, ...]] = {}

    def copy(value: object, path: KeyPath) -> object:
        if isinstance(value, dict):
            return {key: copy(item, (*path, key)) for key, item in value.items() if (*path, key) not in removed}
        if isinstance(value, list):
            indexes = tuple(index for index in range(len(value)) if (*path, index) not in removed)
            if len(indexes) < len(value):
                kept[path] = indexes
            return [copy(value[index], (*path, index)) for index in indexes]
        return value

    return Pruned(copy(data, ()), kept)
