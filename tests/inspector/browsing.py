"""People who look at the inspector in a real browser, and the promise that nothing they see does anything."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from memrouter.inspector.session import COOKIE, Session

from ..flow.servers import Caller, Router

DESKTOP = (1280, 900)
PHONE = (390, 844)
SMALL_PHONE = (360, 740)

_EXPECTED = ("Failed to load resource: the server responded with a status of",)
"""What Chromium says of an error page."""


@dataclass(slots=True)
class Guest:
    """One browser window and whose it is.

    Attributes:
        page: The window.
        url: Of the router.
        caller: The same person as a program.
        alarms: What must not happen: dialogs, script errors, violations of the content security policy.
    """

    page: Page
    url: str
    caller: Caller
    alarms: list[str] = field(default_factory=list)

    async def open(self, path: str) -> int:
        """Open a page and return its status."""
        answer = await self.page.goto(self.url + path)
        assert answer is not None
        return answer.status

    async def sign_in(self, *, groups: str = "") -> None:
        """Have this browser hold the session that the sign-in form gives on a laptop."""
        assert self.caller.user is not None
        session = replace(Session.begin(Random(0)), user=self.caller.user, groups=groups)
        await self.page.context.add_cookies(
            [{"name": COOKIE, "value": session.cookie(), "domain": "127.0.0.1", "path": "/ui", "httpOnly": True}]
        )

    async def texts(self) -> list[str]:
        """Return the memories of the list that is shown."""
        return [text.strip() for text in await self.page.locator(".memory-text").all_inner_texts()]

    async def heading(self) -> str:
        """Return the heading of the page."""
        return await self.page.locator("h1").inner_text()


OpenGuest = Callable[..., Awaitable[Guest]]


@contextlib.asynccontextmanager
async def real_browser() -> AsyncIterator[Browser]:
    """Run Debian's Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("the inspector is tested in Chromium, which is not installed; run: apt-get install chromium")
    async with async_playwright() as playwright:
        expect.set_options(timeout=30_000)  # as long as every other wait: the machine may be busy with other tests
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def guests(browser: Browser, router: Router, new_user: Callable[[], str]) -> AsyncIterator[OpenGuest]:
    """Give what opens windows on a router; at the end they are closed, and nothing may have raised an alarm."""
    contexts: list[BrowserContext] = []
    seen: list[Guest] = []

    async def opened(
        *,
        user: str | None = None,
        signed_in: bool = True,
        groups: str = "",
        script: bool = True,
        size: tuple[int, int] = DESKTOP,
        colours: str = "light",
    ) -> Guest:
        context = await browser.new_context(
            java_script_enabled=script,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if colours == "dark" else "light",
        )
        contexts.append(context)
        guest = Guest(await context.new_page(), router.url, router.caller(user or new_user()))
        seen.append(guest)
        watch(guest)
        if signed_in:
            await guest.sign_in(groups=groups)
        return guest

    try:
        yield opened
    finally:
        for context in contexts:
            await context.close()
    assert [guest.alarms for guest in seen if guest.alarms] == []


def watch(guest: Guest) -> None:
    """Note whatever a page must not cause."""
    page = guest.page
    page.on("dialog", lambda dialog: guest.alarms.append(f"dialog: {dialog.message}"))
    page.on("pageerror", lambda error: guest.alarms.append(f"script: {error}"))
    page.on(
        "console",
        lambda message: (
            guest.alarms.append(f"console: {message.text}")
            if message.type in ("error", "warning") and not message.text.startswith(_EXPECTED)
            else None
        ),
    )
