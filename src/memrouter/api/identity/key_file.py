"""API keys in a file that an operator can read, edit and mount."""

import asyncio
import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import yaml

from memrouter.api.identity.api_key import ApiKey
from memrouter.api.identity.key_keeper import KeptKey
from memrouter.config.document import parse_document
from memrouter.errors import ConfigError, ConfigProblem

logger = logging.getLogger(__name__)

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
FORBIDDEN_MODE: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
"""Rights that nobody but the owner may have: a group may read, for secrets that are mounted."""

_HEADING: Final = "# API keys of memrouter, as hashes. Written by memrouter keys; the router sees changes by itself.\n"

T = TypeVar("T")
Keys = Mapping[str, ApiKey]
_Stamp = tuple[int, int, int]


class _Quoting(yaml.SafeDumper):
    """Writes every text in quotes, so that a user ``1e5`` is read as text again."""

    def represent_scalar(self, tag: str, value: str, style: str | None = None) -> yaml.ScalarNode:
        return super().represent_scalar(tag, value, style='"' if tag.endswith(":str") else style)


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[ApiKey] = msgspec.field(default_factory=list)


class KeyFile:
    """Keeps keys in a YAML file, or JSON if its name ends in ``.json``; satisfies ``KeyKeeper``.

    The file is read anew when it has changed. One that has become unreadable or faulty leaves the keys that were read
    before in force, which is logged; the last use of a key is not kept.

    Args:
        path: The file. For reading it must exist; the first key that is added makes it, mode 0600.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: Keys | None = None
        self._stamp: _Stamp | None = None

    async def get(self, key_id: str) -> ApiKey | None:
        """See ``KeyKeeper``."""
        return (await asyncio.to_thread(self._current)).get(key_id)

    async def all(self) -> list[KeptKey]:
        """See ``KeyKeeper``."""
        keys = await asyncio.to_thread(self.load)
        return [KeptKey(key, None) for key in sorted(keys.values(), key=lambda key: key.created)]

    async def add(self, key: ApiKey) -> None:
        """See ``KeyKeeper``."""
        await asyncio.to_thread(self._change, lambda keys: keys.update({key.id: key}))

    async def remove(self, key_id: str) -> bool:
        """See ``KeyKeeper``."""
        return await asyncio.to_thread(self._change, lambda keys: keys.pop(key_id, None) is not None)

    async def note_use(self, key_id: str) -> None:
        """See ``KeyKeeper``; a file is written by its operator alone."""

    def load(self) -> Keys:
        """Return the keys by id. Blocks.

        Raises:
            ConfigError: The file cannot be read, is open to others, or is not what it must be.
        """
        try:
            # Not blocking, so that a pipe is refused instead of waited for.
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(MAX_FILE_BYTES + 1) if stat.S_ISREG(mode) else b""
        except OSError as error:
            hint = "Make a first key: memrouter keys create --user USER"
            raise self._problem(f"a file that cannot be read ({error.strerror})", "a file of keys", hint) from None
        if not stat.S_ISREG(mode) or len(raw) > MAX_FILE_BYTES:
            raise self._problem("no regular file, or one over 16 MiB", "a file of keys")
        if mode & FORBIDDEN_MODE:
            found = f"mode {stat.S_IMODE(mode):04o}, so that others can read or change it"
            raise self._problem(found, "mode 0600, or 0640 at most", f"Run: chmod 600 {self._path}")
        return self._parse(raw)

    def _current(self) -> Keys:
        try:
            found = self._path.stat()
            stamp: _Stamp | None = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            stamp = None
        if self._keys is None:
            self._keys, self._stamp = self.load(), stamp
        elif stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = self.load()
            except ConfigError as error:
                logger.warning("the API keys that were read before stay in force: %s", error)
        return self._keys

    def _parse(self, raw: bytes) -> Keys:
        try:
            if self._path.suffix == ".json":
                content = msgspec.json.decode(raw, type=_Content)
            else:
                document = parse_document(raw, str(self._path))
                for finding in document.findings:
                    raise self._problem(finding.found or "something else", finding.allowed, line=finding.line)
                content = msgspec.convert(document.data if document.data is not None else {}, _Content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._problem(f"something that is no list of keys ({error})", "keys: [...]") from None
        keys = {key.id: key for key in content.keys}
        if len(keys) != len(content.keys):
            raise self._problem("an id that two keys have", "an id for each key")
        return keys

    def _change(self, change: Callable[[dict[str, ApiKey]], T]) -> T:
        """Read, change and replace the file as one step, also against another process that does the same."""
        with self._locked():
            keys = dict(self.load()) if self._path.exists() else {}
            result = change(keys)
            self._write(keys)
        return result

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self._path.absolute().parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, keys: Keys) -> None:
        content = msgspec.to_builtins(_Content(list(keys.values())))
        is_json = self._path.suffix == ".json"
        as_yaml = "" if is_json else _HEADING + yaml.dump(content, Dumper=_Quoting, sort_keys=False)
        text = msgspec.json.encode(content) if is_json else as_yaml.encode()
        # A file beside it takes its place at once, so that no reader sees half of it; mkstemp makes it mode 0600.
        handle, name = tempfile.mkstemp(dir=self._path.absolute().parent, prefix=".keys-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _problem(self, found: str, allowed: str, hint: str = "", *, line: int | None = None) -> ConfigError:
        return ConfigError([ConfigProblem(str(self._path), line, "global.auth.api_keys.file", found, allowed, hint)])
