"""Texts, names and addresses that try to do something: they are shown, and nothing happens.

That no dialog opened and no script or policy complained is checked for every window, see ``browsing.guests``.
"""

import json
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from .browsing import SMALL_PHONE, OpenGuest

ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg/onload=alert(3)>',
    "'-alert(4)-'",
    "</textarea><script>alert(5)</script>",
    "</title><script>alert(6)</script>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}${7*7}",
    "javascript:alert(7)",
    "<iframe srcdoc='<script>parent.alert(8)</script>'>",
    "<a href=//evil.example>canary</a><meta http-equiv=refresh content=0;url=//evil.example>",
)


@pytest.mark.parametrize("script", [True, False])
async def test_hostile_texts_are_shown_as_they_are_on_every_page(guest: OpenGuest, script: bool) -> None:
    text = "canary note " + " ".join(ATTACKS)
    eve = await guest(script=script)
    body = json.dumps({"content": text, "conversation_id": "<b>room</b>", "role": "<i>me</i>"}).encode()
    [memory] = (await eve.caller.request("POST", "/v1/memory", body)).json()["memories"]
    await eve.caller.request("POST", f"/v1/memory/{memory['id']}/release")
    await eve.open("/ui/memories")
    assert await eve.texts() == [text]
    for page in ("", "/delete", "/replace"):
        await eve.open(f"/ui/memory{page}?id={memory['id']}")
        await expect(eve.page.locator(".quote .long-text")).to_have_text(text)
    await expect(eve.page.get_by_label("What is right now")).to_have_value(text)
    await eve.open(f"/ui/memory?id={memory['id']}")
    await expect(eve.page.locator("dl.facts")).to_contain_text("<b>room</b>")
    await expect(eve.page.locator("dl.facts")).to_contain_text("<i>me</i>")
    await eve.open("/ui/why?threshold=0&q=" + quote(f"canary note {ATTACKS[1]}"))
    await expect(eve.page.locator("section[aria-labelledby=injected] .memory-text")).to_contain_text("onerror=alert(2)")
    await expect(eve.page.locator("pre.block")).to_contain_text("&lt;script&gt;alert(1)")


async def test_hostile_addresses_are_shown_as_they_are(guest: OpenGuest) -> None:
    eve = await guest()
    everything = quote(" ".join(ATTACKS))
    await eve.open(f"/ui/memories?by=words&q={everything}&session={everything}&conversation={everything}")
    await expect(eve.page.get_by_role("searchbox", name="Search")).to_have_value(" ".join(ATTACKS))
    await eve.open(f"/ui/why?q={everything}")
    await expect(eve.page.get_by_role("searchbox", name="Message")).to_have_value(" ".join(ATTACKS))
    for path in ("/ui/memories?sort=", "/ui/memory?id=", "/ui/data/forget?type=", "/ui/", "/ui/memories?after="):
        assert await eve.open(path + quote(ATTACKS[0], safe="")) in (400, 404)
    await eve.open(f"/ui/memories?notice={everything}")
    assert await eve.page.locator(".notice").count() == 0
    await eve.open(f"/ui/sign-in?back={quote('//evil.example/')}")
    assert await eve.page.locator("input[name=next]").get_attribute("value") == "/ui/memories"


async def test_a_hostile_user_name_is_shown_as_it_is(guest: OpenGuest) -> None:
    name = "canary<script>alert(1)</script>'\"\u202ename"
    eve = await guest(user=name, signed_in=False)
    await eve.open("/ui/sign-in")
    await eve.page.get_by_label("User").fill(name)
    await eve.page.get_by_role("button", name="Sign in").click()
    await expect(eve.page.locator(".who-name")).to_contain_text("canary<script>alert(1)</script>")
    assert "\u202e" not in await eve.page.locator("header").inner_html()


async def test_hidden_characters_are_made_visible_and_directions_stay_inside(guest: OpenGuest) -> None:
    eve = await guest()
    await eve.caller.remember(
        "a\u202egnp.exe\u200b and \u2066open", "\u05e9\u05dc\u05d5\u05dd canary", "flag \U0001f3f4"
    )
    await eve.open("/ui/quarantine")
    hidden = eve.page.locator(".hidden-char")
    assert await hidden.all_inner_texts() == ["U+202E", "U+200B", "U+2066"]
    await eve.open("/ui/memories?by=words&q=canary")
    direction = "getComputedStyle(document.querySelector('.memory-text')).direction"
    assert await eve.page.evaluate(direction) == "rtl"
    assert await eve.page.evaluate("getComputedStyle(document.querySelector('.meta')).direction") == "ltr"


async def test_long_words_and_long_texts_do_not_widen_a_small_phone(guest: OpenGuest) -> None:
    eve = await guest(size=SMALL_PHONE)
    word = "canary" + "W" * 16_000
    [memory] = (
        await eve.caller.request(
            "POST", "/v1/memory", json.dumps({"content": word, "conversation_id": "c" * 256}).encode()
        )
    ).json()["memories"]
    one = f"/ui/memory?id={memory['id']}"
    for path in ("/ui/memories", one, "/ui/why?threshold=0&q=canary", "/ui/data", "/ui/quarantine", "/ui/sign-in"):
        assert await eve.open(path) == 200
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await eve.page.evaluate(wide) <= 0, path
