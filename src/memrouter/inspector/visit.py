"""One request to the inspector, as the functions behind its pages see it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from memrouter.api.caller import Access, memory_off
from memrouter.config.inspector import InspectorSettings
from memrouter.config.settings import Listener
from memrouter.inspector.pages import Pages
from memrouter.inspector.security import Doorkeeper
from memrouter.inspector.session import Session
from memrouter.inspector.static_files import StaticFiles
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope
from memrouter.models.turn import Identity, Permission
from memrouter.runtime import Runtime

HOME: Final = "/ui/memories"
THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "memrouter_theme"

NOTICES: Final = {
    "saved": "Saved.",
    "unchanged": "Nothing was changed.",
    "pinned": "Pinned: it stays whatever is pruned.",
    "unpinned": "No longer pinned.",
    "superseded": "Replaced. The old memory is kept for a while and the replacement can be undone.",
    "undone": "Undone: this memory is found again.",
    "deleted": "Deleted for good.",
    "deleted_some": "Deleted for good: the memories that were chosen.",
    "released": "Released: it can be recalled from now on.",
    "added": "Added.",
    "known": "This is remembered already; here it is.",
    "held": "Kept apart: it looks like an instruction to the model and is not recalled unless you release it.",
    "signed_out": "You are signed out on this browser.",
}
"""What a page says once something was done, by the word in its address; other words say nothing."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What all pages of one listener share.

    Attributes:
        runtime: The router.
        access: Says who is calling.
        listener: What requests come in by.
        settings: Of the inspector.
        door: Tells what a request may claim.
        static: Style sheets and script.
        pages: Renders.
    """

    runtime: Runtime
    access: Access
    listener: Listener
    settings: InspectorSettings
    door: Doorkeeper
    static: StaticFiles
    pages: Pages

    @classmethod
    def of(cls, runtime: Runtime, listener: Listener, access: Access) -> "Desk":
        """Return the desk of a listener; reads no file yet."""
        settings, static = runtime.settings.global_.inspector, StaticFiles()
        door = Doorkeeper(settings, auth=runtime.settings.global_.auth, listener=listener)
        return cls(runtime, access, listener, settings, door, static, Pages(static))


@dataclass(slots=True)
class Visit:
    """One request.

    Attributes:
        desk: What all pages share.
        request: As it came.
        session: Of the browser; a new one where it had none.
        identity: Who is calling.
        form: Fields of a form that was sent and proved to come from a page of ours; the last one of a name.
        upload: The file that came with it, where the page takes one; closed behind the page.
    """

    desk: Desk
    request: Request
    session: Session
    identity: Identity = field(default_factory=Identity)
    form: Mapping[str, str] = field(default_factory=dict)
    upload: UploadFile | None = None

    @property
    def owner(self) -> Scope:
        """Return whose memories are meant.

        Raises:
            Unauthenticated: Nobody is named.
        """
        scope = self.identity.scope
        if scope is None:
            raise self.desk.access.nobody()
        return scope

    @property
    def memory(self) -> MemoryService:
        """Return the memory service.

        Raises:
            NotFound: Memory is switched off.
        """
        if self.desk.runtime.memory is None:
            raise memory_off()
        return self.desk.runtime.memory

    @property
    def is_operator(self) -> bool:
        """Return whether the caller may see what concerns the router as a whole."""
        return Permission.OPERATOR in self.identity.permissions

    def asked(self, name: str, default: str = "") -> str:
        """Return a query parameter; the last one of its name."""
        return self.request.query_params.get(name, default)

    async def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page: what every page shows, and ``values``; see ``base.html``."""
        return HTMLResponse(await self.desk.pages.render(template, {**self._shared(), **values}), status)

    def to(self, path: str, *, notice: str = "", **query: str) -> RedirectResponse:
        """Return the way to another page after something was done; ``notice`` is one of ``NOTICES``."""
        asked = {name: value for name, value in {**query, "notice": notice}.items() if value}
        return RedirectResponse(f"{path}?{urlencode(asked)}" if asked else path, 303)

    def _shared(self) -> dict[str, Any]:
        url = self.request.url
        theme = self.request.cookies.get(THEME_COOKIE, "auto")
        identity = self.identity
        return {
            "here": url.path,
            "back": f"{url.path}?{url.query}" if url.query else url.path,
            "csrf": self.session.form_token(),
            "theme": theme if theme in THEMES else "auto",
            "who": identity.user_id,
            "project": identity.project_id,
            "is_operator": self.is_operator,
            "has_memory": self.desk.runtime.memory is not None,
            "may_see_memories": identity.user_id is not None and Permission.MEMORY in identity.permissions,
            "signed_in": self.session.says_somebody,
            "notice": NOTICES.get(self.asked("notice"), ""),
            "now": self.desk.runtime.clock.now_ms(),
        }


Handler = Callable[[Visit], Awaitable[Response]]
"""Answers a visit. Errors of memrouter become pages of their own."""


@dataclass(frozen=True, slots=True)
class Page:
    """One address of the inspector.

    Attributes:
        path: The whole path, such as ``/ui/memories``.
        handler: Answers.
        method: ``GET``, or ``POST`` for a form: then it has proved to come from a page of ours.
        permission: What the caller needs; None for a page that is open to all, where nobody is identified.
        upload_bytes: Largest form with a file; 0 for a page that takes none.
    """

    path: str
    handler: Handler
    method: str = "GET"
    permission: Permission | None = Permission.MEMORY
    upload_bytes: int = 0
