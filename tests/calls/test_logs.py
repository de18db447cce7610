"""What a gateway writes while it works: nothing of whom was called, and by what key.

The processes run at their most talkative, and the whole of what they wrote is looked through.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import urllib.parse

import pytest
from twilio.request_validator import RequestValidator

from gateway.logs.call_events import EVENTS
from tests.calls.world import ACCOUNT_SID, AUTH_TOKEN, ECHO, eventually

STRIPE_KEY = "sk_test_" + "cd" * 16
WEBHOOK_SECRET = "whsec_" + "ef" * 16
PAYING = {
    "CALLER_STRIPE_API_KEY": STRIPE_KEY,
    "CALLER_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    # Nobody is there: no request of these tests comes so far.
    "CALLER_STRIPE_URL": "http://127.0.0.1:9",
}
BROKEN_OFF = "request broken off"

ROUTES = [
    ("POST", "/v1/quotes"),
    ("POST", "/v1/call-tokens"),
    ("POST", "/v1/check-tokens"),
    ("POST", "/v1/top-ups"),
    ("PUT", "/v1/auto-top-up"),
    ("POST", "/stripe/webhook"),
    ("POST", "/n/n1/twilio/status/c1"),
    ("POST", "/n/n1/twilio/stream/c1"),
    ("POST", "/n/n1/twilio/reattach/c1"),
]
"""Every route that reads a body."""

WAITED_FOR = b"Expect: 100-continue\r\n"
"""Lets the gateway say that it waits for the body (RFC 9110, 10.1.1)."""
ANNOUNCED = WAITED_FOR + b"Content-Length: 100\r\n"
CHUNKED = WAITED_FOR + b"Transfer-Encoding: chunked\r\n"
ENDINGS = [
    ("in the head", b"", b"", b""),
    ("after the head", ANNOUNCED, b"\r\n", b""),
    ("in an announced body", ANNOUNCED, b"\r\n", b'{"destination"'),
    ("before the first chunk", CHUNKED, b"\r\n", b""),
    ("in a chunk", CHUNKED, b"\r\n", b"ff\r\n{"),
    ("between two chunks", CHUNKED, b"\r\n", b"1\r\n{\r\n"),
    ("before the last chunk's end", CHUNKED, b"\r\n", b"1\r\n{\r\n0\r\n"),
    ("during the answer", b"Content-Length: 2\r\n", b"\r\n{}", b""),
]
"""Where a request is broken off: its further head, what is sent with it, and what is sent once the
gateway has said something."""


def lines(log):
    """Return the log's lines, each of which is an object."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def break_off(world, method, path, key, head, rest, body):
    """Send the beginning of a request and reset the connection.

    Where the head is complete the gateway says something first: that it waits for the body, or the
    answer. Without that, how far it had come would depend on the machine.
    """
    start = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        "Stripe-Signature: t=1,v1=a\r\nX-Twilio-Signature: a\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
    )
    with socket.create_connection(("127.0.0.1", world.port), timeout=30) as connection:
        connection.sendall(start.encode() + head + rest)
        if rest:
            connection.recv(1)
        connection.sendall(body)
        # RST in place of FIN, as from a proxy that gives up.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("form", ["text", "json"])
async def test_requests_that_are_broken_off_cost_a_line_each(new_world, form):
    world = new_world(CALLER_LOG_FORMAT=form, CALLER_LOG_LEVEL="debug", **PAYING)
    world.start_gateway()
    customer = await world.new_customer()
    before = len(world.gateway.log.read_bytes())
    waiting = 0
    for method, path in ROUTES:
        for _, head, rest, body in ENDINGS:
            break_off(world, method, path, customer.key, head, rest, body)
            waiting += head.startswith(WAITED_FOR)

    async def all_told():
        return world.gateway.log.read_text().count(BROKEN_OFF) >= waiting

    await eventually(all_told)
    assert (await customer.http.get("/v1/account")).is_success
    text = world.gateway.log.read_bytes()[before:].decode()
    told = [line for line in text.splitlines() if BROKEN_OFF in line]
    assert len(told) == waiting
    assert max(map(len, told)) < 200
    for word in ("Traceback", "error", customer.key, WEBHOOK_SECRET, ACCOUNT_SID):
        assert word not in text
    await customer.http.aclose()


