"""The carrier's callbacks: none is believed without its signature, and no odd one does harm."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.calls.stand_in import post_signed, sign
from tests.calls.world import Customer, World

FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}
PATHS = ("status", "stream", "reattach")


def hook(world: World, kind: str, call_id: str) -> str:
    """Return the address of a call's callback."""
    return f"{world.base}/n/{world.settings.node}/twilio/{kind}/{call_id}"


@pytest.fixture
async def live(world: World, customer: Customer):
    """A live call: its phone, its id and the carrier's id of it."""
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        await phone.wait_frames(5)
        sid = await customer.carrier_call_id(call_id)
        yield phone, call_id, sid
        assert phone.close_code is None, "the call has not survived"
        ended = await phone.hang_up()
    assert (ended["cause"], ended["ended_by"]) == (16, "caller")
    record = await customer.record(call_id)
    assert record["carrier_call_id"] == sid


@pytest.mark.parametrize("kind", PATHS)
async def test_an_unsigned_callback_is_not_believed(world: World, live: Any, kind: str):
    _, call_id, sid = live
    url, form = hook(world, kind, call_id), {"CallSid": sid, "CallStatus": "completed"}
    other = hook(world, kind, "x" * 12)
    async with httpx.AsyncClient() as client:
        for headers in (
            {},
            {"X-Twilio-Signature": ""},
            {"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
            sign(url),
            sign(other, form),
            sign(url.replace("http:", "https:"), form),
            sign(url + "?x=1", form),
            sign(url, form | {"CallStatus": "ringing"}),
            sign(url, form) | {"X-Twilio-Webhooks-Signature-Settings": "algorithm=none"},
            sign(url, form) | {"X-Twilio-Webhooks-Signature-Settings": "algorithm=HMAC_SHA256"},
        ):
            reply = await client.post(url, data=form, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (403, "bad_signature"), headers
        added = await client.post(
            url, content="CallSid=a&CallSid=b", headers=FORM_TYPE | sign(url, {"CallSid": "a"})
        )
        assert added.status_code == 403
        assert (await client.get(url, headers=sign(url))).status_code == 405


async def test_callbacks_may_have_repeated_and_unknown_fields(world: World, live: Any):
    phone, call_id, sid = live
    for form in (
        {"CallSid": sid, "CallStatus": ["ringing", "ringing"], "New": ["b", "a"]},
        {"CallSid": sid, "CallStatus": "a status of the future"},
        {"CallSid": sid},
        {"CallStatus": "completed"},
        {"CallSid": "", "CallStatus": "completed"},
        {"CallSid": "CA" + "0" * 32, "CallStatus": "completed"},
        {"CallSid": sid, "CallStatus": "in-progress", "CallDuration": "x" * 500},
        {"CallSid": sid, "CallStatus": "initiated", "Ünïcode": "✓"},
        {f"Field{i}": str(i) for i in range(150)},
        {},
    ):
        reply = await post_signed(hook(world, "status", call_id), form)
        assert reply.status_code == 204, form
    assert (await post_signed(hook(world, "status", "unknown"), {"CallSid": sid})).is_success
    error = {"StreamEvent": "stream-error", "StreamError": "\n31920: %s {} " + "x" * 5000}
    assert (await post_signed(hook(world, "stream", call_id), error)).status_code == 204
    reattach = await post_signed(hook(world, "reattach", call_id), {"CallSid": sid})
    assert reattach.headers["content-type"].startswith("text/xml")
    assert "<Hangup" in reattach.text
    assert phone.kinds().count("accept") == 1


async def test_a_callback_that_is_no_small_form_is_refused(world: World, live: Any):
    _, call_id, sid = live
    url, form = hook(world, "status", call_id), {"CallSid": sid, "CallStatus": "completed"}

    async def endless():
        for _ in range(100):
            yield b"a=" + b"x" * 10_000 + b"&"

    big = {**form, "Padding": "x" * 70_000}
    many = {f"f{i}": "" for i in range(5000)}
    replies = [
        await post_signed(url, form, headers={"content-type": "application/json"}),
        await post_signed(url, form, headers={"content-type": "multipart/form-data; boundary=x"}),
        await post_signed(url, form, headers={"content-type": ""}),
        await post_signed(url, big),
        await post_signed(url, form, content=endless()),
        await post_signed(url, many),
    ]
    assert [r.status_code for r in replies] == [400, 400, 400, 413, 413, 400]
    # What is hardly a form has no valid signature.
    for odd in (b"\xff\xfe%%%&&&===", b"%00=%00"):
        assert (await post_signed(url, form, content=odd)).status_code == 403


async def test_a_last_word_ends_a_call_once(world: World, customer: Customer):
    """Late, repeated and contradicting callbacks come after the end."""
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        sid = await customer.carrier_call_id(call_id)
        url = hook(world, "status", call_id)
        last = {"CallSid": sid, "CallStatus": "completed", "CallDuration": "1"}
        replies = await asyncio.gather(
            post_signed(url, last),
            post_signed(url, last),
            post_signed(url, last | {"CallDuration": "9999"}),
            post_signed(url, {"CallSid": sid, "CallStatus": "busy"}),
            post_signed(url, {"CallSid": sid, "CallStatus": "in-progress"}),
        )
        assert [r.status_code for r in replies] == [204] * 5
        ended = await phone.wait("disconnect")
        assert phone.kinds().count("disconnect") == 1
    record = await customer.record(call_id)
    assert record["cost"] == ended["cost"]
    assert record["seconds"] == ended["seconds"] <= 3
    assert (await post_signed(url, last)).status_code == 204
    assert await customer.balance() == 10_000_000 - ended["cost"]["micros"]
    await world.carrier_act(sid, action="hangup")
