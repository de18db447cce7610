"""Sends spans to a collector, by OTLP over HTTP; nothing ever waits for it.

Its queue and each request are bounded. If the collector is away, hangs or refuses, spans are lost:
they are counted, and an outage is logged once when it begins and once when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import aiohttp
import structlog

from gateway.telemetry.spans import TraceSpan

WAITING_MAX: Final = 4_096
"""Spans that may wait; further ones are dropped. Some four megabytes."""
BATCH_MAX: Final = 64
"""Spans per request: encoding one takes a millisecond, during which all audio waits."""
INTERVAL_S: Final = 1.0
TIMEOUT_S: Final = 5.0
FLUSH_S_MAX: Final = 2.0
"""How long sending the queue may take when the process stops."""
PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 60.0
"""How long to wait after a failure, twice as long each time; also the longest wait that a collector
is granted if it asks for more."""
RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""OTLP/HTTP, "Retryable Response Codes". After any other failure status the spans are dropped."""
_NO_STATUS: Final = 0

log = structlog.get_logger(__name__)


class SpanExporter:
    """The spans of one process on their way to one collector."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        encode: Callable[[Sequence[TraceSpan]], bytes],
        *,
        interval_s: float = INTERVAL_S,
        timeout_s: float = TIMEOUT_S,
        flush_s: float = FLUSH_S_MAX,
    ) -> None:
        self._url = url
        self._headers = {**headers, "Content-Type": "application/x-protobuf"}
        self._encode = encode
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._flush_s = flush_s
        self._waiting: deque[TraceSpan] = deque()
        self._batch: Sequence[TraceSpan] = ()
        """The spans of the request in progress."""
        self._pause_s = 0.0
        self._is_failing = False
        self._work: asyncio.Task[None] | None = None
        self.counts = {"sent": 0, "dropped": 0}
        """Spans by outcome."""

    def start(self) -> None:
        """Start on the running loop."""
        self._work = asyncio.get_running_loop().create_task(self._run(), name="traces")

    def take(self, span: TraceSpan) -> None:
        """Send a span soon, or drop it if too many are waiting."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(span)
        else:
            self.counts["dropped"] += 1

    async def stop(self) -> None:
        """Send what is queued, within a bounded time; drop the rest."""
        work, self._work = self._work, None
        if work is None:
            return
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        # The request in progress is sent again: collectors recognise a span by its ids.
        self._put_back()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._flush_s), self._session() as session:
                while self._waiting and not await self._send(session):
                    pass
        self._put_back()
        self.counts["dropped"] += len(self._waiting)
        self._waiting.clear()

    async def _run(self) -> None:
        async with self._session() as session:
            while True:
                await asyncio.sleep(max(self._interval_s, self._pause_s))
                # Only what is queued by now: each turn of the loop is one beat of requests.
                for _ in range(-(-len(self._waiting) // BATCH_MAX)):
                    if await self._send(session):
                        break

    def _session(self) -> aiohttp.ClientSession:
        # No cookies are kept: a collector that sets them gets none back.
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def reach(self) -> str:
        """Send an empty request, and return why it was not accepted; empty if it was."""
        async with self._session() as session:
            return (await self._post(session, self._encode(())))[1]

    def _put_back(self) -> None:
        self._waiting.extendleft(reversed(self._batch))
        self._batch = ()

    async def _send(self, session: aiohttp.ClientSession) -> str:
        """Send one batch; return why it failed, empty if it was taken."""
        count = min(len(self._waiting), BATCH_MAX)
        self._batch = [self._waiting.popleft() for _ in range(count)]
        try:
            body = self._encode(self._batch)
        except Exception:
            # A bug of ours; uncaught, it would be the last thing ever sent.
            log.exception("traces not written", dropped=count)
            self._batch = ()
            self.counts["dropped"] += count
            return ""
        status, failure, after_s = await self._post(session, body)
        if not failure:
            self._batch = ()
            self._pause_s = 0.0
            self.counts["sent"] += count
            if self._is_failing:
                self._is_failing = False
                log.info("traces are taken again", dropped=self.counts["dropped"])
            return ""
        if not self._is_failing:
            self._is_failing = True
            log.warning("traces not taken", failure=failure)
        self._pause_s = min(max(2 * self._pause_s, PAUSE_S, after_s), PAUSE_S_MAX)
        if status in RETRYABLE or status == _NO_STATUS:
            self._put_back()
            # New spans stay and the oldest go, as long as there are too many.
            while len(self._waiting) > WAITING_MAX:
                self._waiting.popleft()
                self.counts["dropped"] += 1
        else:
            self._batch = ()
            self.counts["dropped"] += count
        return failure

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> tuple[int, str, float]:
        """Return the status, 0 for none; the failure; and how long the collector asks to wait."""
        try:
            # A redirect would take the secret in the headers to a host that the operator did not
            # name.
            async with session.post(
                self._url, data=body, headers=self._headers, allow_redirects=False
            ) as reply:
                if reply.status < 300:
                    return reply.status, "", 0.0
                return reply.status, f"status {reply.status}", _seconds(reply.headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # Not the error's text, which contains the URL and perhaps a password.
            return _NO_STATUS, type(error).__name__, 0.0


def _seconds(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
