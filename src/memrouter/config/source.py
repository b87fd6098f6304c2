"""Plain data from a file, the environment and the command line, each value with its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from memrouter.config.document import Document
from memrouter.config.paths import KeyPath, has_prefix


@dataclass(slots=True)
class Source:
    """Everything that was written, before anything is checked.

    Attributes:
        file: The file's name as it was given.
        document: The file's content; changed in place.
        outside: Where values that are not from the file come from, such as ``<command line>``.
        filled: What stood in the file where something else was put in its place.
    """

    file: str
    document: Document
    outside: dict[KeyPath, str] = field(default_factory=dict)
    filled: dict[KeyPath, str] = field(default_factory=dict)

    @property
    def data(self) -> object:
        """The values as they are now."""
        return self.document.data

    def merge(self, values: Mapping[str, object], origin: str) -> None:
        """Lay ``values`` over the data: mappings key by key, everything else whole.

        Where the file has something else in a mapping's place, that stays, so that its fault is found.
        """
        if self.document.data is None:
            self.document.data = {}
        if isinstance(self.document.data, dict):
            self._merge(self.document.data, values, (), origin)

    def is_outside(self, path: KeyPath) -> bool:
        """Return whether the value at ``path`` is not from the file."""
        return has_prefix(path, self.outside)

    def place(self, path: KeyPath) -> tuple[str, int | None]:
        """Return the file and the line of ``path``, or of the nearest place above it that has one."""
        for end in range(len(path) + 1):
            if path[:end] in self.outside:
                return self.outside[path[:end]], None
        lines = (self.document.lines.get(path[:end]) for end in range(len(path), -1, -1))
        return self.file, next((line for line in lines if line is not None), None)

    def _merge(self, into: dict[str, object], values: Mapping[str, object], path: KeyPath, origin: str) -> None:
        for key, value in values.items():
            here = (*path, key)
            if not isinstance(value, Mapping):
                into[key] = value
                self.outside[here] = origin
                continue
            if into.get(key) is None:
                into[key] = {}
                self.outside[here] = origin
            below = into[key]
            if isinstance(below, dict):
                self._merge(below, value, here, origin)
