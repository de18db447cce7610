"""Sends signed webhooks as Twilio does: form bodies, overrides, retries; logs each attempt.

Knows no call and no status; it delivers fields to a URL and remembers how that went.
https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from simulators.carrier.clock import Clock
from simulators.carrier.errors import FetchError
from simulators.carrier.orders import Hook
from simulators.carrier.signing import SIGNATURE_HEADER, Connection, sign, split_overrides
from simulators.carrier.trust import client_tls
from simulators.carrier.twiml import DOCUMENT_BYTES_MAX

DELIVERIES_MAX: Final = 2000
USER_AGENT: Final = "TwilioProxy/1.1"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver one webhook."""

    kind: str
    """`status`, `stream`, `twiml` or `detection`."""
    url: str
    params: Mapping[str, str]
    attempt: int
    """Counts from 1."""
    status: int
    """HTTP status; 0 when there was no reply."""
    failure: str
    """Empty, or `ct`, `rt`, `4xx`, `5xx`, `dropped`."""
    token: str
    """I-Twilio-Idempotency-Token, the same for every attempt."""
    at_ns: int


@dataclass(frozen=True, slots=True)
class _Event:
    """A webhook on its way."""

    kind: str
    hook: Hook
    """Without the fragment."""
    params: Mapping[str, str]
    token: str


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    failure: str


class Webhooks:
    """The carrier's HTTP client; all webhooks of one process go through it."""

    def __init__(self, auth_token: str, clock: Clock, ca_file: Path | None = None) -> None:
        self._auth_token = auth_token
        self._ca_file = ca_file
        self._clock = clock
        self._log: deque[Delivery] = deque(maxlen=DELIVERIES_MAX)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client; must run inside the loop that uses it."""
        self._session = aiohttp.ClientSession(
            headers={"Accept": "*/*", "User-Agent": USER_AGENT},
            connector=aiohttp.TCPConnector(limit=200, ssl=client_tls(self._ca_file)),
        )

    async def stop(self) -> None:
        """Close the client."""
        if self._session is not None:
            await self._session.close()

    def deliveries(self) -> list[dict[str, object]]:
        """Return the log, oldest first."""
        return [asdict(delivery) for delivery in self._log]

    def clear(self) -> None:
        """Forget the log."""
        self._log.clear()

    def log_dropped(self, kind: str, hook: Hook, params: Mapping[str, str]) -> None:
        """Note a webhook that was lost on purpose."""
        self._note(_Event(kind, hook, params, ""), 0, _Reply(0, b"", "dropped"))

    async def post(
        self, kind: str, hook: Hook, params: Mapping[str, str], token: str | None = None
    ) -> bool:
        """Deliver a webhook whose reply does not matter; return whether it arrived.

        Args:
            kind: what it is, for the log.
            hook: where it goes; overrides in the fragment are obeyed.
            params: form fields.
            token: idempotency token of an earlier delivery of the same event.
        """
        reply = await self._deliver(kind, hook, params, token or str(uuid.uuid4()))
        return not reply.failure

    async def fetch(self, hook: Hook, params: Mapping[str, str]) -> bytes:
        """Return the TwiML document behind a URL.

        Raises:
            FetchError: there was none.
        """
        reply = await self._deliver("twiml", hook, params, str(uuid.uuid4()))
        if reply.failure:
            raise FetchError(f"no document: {reply.failure} {reply.status}")
        return reply.body

    async def _deliver(
        self, kind: str, hook: Hook, params: Mapping[str, str], token: str
    ) -> _Reply:
        url, connection = split_overrides(hook.url)
        event = _Event(kind, Hook(url, hook.method), params, token)
        attempt = 0
        try:
            # One budget for all attempts (`tt`): a slow first one leaves less for the next.
            async with asyncio.timeout(connection.total_ms / 1000):
                while True:
                    attempt += 1
                    reply = await self._attempt(event, connection)
                    self._note(event, attempt, reply)
                    retried = attempt <= connection.retries
                    if not (reply.failure and retried and connection.retry_worthy(reply.failure)):
                        return reply
        except TimeoutError:
            # The attempt under way was cut off before it could note anything.
            reply = _Reply(0, b"", "rt")
            self._note(event, attempt, reply)
            return reply

    async def _attempt(self, event: _Event, connection: Connection) -> _Reply:
        assert self._session is not None, "started"
        url, fields, body = event.hook.url, event.params, None
        headers = {"I-Twilio-Idempotency-Token": event.token}
        if event.hook.method == "GET":
            # With GET the fields are part of the address, and so of what is signed.
            url += ("&" if "?" in url else "?") + urlencode(fields)
            fields = {}
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
            body = urlencode(fields)
        headers[SIGNATURE_HEADER] = sign(url, fields, self._auth_token)
        timeout = aiohttp.ClientTimeout(
            sock_connect=connection.connect_ms / 1000, sock_read=connection.read_ms / 1000
        )
        try:
            async with self._session.request(
                event.hook.method,
                # As written: normalising the address would break the signature over it.
                URL(url, encoded=True),
                data=body,
                headers=headers,
                timeout=timeout,
            ) as response:
                content = await _read_document(response.content)
                return _Reply(response.status, content, _failure(response.status))
        # No connection, so nothing was delivered; after any later failure it may have been. The
        # default policy repeats the first only.
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
            return _Reply(0, b"", "ct")
        except (aiohttp.ClientError, TimeoutError):
            return _Reply(0, b"", "rt")

    def _note(self, event: _Event, attempt: int, reply: _Reply) -> None:
        self._log.append(
            Delivery(
                event.kind,
                event.hook.url,
                dict(event.params),
                attempt,
                reply.status,
                reply.failure,
                event.token,
                self._clock.epoch_ns(),
            )
        )


async def _read_document(content: aiohttp.StreamReader) -> bytes:
    try:
        # One byte more than allowed: the parser then refuses what is too long.
        return await content.readexactly(DOCUMENT_BYTES_MAX + 1)
    except asyncio.IncompleteReadError as whole:
        return whole.partial


def _failure(status: int) -> str:
    if status < 400:
        return ""
    return "4xx" if status < 500 else "5xx"
