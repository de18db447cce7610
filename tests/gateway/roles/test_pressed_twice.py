"""A button that is pressed twice, where the first press gives the session another secret.

A browser shows the answer to the last press, and may have lost the one to the first, with its
cookies.
"""

import asyncio
import base64
import re
import secrets
import time

import aiohttp
import pytest

from accounts.stores.sessions import RedisSessions
from accounts.totp import STEP_S
from gateway.stores.wishes import RedisWishes
from tests.gateway.people.test_web import (
    FROM_US,
    OTHER,
    PASSWORD,
    THIRD,
    code_of,
    house,
    signed_up,
    valkey_server,
    valkey_url,
)
from tests.gateway.roles.test_sent_forms import everything
from tests.valkey import operator

__all__ = ["house", "operator", "valkey_server", "valkey_url"]

ON, OFF = "/account/second-factor", "/account/second-factor/off"
CODES, NEW_CODES = "/account/recovery-codes", "/account/recovery-codes/new"
PASSWORDS, END_OTHERS = "/account/password", "/account/devices/end-others"
CONFIRM, CONFIRM_BY_CODE = "/confirm", "/confirm?code"
LEADS_TO = {
    CONFIRM: "/account/security",
    CONFIRM_BY_CODE: "/account/security",
    ON: f"{CODES}?said=second_factor_on",
    OFF: "/account/security?said=second_factor_off",
    NEW_CODES: f"{CODES}?said=codes_new",
    PASSWORDS: "/account?said=password_changed",
    END_OTHERS: "/account/devices?said=others_ended",
}


def each_time(path, *before):
    """Return a case that is thorough unless its path is one of the three that differ most."""
    is_quick = path in {ON, PASSWORDS, CONFIRM_BY_CODE}
    return pytest.param(*before, path, marks=[] if is_quick else pytest.mark.thorough)


OFTEN = [each_time(path) for path in LEADS_TO]
SESSION = "caller"


def with_cookies(cookies):
    return aiohttp.ClientSession(cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True))


class Pressed:
    """A form, and what a browser sends it with; `cookies` are those of before the first press."""

    def __init__(self, browser, path, fields):
        self.origin, self.path = browser.origin, path
        self.form = {**fields, "form": secrets.token_hex(16)}
        self.cookies = {each.key: each.value for each in browser.client.cookie_jar}

    async def press(self, *, cookies=None, form=None):
        """Return status, place and cookies (a name that is dropped: empty)."""
        async with with_cookies(self.cookies if cookies is None else cookies) as client:
            options = {"data": form or self.form, "headers": FROM_US, "allow_redirects": False}
            async with client.post(self.origin + self.path, **options) as reply:
                kept = {name: each.value for name, each in reply.cookies.items()}
                return reply.status, reply.headers.get("location", ""), kept

    async def get(self, path, answer):
        """Return status and text of a page, in a browser that has had this answer alone."""
        cookies = {k: v for k, v in {**self.cookies, **answer[2]}.items() if v}
        async with (
            with_cookies(cookies) as client,
            client.get(self.origin + path, allow_redirects=False) as reply,
        ):
            return reply.status, await reply.text()

    async def check(self, *answers):
        """See that with each answer by itself a browser is signed in, where it is led to."""
        for answer in answers:
            assert answer[:2] == (303, LEADS_TO[self.path])
            assert answer[2][SESSION] != self.cookies[SESSION]
            status, text = await self.get(answer[1], answer)
            assert status == 200
            if self.path in {ON, NEW_CODES}:
                _, listed = await self.get(f"{CODES}/download", answer)
                assert len(listed.split()) == 10
                assert all(code in text for code in listed.split())
        assert len({answer[2][SESSION] for answer in answers}) == 1


async def with_app(browser):
    """Begin to add an app; return what its form is filled in with, this step and the next."""
    await browser.post(f"{ON}/begin")
    page = (await browser.get(ON))[2]
    key = base64.b32decode(re.search(r"<code[^>]*>([A-Z2-7 ]+)</code>", page)[1].replace(" ", ""))
    step = int(time.time()) // STEP_S
    return {"code": code_of(key, step)}, {"code": code_of(key, step + 1)}


async def about_to_press(house, path):
    browser = await signed_up(house)
    fields = {"password": OTHER} if path == PASSWORDS else {}
    if path in {ON, OFF, NEW_CODES, CONFIRM_BY_CODE}:
        before, following = await with_app(browser)
        # Of the next step: this one may end before the form is read.
        fields = following if path in {ON, CONFIRM_BY_CODE} else {}
        if path != ON:
            assert (await browser.post(ON, **before))[0] == 303
    if path in {CONFIRM, CONFIRM_BY_CODE}:
        _, _, form = (await browser.get(CONFIRM))[2].partition('action="/confirm"')
        assert re.search('name="form" value="[0-9a-f]{32}"', form.partition("</form>")[0])
        fields |= {"password": PASSWORD, "next": LEADS_TO[path]}
    return Pressed(browser, path, fields)


class Gate:
    """Holds the first who comes to a method, before or after what it does."""

    def __init__(self, monkeypatch, kind, name, *, after=False):
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        real = getattr(kind, name)

        async def held(this, *arguments, **options):
            is_first = not self.reached.is_set()
            done = await real(this, *arguments, **options) if after or not is_first else None
            if is_first:
                self.reached.set()
                await self.open.wait()
                done = done if after else await real(this, *arguments, **options)
            return done

        monkeypatch.setattr(kind, name, held)


