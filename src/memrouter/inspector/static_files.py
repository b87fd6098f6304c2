"""Style sheets and script: small files that come with the package and change with it only."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from memrouter.errors import NotFound

FOLDER: Final = Path(__file__).parent / "static"
FOREVER: Final = "public, max-age=31536000, immutable"

_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file.

    Attributes:
        body: Its bytes.
        kind: Its media type.
        digest: 16 hex digits of SHA-256 over its bytes.
    """

    body: bytes
    kind: str
    digest: str


class StaticFiles:
    """The files, read at the first use; the caller takes care that this is not in the event loop.

    Args:
        folder: Holds them.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    @cached_property
    def by_name(self) -> dict[str, StaticFile]:
        """Return every file by its name."""
        found = {}
        for path in sorted(self._folder.iterdir()):
            if path.suffix in _KINDS:
                body = path.read_bytes()
                found[path.name] = StaticFile(body, _KINDS[path.suffix], hashlib.sha256(body).hexdigest()[:16])
        return found

    def url(self, name: str) -> str:
        """Return where a page finds a file; another path with each change of it."""
        return f"/ui/static/{name}?v={self.by_name[name].digest}"

    def answer(self, request: Request, name: str) -> Response:
        """Return a file, or that the browser's copy still stands.

        Raises:
            NotFound: There is none of this name.
        """
        file = self.by_name.get(name)
        if file is None:
            raise NotFound("there is no such file")
        tag = f'"{file.digest}"'
        kept = FOREVER if request.query_params.get("v") == file.digest else "no-cache"
        headers = {"etag": tag, "cache-control": kept}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.body, media_type=file.kind, headers=headers)
