"""Sends webhooks: at once to many endpoints, each in a lane of its own, so that none holds another.

At least once: a process that dies between sending and noting leaves a claim that ends by itself,
and whoever sends then does so under the same `webhook-id`. Knows no table and no setting.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from billing.clock import Clock, utc_now
from database.errors import StoreUnavailableError
from gateway.webhooks.ports import Attempt, Claim, Delivery, Ended, Endpoint, Outcome, Spool
from gateway.webhooks.schedule import Verdict, next_try_at, read_retry_after, verdict_of
from gateway.webhooks.signature import signed_headers
from gateway.webhooks.target import Target, UnfitTargetError

INTERVAL_S: Final = 1.0
"""How soon a queued event is found."""
TIDY_INTERVAL_S: Final = 60.0
TIDIED_MAX: Final = 20
"""Transactions of one tidying; what is left waits for the next."""
LANES_MAX: Final = 32
"""Endpoints that one process sends to at once."""
DOUBTFUL_MAX: Final = 16
"""Of them, those that fail or are new: whoever has many that hang keeps out others of the kind, and
nobody whose endpoint answers."""
AT_ONCE_MAX: Final = 4
"""Requests to one endpoint at once; one while it fails."""
TIMEOUT_S: Final = 20.0
"""Bound of one attempt, from the look-up of the name to the status. Standard Webhooks: 15-30 s."""
CLAIM: Final = timedelta(seconds=90)
"""How long a lane may hold an endpoint before its process counts as dead."""
LAST_BEGIN: Final = timedelta(seconds=45)
"""No attempt begins later in a claim: it and its note still fit."""
LEAVE_S_MAX: Final = 2.0
"""How long a stop waits for what is being sent."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered, or why there was no answer."""

    status: int | None
    retry_after: str | None = None
    failure: str = ""
    """A word; empty where there was an answer."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an endpoint is, and what signs for it."""

    target: Target
    secrets: Sequence[bytes] = field(repr=False)
    """The newest first."""


class Poster(Protocol):
    """Posts over HTTP."""

    async def post(self, target: Target, headers: dict[str, str], body: bytes) -> Answer:
        """Post once, within `TIMEOUT_S`; never raises but when cancelled."""


Locate = Callable[[Endpoint], Destination]
"""Raises UnfitTargetError for an address that nothing is sent to, and LookupError where a key of
its secrets is missing."""
Write = Callable[[Delivery], Awaitable[bytes]]
"""Returns the body of an event as it leaves. Raises LookupError where what it tells of is not kept
any more, ValueError where it is too long, StoreUnavailableError."""


