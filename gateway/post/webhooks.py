"""Posts events to the operator's own program, as signed JSON.

Each event has an id and is posted until it is accepted, in order, a few times at most; what cannot
be delivered is logged and dropped, because the books hold every fact anyway. Nothing waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from billing.clock import Clock, utc_now
from gateway.secret import Secret

TIMEOUT_S: Final = 5.0
DELAYS_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Pauses between the attempts at one event; after the last it is dropped."""
WAITING_MAX: Final = 1_000
"""Events that wait while the receiver is away; beyond it the oldest is dropped."""
SIGNATURE: Final = "Caller-Signature"

log = structlog.get_logger(__name__)


def signature(secret: Secret, body: bytes, at: datetime) -> str:
    """Return the header's value: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`."""
    seconds = str(int(at.timestamp()))
    # The time is signed too, so that a receiver can refuse replays.
    digest = hmac.new(secret.reveal().encode(), seconds.encode() + b"." + body, hashlib.sha256)
    return f"t={seconds},v1={digest.hexdigest()}"


class EventPoster:
    """The outgoing events of one process, to one address; inactive without an address."""

    def __init__(
        self,
        url: Secret,
        secret: Secret,
        *,
        delays_s: tuple[float, ...] = DELAYS_S,
        clock: Clock = utc_now,
    ) -> None:
        self._url = url
        self._secret = secret
        self._delays_s = delays_s
        self._clock = clock
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=WAITING_MAX)
        self._news = asyncio.Event()
        self._all_left = asyncio.Event()
        self._all_left.set()
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start on the running loop."""
        if self._url:
            self._work = asyncio.get_running_loop().create_task(self._run(), name="events")

    async def stop(self) -> None:
        """Stop; drop what still waits."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Post an event soon."""
        if not self._url:
            return
        # The same for all attempts, so that a receiver can recognise a repetition.
        event_id = "ev_" + secrets.token_hex(12)
        event = {"id": event_id, "type": name, "at": self._clock().isoformat(), "data": data}
        # The deque silently drops its oldest event below.
        if len(self._waiting) == WAITING_MAX:
            log.warning("event forgotten, too many wait", event_id=self._waiting[0][0])
        self._waiting.append((event_id, msgspec.json.encode(event)))
        self._all_left.clear()
        self._news.set()

    async def leave(self, patience_s: float) -> bool:
        """Wait, at most so long, until nothing waits to be delivered; return whether that is so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._all_left.wait()
        return self._all_left.is_set()

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._news.wait()
                # Cleared before draining: an event that arrives meanwhile sets it again.
                self._news.clear()
                while self._waiting:
                    # One at a time with all its attempts, which keeps the order; an event that is
                    # never accepted delays the others by the sum of the pauses.
                    await self._deliver(session, *self._waiting.popleft())
                self._all_left.set()

    async def _deliver(self, session: aiohttp.ClientSession, event_id: str, body: bytes) -> None:
        for delay_s in (*self._delays_s, None):
            failure = await self._post(session, body)
            if not failure:
                return
            if delay_s is None:
                log.warning("event not delivered", event_id=event_id, failure=failure)
                return
            await asyncio.sleep(delay_s)

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> str:
        """Post once; return why it failed, empty if it was accepted."""
        headers = {"Content-Type": "application/json"}
        if self._secret:
            # Signed at each attempt: receivers that check the time would refuse an old signature.
            headers[SIGNATURE] = signature(self._secret, body, self._clock())
        try:
            # A redirect would send account ids to a host that the operator did not name.
            async with session.post(
                self._url.reveal(), data=body, headers=headers, allow_redirects=False
            ) as reply:
                return "" if reply.status < 300 else f"status {reply.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            # Not the error's text, which contains the URL and perhaps a password.
            return type(error).__name__
