"""The pages of keys: a list, a form, and a key that is shown once."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.http.bearer import key_hash
from gateway.own_keys import KeyMaking
from gateway.scopes import Scope
from tests.gateway.http.site.conftest import place

ONCE = "a-form-of-its-own-01"
FORM = {"once": ONCE, "label": "robot", "calls": "true", "days": "30"}


@pytest.fixture
async def ada(site):
    """The site with somebody signed in."""
    site.world.add()
    await site.enter()
    return site


async def made(site, **changes):
    """Make a key; return what the page shows of it."""
    reply = await site.post("/account/keys/new", **{**FORM, **changes})
    assert reply.status_code == 200, reply.text
    (key,) = re.findall(r"ck_[\w-]+", reply.text)
    return key


async def test_whoever_has_no_key_is_told_that_none_is_needed(ada):
    text = ada.read(await ada.get("/account/keys")).text
    assert "You have no keys. Only programs need one" in text


async def test_a_key_is_shown_once_and_kept_as_its_hash(ada):
    key = await made(ada, records="true", day_cap="5,50")
    (new,) = ada.keys.made.values()
    assert new.key_hash == key_hash(key)
    assert new.scopes == {Scope.CALLS, Scope.RECORDS}
    assert new.day_cap_micros == 5_500_000
    assert new.expires_at == ada.world.now + timedelta(days=30)
    reply = await ada.get("/account/keys")
    text = ada.read(reply).text
    assert key not in reply.text
    assert "robot" in text
    assert "Place calls · Read calls and statement" in text
    assert "at most $5.50 a day" in text
    assert "Valid until 2026-12-27 12:00 UTC" in text
    # A form whose answer was lost shows the same key again, and makes no other.
    assert await made(ada) == key
    assert len(ada.keys.made) == 1
    for days in ("", "-5", "99999", "x", "30.5"):
        reply = await ada.post(
            "/account/keys/new", **FORM | {"once": f"form-of-{days:0>16}", "days": days}
        )
        assert reply.status_code in {400, 422}, days
    other = await made(ada, once="another-form-000001", days="never")
    assert other != key
    assert ada.keys.made[key_hash(other)].expires_at is None


async def test_the_form_offers_the_least_and_keeps_what_was_typed(ada):
    form = ada.read(await ada.get("/account/keys/new"))
    checked = [each["name"] for each in form.of("input") if "checked" in each]
    assert checked == ["calls"]
    assert "admin" not in [each.get("name") for each in form.of("input")]
    reply = await ada.post("/account/keys/new", once=ONCE, records="true", days="365")
    assert reply.status_code == 422
    form = ada.read(reply)
    assert form.input("label")["aria-invalid"] == "true"
    assert [each["name"] for each in form.of("input") if "checked" in each] == ["records"]
    assert [each["value"] for each in form.of("option") if "selected" in each] == ["365"]
    assert form.input("once")["value"] == ONCE


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"day_cap": "much"}, 422),
        ({"day_cap": "0"}, 422),
        ({"calls": ""}, 400),
        ({"once": "short"}, 400),
        ({"once": "not one of ours, it has spaces"}, 400),
    ],
)
async def test_a_form_that_is_not_right_makes_no_key(ada, changes, status):
    reply = await ada.post("/account/keys/new", **{**FORM, **changes})
    assert reply.status_code == status
    assert not ada.keys.made


async def test_a_session_that_is_over_makes_and_revokes_nothing(ada):
    ada.keys.outcome = KeyMaking.SESSION_OVER
    reply = await ada.post("/account/keys/new", **FORM)
    assert place(reply) == "/sign-in?next=%2Faccount%2Fkeys%2Fnew&said=session_over"
    await ada.enter()
    ada.keys.stands = False
    reply = await ada.post("/account/keys/revoke", key_id="k1")
    assert place(reply) == "/sign-in?next=%2Faccount%2Fkeys&said=session_over"


async def test_a_proof_that_ages_while_the_form_is_filled_in_is_asked_for_again(ada):
    keys = ada.key_pages.keys
    ada.key_pages = replace(
        ada.key_pages, keys=replace(keys, clock=lambda: ada.world.now + timedelta(minutes=10))
    )
    cookies = ada.client.cookies
    ada.rebuild()
    ada.client = ada.new_browser()
    ada.client.cookies = cookies
    reply = await ada.post("/account/keys/new", **FORM)
    assert place(reply) == "/confirm?next=%2Faccount%2Fkeys%2Fnew"


async def test_a_key_is_revoked(ada):
    await made(ada)
    form = ada.read(await ada.get("/account/keys"))
    key_id = form.input("key_id")["value"]
    reply = await ada.post("/account/keys/revoke", key_id=key_id)
    assert place(reply) == "/account/keys?said=key_revoked"
    assert ada.keys.revoked == [key_id]
    for name in (key_id, "nobodys"):
        reply = await ada.post("/account/keys/revoke", key_id=name)
        assert place(reply) == "/account/keys"
    await ada.post("/account/keys/revoke", key_id="a\0b")
    assert ada.keys.revoked[-1] == ""


async def test_a_key_that_has_expired_says_so(ada):
    await made(ada)
    ada.world.later(days=6)
    assert "expired" not in (await ada.get("/account/keys")).text
    ada.keys.made = {
        name: replace(key, expires_at=ada.world.now) for name, key in ada.keys.made.items()
    }
    assert "expired" in (await ada.get("/account/keys")).text
