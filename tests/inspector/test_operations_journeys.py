"""What operators do, in a real browser against a real router."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from ..flow.conftest import new_user
from ..flow.servers import Router, router_config, running_router
from .browsing import PHONE, SMALL_PHONE, Guest, OpenGuest, guests
from .operated import EVIL, PAGES, PROVIDERS, ROUTING

ROOM = "/ui/operations"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operated_router(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Router]:
    """A router with names that want to be markup, whose operators may read; its model servers are down."""
    config = router_config({"m": ["127.0.0.1:9"]}, memory={"quality_scoring": {"prune_threshold": 1.0}})
    config |= {"providers": PROVIDERS, "routing": ROUTING}
    config["global"] |= {"auth": {"operator_groups": ["ops"]}, "inspector": {"operators_may_read": True}}
    async with running_router(tmp_path_factory.mktemp("operated"), config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def operator(browser: Browser, operated_router: Router) -> AsyncIterator[OpenGuest]:
    async with guests(browser, operated_router, new_user) as opened:

        async def signed_in(**wishes: object) -> Guest:
            return await opened(**{"groups": "ops", **wishes})

        yield signed_in


async def remember(router: Router, user: str, content: str) -> None:
    body = json.dumps({"content": content}).encode()
    assert (await router.caller(user).request("POST", "/v1/memory", body)).status == 201


async def go(guest: Guest, tab: str) -> None:
    await guest.page.get_by_role("navigation", name="Operations").get_by_role("link", name=tab, exact=True).click()
    await expect(guest.page.locator("h1")).to_have_text(tab)
    await guest.page.wait_for_load_state()


async def test_an_operator_finds_what_is_broken_and_what_mends_it(operator: OpenGuest) -> None:
    olga = await operator()
    await olga.open("/ui/memories")
    await olga.page.get_by_role("link", name="Operations").click()
    await expect(olga.page.locator("h1")).to_have_text("Overview")
    await expect(olga.page.get_by_text("What to do:")).to_be_visible()
    await olga.page.get_by_role("link", name="To the doctor").click()
    await expect(olga.page.get_by_text("Not asked yet")).to_be_visible()
    await olga.page.get_by_role("button", name="Examine now").click()
    await expect(olga.page.locator(".finding.broken").first).to_contain_text("cannot be connected to")
    await expect(olga.page.locator(".finding.broken .fix").first).to_contain_text("What to do")
    await go(olga, "Overview")
    await expect(olga.page.get_by_role("link", name="asked just now")).to_be_visible()


async def test_every_tab_opens_without_an_alarm_and_can_be_read(operator: OpenGuest) -> None:
    olga = await operator()
    await olga.open(ROOM)
    tabs = await olga.page.get_by_role("navigation", name="Operations").get_by_role("link").all_inner_texts()
    assert len(tabs) == len(PAGES)
    for tab in tabs:
        await go(olga, tab)
        assert await olga.page.evaluate(ACCESSIBLE) == [], tab
    await expect(olga.page.locator("pre.configuration")).to_contain_text("**********")


async def test_a_message_is_tried_without_script(operator: OpenGuest) -> None:
    olga = await operator(script=False)
    await olga.open(f"{ROOM}/routes")
    await olga.page.get_by_role("textbox", name="Message").fill("this is off the record")
    await olga.page.get_by_role("button", name="Try it").click()
    await expect(olga.page.get_by_role("status")).to_contain_text(f"It takes the route {EVIL}.")
    await expect(olga.page.get_by_role("textbox", name="Message")).to_have_value("this is off the record")


async def test_a_dry_run_by_keyboard_alone(operator: OpenGuest, operated_router: Router) -> None:
    user = new_user()
    await remember(operated_router, user, "The cat is called Figaro.")
    olga = await operator()
    await olga.open(f"{ROOM}/retention")
    await olga.page.get_by_role("textbox", name="User").focus()
    await olga.page.keyboard.type(user)
    await olga.page.keyboard.press("Enter")
    await expect(olga.page.get_by_text("1 of 1 memories would go")).to_be_visible()
    assert "Figaro" not in await olga.page.content()


async def test_a_look_is_asked_for_with_a_reason_and_stands_in_the_list_of_looks(
    operator: OpenGuest, operated_router: Router
) -> None:
    user = new_user()
    await remember(operated_router, user, f"Wool is warm. {EVIL}")
    olga = await operator()
    await olga.open(f"{ROOM}/users")
    await olga.page.get_by_role("textbox", name="User").fill(user)
    await olga.page.keyboard.press("Enter")
    await expect(olga.page.get_by_text("Visible memories")).to_be_visible()
    assert "Wool" not in await olga.page.content()
    await olga.page.get_by_text("Look at memories").click()
    await olga.page.get_by_role("textbox", name="Reason").fill(f"ticket 99 about {user}")
    await olga.page.get_by_role("button", name="Look, and write it down").click()
    await expect(olga.page.locator(".memory-text")).to_have_text(f"Wool is warm. {EVIL}")
    await go(olga, "Looks")
    row = olga.page.get_by_role("row").filter(has_text="ticket 99")
    await expect(row).to_have_count(1)
    assert user not in await row.inner_text()
    (line,) = await operated_router.logged(event="looked_at", count=1)
    assert user not in json.dumps(line)


async def test_somebody_else_has_neither_link_nor_page(operator: OpenGuest) -> None:
    ulf = await operator(groups="")
    assert await ulf.open("/ui/memories") == 200
    await expect(ulf.page.get_by_role("link", name="Operations")).to_have_count(0)
    assert await ulf.open(ROOM) == 403
    assert await ulf.heading() == "Not allowed"


async def test_names_in_the_configuration_are_shown_as_they_are(operator: OpenGuest) -> None:
    olga = await operator()
    await olga.open(f"{ROOM}/routes")
    await expect(olga.page.locator(".routes h3").first).to_have_text(EVIL)
    await olga.open(f"{ROOM}/statuses?span={EVIL}")
    assert await olga.page.locator("script").count() == 1
    assert await olga.page.locator("svg.chart").count() == 6


@pytest.mark.parametrize(("size", "colours"), [(PHONE, "dark"), (SMALL_PHONE, "light")])
async def test_every_page_fits_a_phone_and_can_be_read(
    operator: OpenGuest, size: tuple[int, int], colours: str
) -> None:
    olga = await operator(size=size, colours=colours)
    for page in PAGES:
        assert await olga.open(ROOM + page) == 200
        too_wide = await olga.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide <= 0, page
        faults = await olga.page.evaluate(ACCESSIBLE)
        assert faults == [], page


ACCESSIBLE = """() => {
  const faults = [];
  const said = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby');
  const named = (e) => said(e) || e.labels?.length || e.textContent.trim();
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a'))
    if (!named(e)) faults.push('no name: ' + e.outerHTML.slice(0, 80));
  for (const e of document.querySelectorAll('svg[role=img]'))
    for (const id of e.getAttribute('aria-labelledby').split(' '))
      if (!document.getElementById(id)?.textContent.trim()) faults.push('no words: ' + id);
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) faults.push('twice: ' + id);
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
  for (const e of document.querySelectorAll('thead th')) if (!e.scope) faults.push('no scope: ' + e.textContent);
  const luminance = (colour) => {
    const channels = colour.match(/[\\d.]+/g).slice(0, 3).map((c) => {
      const part = c / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
  };
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  for (const e of document.querySelectorAll('svg text')) {
    const pair = [luminance(getComputedStyle(e).fill), luminance(ground(e.ownerSVGElement))].sort((a, b) => b - a);
    if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) faults.push('faint: ' + e.textContent);
  }
  for (const e of document.querySelectorAll('.chip, .tile-note, .legend li, .part-name, .muted')) {
    const pair = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((a, b) => b - a);
    if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) faults.push('faint: ' + e.textContent.slice(0, 40));
  }
  return faults;
}"""