async def test_a_running_node_logs_more_when_it_is_told_to_and_names_nobody(new_world):
    world = new_world(**PAYING)
    world.start_gateway()
    customer = await world.new_customer()

    async def told(level):
        """Tell it what to log, and break requests off; return where in the log that begins."""
        asked = ["nodes", "log-level", "n1", level, "--reason", "calls drop"]
        command = [sys.executable, "-m", "gateway", *asked]
        done = await asyncio.to_thread(
            subprocess.run, command, env=world.environ, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        before = len(world.gateway.log.read_bytes())
        for method, path in ROUTES:
            break_off(world, method, path, customer.key, ANNOUNCED, b"\r\n", b'{"destination"')
        assert (await customer.http.get("/v1/account")).is_success
        return before

    def broken_off(since):
        text = world.gateway.log.read_bytes()[since:].decode()
        for word in ("Traceback", customer.key, WEBHOOK_SECRET, ACCOUNT_SID, "destination"):
            assert word not in text
        return text.count(BROKEN_OFF)

    since = await told("debug")
    await eventually(lambda: _is_so(broken_off(since) == len(ROUTES)))
    async with customer.call() as phone:
        await phone.wait("accept")
        await phone.wait_frames(5)
        await phone.hang_up()
    for secret in (ECHO, customer.key, AUTH_TOKEN, STRIPE_KEY):
        assert secret.removeprefix("+") not in world.gateway.log.read_text()
    since = await told("setting")
    world.stop()
    assert broken_off(since) == 0
    await customer.http.aclose()


async def _is_so(value):
    return value


async def test_a_call_at_the_most_talkative_level_names_nobody(new_world, tmp_path):
    world = new_world(CALLER_LOG_LEVEL="debug", **PAYING)
    world.start_gateway()
    customer = await world.new_customer()
    token = await customer.token()
    async with customer.connect(token["media_url"]) as phone:
        await phone.send(type="start", version=1, token=token["token"])
        ready = await phone.wait("ready")
        await phone.wait("accept")
        await phone.wait_frames(5)
        await phone.send(type="dtmf", digits="8675309")
        await phone.hang_up()
    await customer.record(ready["call_id"])
    # Refusals, a fault of the payment service, and callbacks that are signed, and are not.
    await customer.http.post("/v1/top-ups", json={"amount": "25"})
    await customer.http.post("/v1/call-tokens", json={"destination": "+19005551234"})
    await customer.http.get("/v1/rates", params={"number": ECHO})
    await customer.http.get("/v1/account", headers={"authorization": "Bearer ck_" + "no" * 12})
    url = f"{world.base}/n/n1/twilio/status/{ready['call_id']}"
    form = {"CallSid": "CA" + "1" * 32, "CallStatus": "completed", "To": ECHO}
    for key in (AUTH_TOKEN, "another"):
        signature = RequestValidator(key).compute_signature(url, form)
        await customer.http.post(url, data=form, headers={"X-Twilio-Signature": signature})
    await customer.http.aclose()
    world.stop()
    text = world.gateway.log.read_text()
    written = lines(world.gateway.log)
    assert any(line["level"] != "debug" for line in written)
    of_call = [line["event"] for line in written if line.get("call_id") == ready["call_id"]]
    wanted = ["requested", "placed", "answered", "ended", "settled"]
    assert [name for name in of_call if name in EVENTS] == [f"call {name}" for name in wanted]
    (refused,) = [line for line in written if line["event"] == "call refused"]
    assert (refused["code"], refused["account"]) == ("number_premium", customer.account_id)
    (forged,) = [line for line in written if line["event"] == "signature refused"]
    assert (forged["source"], forged["count"], forged["what"]) == ("127.0.0.1", 1, "callback")
    secrets = [
        ECHO,
        "+19005551234",
        "8675309",
        world.settings.caller_id,
        customer.key,
        token["token"],
        "no" * 12,
        ready["resume_token"],
        AUTH_TOKEN,
        STRIPE_KEY,
        WEBHOOK_SECRET,
        ACCOUNT_SID,
    ]
    for secret in secrets:
        for written in (secret.removeprefix("+"), urllib.parse.quote(secret, safe="")):
            assert written not in text
    # Nothing had to be redacted either.
    assert "…" not in text
