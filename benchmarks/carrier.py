"""Plays the carrier for the gateway: answers every call at once and opens the media stream.

Implements just as much of Twilio's REST API, signed webhooks and Media Streams handshake as a call
needs; audio is the generator's job. Nothing here is paced or measured.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import itertools
import json
import queue
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urldefrag, urlencode, urlsplit
from xml.etree import ElementTree

from benchmarks import loopback
from benchmarks.dial import DialError, open_websocket, start_stream

ACCOUNT_SID = f"AC{0xBE7C:032x}"
AUTH_TOKEN = "benchmark-auth-token"
ANSWER_S_MAX = 10.0
"""How long a call may take from its creation to its media stream."""
_CALLS_PATH = re.compile(r"/2010-04-01/Accounts/AC\w+/Calls(?:/(CA\w+))?\.json")


@dataclass(frozen=True, slots=True)
class CarrierLeg:
    """The carrier's end of an answered call, its stream started."""

    connection: socket.socket
    stream_sid: str
    placed_ns: int
    """When the order to call had arrived here, by the monotonic clock."""


@dataclass(slots=True)
class _PlacedCall:
    """A call as the carrier keeps it."""

    sid: str
    form: Mapping[str, str]
    """What it was created with."""
    status: str = "queued"
    callbacks: int = 0
    placed_ns: int = field(default_factory=time.monotonic_ns)
    leg: queue.SimpleQueue[CarrierLeg | Exception] = field(default_factory=queue.SimpleQueue)

    def resource(self) -> dict[str, object]:
        """Return the call as Twilio's REST API shows it."""
        return {
            "sid": self.sid,
            "account_sid": ACCOUNT_SID,
            "api_version": "2010-04-01",
            "date_created": formatdate(usegmt=True),
            "direction": "outbound-api",
            "duration": "1" if self.status == "completed" else None,
            "from": self.form["From"],
            "price": None,
            "price_unit": "USD",
            "queue_time": "0",
            "status": self.status,
            "to": self.form["To"],
        }


