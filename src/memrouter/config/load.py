"""A configuration from a file, the environment and the command line, checked as a whole."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from memrouter.config.check import check_settings
from memrouter.config.document import MAX_BYTES, Document, parse_document
from memrouter.config.environment import Substitution, Unfilled, is_one_reference
from memrouter.config.findings import Finding
from memrouter.config.paths import KeyPath, dotted, has_prefix, is_present, put
from memrouter.config.problems import MAX_PROBLEMS, Describer, is_secret, validation_findings
from memrouter.config.pruning import Pruned, prune
from memrouter.config.routing import FOREIGN_PLUGINS
from memrouter.config.scalars import resolve_plain
from memrouter.config.settings import Settings
from memrouter.config.shape import Shape, walk
from memrouter.config.source import Source
from memrouter.config.tracing import grpc_warning
from memrouter.errors import ConfigError, ConfigProblem

_ROUNDS = 16
_NAMING_KEYS = ("name", "role", "address", "port")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    Attributes:
        settings: The settings.
        warnings: What the operator should know, one sentence each.
    """

    settings: Settings
    warnings: tuple[str, ...]


def load_settings(
    path: Path | None,
    *,
    env: Mapping[str, str],
    overrides: Mapping[str, object] = {},
    algorithms: Collection[str] = (),
) -> Loaded:
    """Read and check a configuration. Reads files: not for the event loop.

    Args:
        path: The YAML file; None for the defaults.
        env: Environment variables, for ``${NAME}`` and ``MEMROUTER_EMBEDDING_MODEL``.
        overrides: Plain data laid over the file, mappings key by key, lists whole; taken as it is, without ``${}``.
        algorithms: Names of reflection algorithms that the caller gives to ``Runtime.open``.

    Returns:
        The settings, and a warning where the file has settings that only the Go router knows.

    Raises:
        ConfigError: It cannot be read or used; carries every problem, in the order of the file.
    """
    file = str(path) if path is not None else "<defaults>"
    document = parse_document(_read(path), file) if path is not None else Document()
    source = Source(file, document)
    if env.get("MEMROUTER_EMBEDDING_MODEL"):
        model = {"embedding_model": env["MEMROUTER_EMBEDDING_MODEL"]}
        source.merge({"global": {"stores": {"memory": model}}}, "<environment>")
    source.merge(overrides, "<command line>")
    return _Loading(source, Substitution(env, path.parent if path is not None else Path()), algorithms).run()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        found = f"a file that cannot be read ({getattr(error, 'strerror', None) or 'its name is not valid'})"
        raise ConfigError([ConfigProblem(str(path), None, "", found, "a readable YAML file")]) from None


