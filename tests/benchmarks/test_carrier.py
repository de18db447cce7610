"""The played carrier signs as Twilio does and answers what a call needs."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode

import pytest
from twilio.request_validator import RequestValidator

from benchmarks import carrier as module
from benchmarks.carrier import ACCOUNT_SID, AUTH_TOKEN, PlayedCarrier, signature
from benchmarks.dial import DialError

CALLS = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls"
TWIML = "<Response><Connect><Stream url='{}'/></Connect></Response>"


@pytest.fixture
def carrier() -> Iterator[PlayedCarrier]:
    with PlayedCarrier() as played:
        yield played


class Webhooks(ThreadingHTTPServer):
    """A gateway that notes its callbacks and refuses every media stream."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Webhook)
        self.received: list[tuple[str, dict[str, str], str]] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Webhooks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        signed = self.headers["X-Twilio-Signature"]
        self.server.received.append((self.server.origin + self.path, form, signed))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[Webhooks]:
    with Webhooks() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(url: str, form: Mapping[str, str] | None = None) -> tuple[int, dict[str, object]]:
    body = None if form is None else urlencode(form).encode()
    try:
        with urllib.request.urlopen(url, body, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def order(gateway: Webhooks, call_id: str) -> dict[str, str]:
    stream_url = gateway.origin.replace("http", "wss") + "/n/n1/media/carrier"
    return {
        "To": "+15005551000",
        "From": "+15005550006",
        "StatusCallback": f"{gateway.origin}/n/n1/twilio/status/{call_id}",
        "Twiml": TWIML.format(stream_url),
    }


@pytest.mark.parametrize("form", [{}, {"CallSid": "CA1", "To": "+1500", "Empty": "", "from": "b"}])
def test_signatures_are_twilios(form: dict[str, str]) -> None:
    url = "wss://127.0.0.1:8080/n/n1/media/carrier"
    assert RequestValidator(AUTH_TOKEN).validate(url, form, signature(url, form))


def test_a_call_is_reported_signed_and_then_dialled(
    carrier: PlayedCarrier, gateway: Webhooks
) -> None:
    status, created = ask(f"{carrier.url}{CALLS}.json", order(gateway, "call-1"))
    assert (status, created["status"]) == (201, "queued")
    with pytest.raises(DialError, match="could not reach") as refused:
        carrier.take("call-1")
    assert "403" in str(refused.value.__cause__)
    statuses = [form["CallStatus"] for _, form, _ in gateway.received]
    assert statuses == ["initiated", "ringing", "in-progress"]
    for url, form, signed in gateway.received:
        assert RequestValidator(AUTH_TOKEN).validate(url, form, signed)


def test_a_call_can_be_ended_and_looked_up(carrier: PlayedCarrier, gateway: Webhooks) -> None:
    _, created = ask(f"{carrier.url}{CALLS}.json", order(gateway, "call-1"))
    with pytest.raises(DialError):
        carrier.take("call-1")
    one = f"{carrier.url}{CALLS}/{created['sid']}.json"
    assert ask(one, {"Status": "completed"})[1]["status"] == "completed"
    assert ask(one)[1]["duration"] == "1"
    assert ask(f"{carrier.url}{CALLS}.json?To=%2B1")[1]["calls"] == []
    assert ask(f"{carrier.url}{CALLS}/CA0.json")[0] == 404
    assert ask(f"{carrier.url}{CALLS}/CA0.json", {"Status": "completed"})[0] == 404
    assert ask(f"{carrier.url}/2010-04-01/Accounts/{ACCOUNT_SID}.json")[1]["status"] == "active"
    assert ask(f"{carrier.url}/elsewhere", {})[0] == 404


def test_a_call_that_was_never_placed(
    carrier: PlayedCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_S_MAX", 0.05)
    with pytest.raises(DialError, match="no such call"):
        carrier.take("call-9")