class WebhookSender:
    """Sends what is in the spool; several processes may do so at once."""

    def __init__(
        self,
        spool: Spool,
        poster: Poster,
        locate: Locate,
        write: Write,
        *,
        chance: Callable[[], float],
        clock: Clock = utc_now,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Take where events wait, and how they leave; `chance` gives numbers from 0 up to 1."""
        self._spool = spool
        self._poster = poster
        self._locate = locate
        self._write = write
        self._chance = chance
        self._clock = clock
        self._clock_ns = clock_ns
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._doubtful: set[str] = set()
        """Ids of those endpoints with a lane that failed, or were new, when it opened."""
        self._is_leaving = False

    async def round(self) -> None:
        """Open lanes to endpoints to which something is due. Raises StoreUnavailableError."""
        free = LANES_MAX - len(self._lanes)
        if self._is_leaving or free <= 0:
            return
        at = self._clock()
        found = await self._spool.claim(
            free,
            until=at + CLAIM,
            besides=tuple(self._lanes),
            doubtful=DOUBTFUL_MAX - len(self._doubtful),
        )
        for claim in found:
            endpoint_id = claim.endpoint.id
            if claim.endpoint.is_doubtful(at):
                self._doubtful.add(endpoint_id)
            lane = asyncio.get_running_loop().create_task(self._lane(claim), name="webhooks")
            self._lanes[endpoint_id] = lane
            lane.add_done_callback(partial(self._forget_lane, endpoint_id))

    def _forget_lane(self, endpoint_id: str, _lane: asyncio.Task[None]) -> None:
        del self._lanes[endpoint_id]
        self._doubtful.discard(endpoint_id)

    async def leave(self) -> None:
        """Begin nothing more, and wait a moment for what is being sent."""
        self._is_leaving = True
        lanes = tuple(self._lanes.values())
        if lanes:
            await asyncio.wait(lanes, timeout=LEAVE_S_MAX)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    async def _lane(self, claim: Claim) -> None:
        """Send to one endpoint until nothing is due, it fails or its claim ends."""
        # An outage is told by the task that opens lanes.
        with contextlib.suppress(StoreUnavailableError):
            try:
                await self._drive(claim)
            except StoreUnavailableError:
                raise
            except LookupError:
                # Its claim is left to end by itself: asked again each second it would only be told
                # the same.
                log.error("webhook secret cannot be read", webhook=claim.endpoint.id)  # noqa: TRY400
                return
            except Exception:
                # The edge of the lane: the others go on.
                log.exception("webhooks not sent", webhook=claim.endpoint.id)
                return
            finally:
                # Also what is cancelled: the next process need not wait for the claim's end.
                if self._is_leaving:
                    with contextlib.suppress(StoreUnavailableError):
                        await self._spool.release(claim)
            await self._spool.release(claim)

    async def _drive(self, claim: Claim) -> None:
        last = claim.until - CLAIM + LAST_BEGIN
        at_once = 1 if claim.endpoint.failures else AT_ONCE_MAX
        is_open = True
        while is_open and not self._is_leaving and self._clock() < last:
            due = await self._spool.due(claim, at_once)
            if not due:
                return
            # One that cannot be noted does not break the others off, which may be taken by now.
            sent = await asyncio.gather(
                *(self._send(claim, each) for each in due), return_exceptions=True
            )
            for each in sent:
                if isinstance(each, BaseException):
                    raise each
            is_open = all(sent)

    async def _send(self, claim: Claim, delivery: Delivery) -> bool:
        """Try one delivery and note it; return whether its endpoint may be sent more."""
        try:
            body = await self._write(delivery)
        except LookupError:
            await self._spool.abandon(claim, delivery, Ended.FORGOTTEN)
            return True
        except ValueError:
            await self._spool.abandon(claim, delivery, Ended.TOO_LONG)
            return True
        at, began_ns = self._clock(), self._clock_ns()
        answer = await self._post(claim.endpoint, delivery, body)
        ms = (self._clock_ns() - began_ns) // 1_000_000
        ended = self._clock()
        status = answer.status
        verdict = Verdict.FAILED if status is None else verdict_of(status)
        retry_after = read_retry_after(answer.retry_after, ended)
        tries = delivery.tries + 1
        again = None
        if verdict in {Verdict.FAILED, Verdict.THROTTLED}:
            again = next_try_at(
                tries - delivery.tries_before, ended, self._chance(), retry_after=retry_after
            )
        reason = answer.failure or ("" if verdict is Verdict.TAKEN else f"status {status}")
        attempt = Attempt(tries, at, status, ms, reason)
        return await self._spool.note(
            claim, delivery, Outcome(attempt, verdict, again, retry_after)
        )

    async def _post(self, endpoint: Endpoint, delivery: Delivery, body: bytes) -> Answer:
        try:
            to = self._locate(endpoint)
        except UnfitTargetError as unfit:
            # Allowed once, and not any more.
            return Answer(None, failure=f"address {unfit.why}")
        # Signed at each attempt: receivers that look at the time would refuse an old signature.
        signed = signed_headers(delivery.event_id, self._clock(), body, to.secrets)
        headers = {"content-type": "application/json", "user-agent": "Caller-Webhooks/1", **signed}
        return await self._poster.post(to.target, headers, body)


class Tidying:
    """Gives up what waits for nothing; what has ended is forgotten by the daily retention."""

    def __init__(self, tidy: Callable[[], Awaitable[int]]) -> None:
        self._tidy = tidy

    async def round(self) -> None:
        """Do it in small transactions. Raises StoreUnavailableError."""
        for _ in range(TIDIED_MAX):
            if not await self._tidy():
                break