class _Loading:
    """One run over one source; gathers everything that is wrong before it gives up."""

    def __init__(self, source: Source, substitution: Substitution, algorithms: Collection[str]) -> None:
        self._source = source
        self._algorithms = algorithms
        self._substitution = substitution
        self._root = Shape.of_settings()
        self._findings = list(source.document.findings)
        self._ignored: set[KeyPath] = set()
        self._faulty: set[KeyPath] = set()

    def run(self) -> Loaded:
        """Return the settings, or raise ConfigError with every problem."""
        if not isinstance(self._source.data, dict):
            self._findings.append(Finding((), "a mapping"))
            raise self._error()
        foreign = self._leave_out()
        self._fill_in()
        self._read_secret_files()
        self._refuse_truth_as_number()
        settings = self._validate()
        if self._findings or settings is None:
            raise self._error()
        return Loaded(
            settings, (*_foreign_warning(foreign), *_domain_warning(settings), *grpc_warning(settings.tracing))
        )

    def _error(self) -> ConfigError:
        return ConfigError(Describer(self._source, self._root).problems(self._findings))

    def _walk(self) -> list[tuple[KeyPath, Shape | None, object]]:
        return [item for item in walk(self._source.data, self._root) if not has_prefix(item[0], self._ignored)]

    def _leave_out(self) -> list[str]:
        """Ignore what is the Go router's, which is returned as names, and sections without content."""
        names = []
        for path, shape, value in walk(self._source.data, self._root):
            if shape is None or has_prefix(path, self._ignored):
                continue
            plugin = value.get("type") if shape.tags and isinstance(value, dict) else None
            if isinstance(plugin, str) and plugin in FOREIGN_PLUGINS:
                self._ignored.add(path)
                names.append(f"{dotted(path, indexes=False)} of type {plugin}")
            elif shape.is_foreign:
                self._ignored.add(path)
                names.append(dotted(path, indexes=False))
            elif value is None and shape.is_section and isinstance(path[-1], str):
                self._ignored.add(path)
        return names

    def _fill_in(self) -> None:
        """Replace ``${}`` in the file's strings; one that is nothing else and unquoted takes the type of its value."""
        for path, shape, value in self._walk():
            if not isinstance(value, str) or "$" not in value or self._source.is_outside(path):
                continue
            try:
                text = self._substitution.expand(value)
            except Unfilled as fault:
                is_hidden = is_secret(path, shape) and not is_one_reference(value)
                if is_hidden:
                    self._refuse(path, fault.allowed, "(secret)", "Write $$ for a dollar sign.")
                else:
                    self._refuse(path, fault.allowed, fault.found, fault.hint)
                continue
            is_open = path in self._source.document.plain and is_one_reference(value)
            is_typed = is_open and text and not (shape is not None and shape.is_text)
            put(self._source.data, path, resolve_plain(text) if is_typed else text)
            self._source.filled[path] = value

    def _read_secret_files(self) -> None:
        for path, shape, value in self._walk():
            if not isinstance(value, dict) or shape is None:
                continue
            for key in shape.variant(value).keys:
                child = shape.child(key, value)
                if child is not None and child.is_secret and f"{key}_file" in value:
                    self._read_secret_file(path, key, value)

    def _read_secret_file(self, path: KeyPath, key: str, section: dict[str, object]) -> None:
        here = (*path, f"{key}_file")
        name = section[f"{key}_file"]
        if has_prefix(here, self._faulty):
            return
        self._ignored.add(here)
        if not name:
            return
        if not isinstance(name, str):
            self._refuse(here, "a string")
        elif section.get(key):
            self._refuse(here, f"either {key} or {key}_file", "both")
        else:
            try:
                section[key] = self._substitution.read_secret(name)
            except Unfilled as fault:
                self._refuse(here, fault.allowed, fault.found)

    def _refuse_truth_as_number(self) -> None:
        for path, shape, value in self._walk():
            if isinstance(value, bool) and shape is not None and shape.is_number:
                self._refuse(path, shape.describe())

    def _refuse(self, path: KeyPath, allowed: str, found: str = "", hint: str = "") -> None:
        self._findings.append(Finding(path, allowed, found, hint))
        self._faulty.add(path)

    def _validate(self) -> Settings | None:
        """Return the settings with everything wrong noted and left out, or None where nothing usable is left.

        The rest is validated again until it holds, so that the checks across sections run too. A fault that only
        comes from leaving something out is not noted.
        """
        for _ in range(_ROUNDS):
            pruned = prune(self._source.data, self._ignored | self._faulty)
            try:
                settings = Settings.model_validate(pruned.data)
            except ValidationError as error:
                findings = validation_findings(error, pruned, self._root)
            else:
                self._note_checks(settings, pruned)
                return settings
            self._findings += [finding for finding in findings if not self._is_touched(finding.path)]
            gone = {self._nearest(finding.path) for finding in findings}
            if () in gone or len(findings) > MAX_PROBLEMS:
                return None
            self._faulty |= gone
        return None

    def _is_touched(self, path: KeyPath) -> bool:
        """Return whether something at, above or below ``path`` was left out as faulty."""
        return has_prefix(path, self._faulty) or any(faulty[: len(path)] == path for faulty in self._faulty)

    def _lacks_names(self, path: KeyPath) -> bool:
        """Return whether an item of the list at ``path``, or what it is known by, was left out as faulty."""
        below = (faulty[len(path) + 1 :] for faulty in self._faulty if faulty[: len(path)] == path)
        return has_prefix(path, self._faulty) or any(not rest or rest[0] in _NAMING_KEYS for rest in below)

    def _nearest(self, path: KeyPath) -> KeyPath:
        """Return what to leave out because of a fault at ``path``: its value, or what a value is missing in."""
        is_there = is_present(self._source.data, path) and not has_prefix(path, self._faulty)
        return path if is_there else path[:-1]

    def _note_checks(self, settings: Settings, pruned: Pruned) -> None:
        for finding in check_settings(settings, algorithms=self._algorithms):
            if finding.refers_to is None or not self._lacks_names(finding.refers_to):
                self._findings.append(replace(finding, path=pruned.former(finding.path)))


def _foreign_warning(names: Iterable[str]) -> tuple[str, ...]:
    listed = ", ".join(dict.fromkeys(names))
    return (f"Settings of the Go router that mean nothing here are ignored: {listed}.",) if listed else ()


def _domain_warning(settings: Settings) -> tuple[str, ...]:
    if not settings.routing.signals.domains:
        return ()
    text = "subjects are not classified here: every request counts as other, and conditions on other domains never hold"
    return (f"routing.signals.domains: {text}.",)
