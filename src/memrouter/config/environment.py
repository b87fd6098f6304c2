"""``${NAME}`` and its kin: values from the environment and from files."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

MAX_SECRET_BYTES = 64 * 1024

_REFERENCE = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<rule>:?-)(?P<default>.*))?", re.ASCII | re.DOTALL)
_FORMS = "${NAME}, ${NAME:-default}, ${NAME-default} or ${file:/path}"


def is_one_reference(text: str) -> bool:
    """Return whether ``text`` is one ``${...}`` and nothing else."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and match[1] is not None


class Unfilled(Exception):
    """A reference cannot be replaced by a value.

    Attributes:
        found: What is wrong.
        allowed: What may stand there.
        hint: The way out.
    """

    def __init__(self, found: str, allowed: str, hint: str = "") -> None:
        super().__init__(found)
        self.found, self.allowed, self.hint = found, allowed, hint


class Substitution:
    """Replaces references in strings.

    Args:
        env: The environment variables.
        folder: Where relative paths of secret files start.
    """

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env = env
        self._folder = folder

    def expand(self, text: str) -> str:
        """Return ``text`` with its references replaced, once: what they bring in is not looked at again.

        ``${NAME}``, ``${NAME:-default}`` (unset or empty), ``${NAME-default}`` (unset), ``${file:/path}``; ``$$`` is
        a dollar sign. Everything else stays.

        Raises:
            Unfilled: A variable is not set and has no default, a file cannot be read, or ``${`` starts nothing known.
        """
        return _REFERENCE.sub(self._replace, text)

    def read_secret(self, name: str) -> str:
        """Return the text of a file without one newline at its end.

        Raises:
            Unfilled: There is no such regular file, it cannot be read, is over 64 KiB, or is not UTF-8 without NUL.
        """
        try:
            path = self._folder / name
            if not stat.S_ISREG(path.stat().st_mode):
                raise Unfilled("a path that is not a regular file", "a readable file with the secret")
            with path.open("rb") as file:
                raw = file.read(MAX_SECRET_BYTES + 1)
            text = raw.decode()
        except OSError as error:
            found = f"a file that cannot be read ({error.strerror})"
            raise Unfilled(found, "a readable file with the secret") from None
        except ValueError:
            raise Unfilled("a file that is not UTF-8 text", "a file with the secret as UTF-8 text") from None
        if len(raw) > MAX_SECRET_BYTES or "\0" in text:
            raise Unfilled("a file over 64 KiB or with a NUL character", f"at most {MAX_SECRET_BYTES} bytes of text")
        return text.removesuffix("\n").removesuffix("\r")

    def _replace(self, match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        if match[1].startswith("file:") and match[2]:
            return self.read_secret(match[1].removeprefix("file:"))
        reference = _NAME.fullmatch(match[1])
        if reference is None or not match[2] or "${" in match[1]:
            raise Unfilled("a ${ that starts no known reference", _FORMS, "Write $${ for a literal ${.")
        return self._variable(reference)

    def _variable(self, reference: re.Match[str]) -> str:
        value = self._env.get(reference["name"])
        if value is None or (not value and reference["rule"] == ":-"):
            value = reference["default"]
        if value is None:
            name = reference["name"]
            hint = f"Set {name}, or give a default: ${{{name}:-default}}."
            raise Unfilled(f"${{{name}}}, a variable that is not set", "a variable that is set", hint)
        if not _is_text(value):
            raise Unfilled("a variable whose value is not UTF-8 text", "UTF-8 text")
        return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