HELD = {
    "committed, the session as before": (RedisSessions, "rotate", False),
    "another session, its secret not sent": (RedisSessions, "rotate", True),
    "another session, the others ended": (RedisSessions, "end_all", True),
}
# Confirming a password ends no session of others.
WHILE_HELD = [
    each_time(path, moment)
    for moment, (_, name, _) in HELD.items()
    for path in LEADS_TO
    if name != "end_all" or path not in {CONFIRM, CONFIRM_BY_CODE}
]


@pytest.mark.parametrize("path", OFTEN)
async def test_at_once(house, path):
    form = await about_to_press(house, path)
    await form.check(*await asyncio.gather(*(form.press() for _ in range(4))))


@pytest.mark.parametrize(("moment", "path"), WHILE_HELD)
@pytest.mark.parametrize("is_broken_off", [False, True])
async def test_the_second_comes_while_the_first_is_done(
    house, monkeypatch, path, moment, is_broken_off
):
    kind, name, after = HELD[moment]
    form = await about_to_press(house, path)
    gate = Gate(monkeypatch, kind, name, after=after)
    looked = Gate(monkeypatch, RedisWishes, "find", after=True)
    looked.open.set()
    first = asyncio.create_task(form.press())
    await gate.reached.wait()
    looked.reached.clear()
    second = asyncio.create_task(form.press())
    # It has looked for the answer to the first one, and there is none yet.
    await looked.reached.wait()
    if is_broken_off:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    gate.open.set()
    answers = [await second] if is_broken_off else [await second, await first]
    await form.check(*answers)


@pytest.mark.parametrize("path", OFTEN)
async def test_the_second_comes_when_the_first_is_answered(house, path):
    form = await about_to_press(house, path)
    first = await form.press()
    await form.check(first, await form.press())
    # As by a browser that has had the answer.
    again = await form.press(cookies={**form.cookies, **first[2]})
    assert again[:2] == first[:2]
    assert SESSION not in again[2]
    assert (await form.get(again[1], first))[0] == 200


@pytest.mark.parametrize("path", OFTEN)
async def test_the_old_session_alone_leads_nowhere(house, path):
    form = await about_to_press(house, path)
    first = await form.press()
    word = {"form": secrets.token_hex(16)}
    for other in ({**form.form, **word}, {**form.form, "more": "1"}, {"password": THIRD, **word}):
        status, place, cookies = await form.press(form=other)
        assert (status, place.partition("?")[0]) == (303, "/sign-in")
        # The browser may have had the answer to the first one by now.
        assert SESSION not in cookies
        assert (await form.get("/account", (0, "", {SESSION: form.cookies[SESSION]})))[0] == 303
    strangers = await form.press(cookies={})
    assert (strangers[1].partition("?")[0], SESSION in strangers[2]) == ("/sign-in", False)
    await form.check(first)


async def everything_in(redis):
    """Return all that a Valkey has, names and values, in one text."""
    found = b""
    async for name in redis.scan_iter():
        match await redis.type(name):
            case b"string":
                parts = [await redis.get(name)]
            case b"hash":
                parts = [part for pair in (await redis.hgetall(name)).items() for part in pair]
            case b"zset":
                parts = await redis.zrange(name, 0, -1)
            case b"set":
                parts = await redis.smembers(name)
            case b"list":
                parts = await redis.lrange(name, 0, -1)
            case b"stream":
                parts = [repr(await redis.xrange(name)).encode()]
        found += b"\n".join([name, *parts, b""])
    return found


@pytest.mark.parametrize("path", OFTEN)
async def test_no_store_holds_what_an_answer_lets_in_with(house, operator, path):
    form = await about_to_press(house, path)
    answer = await form.press()
    listed = (await form.get(f"{CODES}/download", answer))[1].split() if path == ON else []
    found = await everything_in(operator)
    rows = repr(await everything(house))
    given = {name: value for name, value in answer[2].items() if name != "caller-said"}
    for secret in [form.cookies[SESSION], *given.values(), *listed]:
        assert secret.encode() not in found
        assert secret not in rows
    # It is there all the same, for whoever sends the form again.
    assert (await form.press())[2] == answer[2]


async def test_a_request_of_the_session_before_does_not_end_the_one_that_goes_on(house):
    """A page that another tab has asked for is answered after the session was renewed."""
    form = await about_to_press(house, CONFIRM)
    first = await form.press()
    async with with_cookies(form.cookies) as client:
        page = form.origin + "/account/calls"
        async with client.get(page, allow_redirects=False) as late:
            assert (late.status, late.headers["location"].partition("?")[0]) == (303, "/sign-in")
            assert SESSION not in late.cookies
            given = {name: each.value for name, each in late.cookies.items()}
        # Led to the sign-in the browser comes with the session that goes on.
        client.cookie_jar.update_cookies({**first[2], **given})
        async with client.get(form.origin + late.headers["location"]) as reply:
            assert (reply.status, reply.url.path) == (200, "/account/calls")
            assert "session is over" not in await reply.text()


async def test_what_was_signed_out_meanwhile_stays_so(house):
    form = await about_to_press(house, PASSWORDS)
    first = await form.press()
    browser = Pressed(await house.browser(), "/sign-out", {})
    assert (await browser.press(cookies={**form.cookies, **first[2]}))[0] == 303
    again = await form.press()
    assert (await form.get("/account", again))[0] == 303