def signature(url: str, form: Mapping[str, str]) -> str:
    """Return `X-Twilio-Signature`: HMAC-SHA1 over the URL and the sorted fields behind it."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


class PlayedCarrier:
    """A carrier that lives while its context does."""

    def __init__(self) -> None:
        self._calls: dict[str, _PlacedCall] = {}
        self._by_status_url: dict[str, _PlacedCall] = {}
        self._placed = threading.Condition()
        self._numbers = itertools.count(1)
        self._orders: queue.SimpleQueue[_PlacedCall | None] = queue.SimpleQueue()
        self._gateway: http.client.HTTPConnection | None = None
        self._server = ThreadingHTTPServer((loopback.HOST, 0), _handler_of(self))
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.1,), name="carrier-rest"),
            threading.Thread(target=self._answer_calls, name="carrier-calls"),
        ]

    @property
    def url(self) -> str:
        """Base of its REST API."""
        return f"http://{loopback.HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._orders.put(None)
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()

    def take(self, call_id: str) -> CarrierLeg:
        """Return the carrier leg of the gateway's call `call_id`, waiting for it to come up.

        Raises:
            DialError: the call was not placed, or its stream was refused.
        """

        def placed() -> _PlacedCall | None:
            # The callback's address names the gateway's call: nothing else does before the stream.
            urls = (url for url in self._by_status_url if call_id in url)
            return self._by_status_url.pop(next(urls, ""), None)

        with self._placed:
            # The page's `ready` may come before the order has reached us.
            call = self._placed.wait_for(placed, ANSWER_S_MAX)
        if call is None:
            raise DialError("the gateway placed no such call")
        try:
            leg = call.leg.get(timeout=ANSWER_S_MAX)
        except queue.Empty:
            raise DialError("the carrier is still dialling") from None
        if isinstance(leg, Exception):
            raise DialError("the carrier could not reach the gateway") from leg
        return leg

    # The REST API, on the server's threads.

    def create(self, form: Mapping[str, str]) -> dict[str, object]:
        """Place a call; it is answered on another thread."""
        # Made when the order has been read: from here on the time is the carrier's.
        call = _PlacedCall(f"CA{next(self._numbers):032x}", form)
        # Before another thread moves the call on: Twilio's reply to an order says `queued`.
        reply = call.resource()
        with self._placed:
            self._calls[call.sid] = call
            self._by_status_url[form["StatusCallback"]] = call
            self._placed.notify_all()
        self._orders.put(call)
        return reply

    def update(self, sid: str, form: Mapping[str, str]) -> dict[str, object] | None:
        """Change a call; None for one that does not exist."""
        call = self._calls.get(sid)
        if call is None:
            return None
        if "Status" in form:
            call.status = form["Status"]
        return call.resource()

    def fetch(self, sid: str | None) -> dict[str, object] | None:
        """Return one call, or the empty list of those that match a search."""
        if sid is None:
            # No search finds anything: there is no call that the gateway has lost.
            return {"calls": [], "page": 0, "page_size": 50, "next_page_uri": None}
        call = self._calls.get(sid)
        return None if call is None else call.resource()

    # Answering, on the carrier's own thread.

    def _answer_calls(self) -> None:
        # One thread for all: calls are brought up one after the other.
        while (call := self._orders.get()) is not None:
            try:
                call.leg.put(self._answer(call))
            except (DialError, OSError, http.client.HTTPException, ElementTree.ParseError) as error:
                # The caller of `take` waits for either.
                call.leg.put(error)
        if self._gateway is not None:
            self._gateway.close()

    def _answer(self, call: _PlacedCall) -> CarrierLeg:
        for status in ("initiated", "ringing", "in-progress"):
            call.status = status
            # In order, and each answered before the next: nothing here tests how they can be
            # disturbed.
            self._report(call)
        stream = ElementTree.fromstring(call.form["Twiml"]).find("./Connect/Stream")
        if stream is None:
            raise DialError("the TwiML connects no stream")
        url = urlsplit(stream.attrib["url"])
        headers = {"User-Agent": "Twilio.TmeWs/1.0"}
        headers["X-Twilio-Signature"] = signature(stream.attrib["url"], {})
        stream_sid = "MZ" + call.sid[2:]
        with loopback.closed_on_error(loopback.connect(url.port or 80)) as connection:
            open_websocket(connection, url.netloc, url.path, headers)
            start_stream(
                connection,
                stream_sid=stream_sid,
                call_sid=call.sid,
                account_sid=ACCOUNT_SID,
                parameters={p.attrib["name"]: p.attrib["value"] for p in stream.iter("Parameter")},
            )
        return CarrierLeg(connection, stream_sid, call.placed_ns)

    def _report(self, call: _PlacedCall) -> None:
        """Send a status callback, on one connection that is kept."""
        # The fragment tells the carrier how to retry; it is neither requested nor signed.
        url = urldefrag(call.form["StatusCallback"]).url
        form = {
            "CallSid": call.sid,
            "AccountSid": ACCOUNT_SID,
            "From": call.form["From"],
            "To": call.form["To"],
            "CallStatus": call.status,
            "ApiVersion": "2010-04-01",
            "Direction": "outbound-api",
            "CallbackSource": "call-progress-events",
            "Timestamp": formatdate(),
            "SequenceNumber": str(call.callbacks),
        }
        call.callbacks += 1
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": signature(url, form),
        }
        parts = urlsplit(url)
        if self._gateway is None:
            self._gateway = http.client.HTTPConnection(parts.netloc, timeout=ANSWER_S_MAX)
        try:
            self._gateway.request("POST", parts.path, urlencode(form), headers)
            reply = self._gateway.getresponse()
            reply.read()
        except (OSError, http.client.HTTPException):
            # What was under way on it is unknown: a reply would belong to another request.
            self._gateway.close()  # the next request opens a new one
            raise
        if reply.status >= 300:
            raise DialError(f"the gateway answered a status callback with {reply.status}")


def _handler_of(carrier: PlayedCarrier) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Twilio's REST API, as far as it is needed. Credentials are not looked at."""

        # Connections are kept, as with Twilio: a new one for each order would be timed as well.
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if (match := _CALLS_PATH.fullmatch(path)) is not None:
                self._reply(200, carrier.fetch(match[1]))
            else:
                self._reply(200, {"sid": ACCOUNT_SID, "status": "active"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            match = _CALLS_PATH.fullmatch(urlsplit(self.path).path)
            if match is None:
                self._reply(404, None)
            elif match[1] is None:
                self._reply(201, carrier.create(form))
            else:
                self._reply(200, carrier.update(match[1], form))

        def _reply(self, status: int, content: dict[str, object] | None) -> None:
            if content is None:
                status, content = 404, {"code": 20404, "message": "Not found", "status": 404}
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
