"""Sends webhooks to many endpoints at once, each in its own lane, so that none delays another.

Delivery is at least once: if a process dies between sending and recording, its claim expires, and
the next sender uses the same `webhook-id`.
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
from gateway.webhooks.ports import (
    Attempt,
    AttemptOutcome,
    Delivery,
    Endpoint,
    EndpointClaim,
    EndReason,
    Spool,
)
from gateway.webhooks.schedule import Verdict, next_try_at, read_retry_after, verdict_of
from gateway.webhooks.signature import signed_headers
from gateway.webhooks.target import Target, UnfitTargetError

INTERVAL_S: Final = 1.0
"""How soon a queued event is found."""
TIDY_INTERVAL_S: Final = 60.0
TIDIED_MAX: Final = 20
"""Transactions per round of tidying; the rest waits for the next one."""
LANES_MAX: Final = 32
"""Endpoints that one process sends to at once."""
DOUBTFUL_MAX: Final = 16
"""How many of them may be failing or new. Many endpoints that hang then only delay others like
them, and none that answers."""
AT_ONCE_MAX: Final = 4
"""Requests to one endpoint at once; one while it fails."""
TIMEOUT_S: Final = 20.0
"""Limit of one attempt, from the DNS look-up to the status. Standard Webhooks: 15-30 s."""
CLAIM: Final = timedelta(seconds=90)
"""How long a lane may hold an endpoint before its process counts as dead."""
LAST_BEGIN: Final = timedelta(seconds=45)
"""No attempt begins later in a claim, so that it can still be finished and recorded."""
LEAVE_S_MAX: Final = 2.0
"""How long a stop waits for requests in flight."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """What a receiver answered, or why there was no answer."""

    status: int | None
    retry_after: str | None = None
    failure: str = ""
    """A short code; empty if there was an answer."""


@dataclass(frozen=True, slots=True)
class EndpointTarget:
    """Where an endpoint is, and the secrets that sign for it."""

    target: Target
    secrets: Sequence[bytes] = field(repr=False)
    """The newest first."""


class Poster(Protocol):
    """Posts over HTTP."""

    async def post(self, target: Target, headers: dict[str, str], body: bytes) -> ReceiverAnswer:
        """Post once, within `TIMEOUT_S`; never raises but when cancelled."""


Locate = Callable[[Endpoint], EndpointTarget]
"""Raises UnfitTargetError for an address that must not be sent to, and LookupError if a key for its
secrets is missing."""
Write = Callable[[Delivery], Awaitable[bytes]]
"""Returns the body of an event when it is sent. Raises LookupError if its data are no longer kept,
ValueError if it is too long, StoreUnavailableError."""


class WebhookSender:
    """Sends what is in the spool; several processes may do this at once."""

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
        """Take the queue of events and the way out; `chance` returns numbers from 0 up to 1."""
        self._spool = spool
        self._poster = poster
        self._locate = locate
        self._write = write
        self._chance = chance
        self._clock = clock
        self._clock_ns = clock_ns
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._doubtful: set[str] = set()
        """Ids of endpoints with a lane that were failing or new when it opened."""
        self._is_leaving = False

    async def round(self) -> None:
        """Open lanes to endpoints with due deliveries. Raises StoreUnavailableError."""
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
        """Begin nothing more, and wait a moment for requests in flight."""
        self._is_leaving = True
        lanes = tuple(self._lanes.values())
        if lanes:
            await asyncio.wait(lanes, timeout=LEAVE_S_MAX)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    async def _lane(self, claim: EndpointClaim) -> None:
        """Send to one endpoint until nothing is due, it fails or the claim expires."""
        # An outage is logged by the task that opens lanes.
        with contextlib.suppress(StoreUnavailableError):
            try:
                await self._drive(claim)
            except StoreUnavailableError:
                raise
            except LookupError:
                # The claim is left to expire: another try each second would only log the same.
                log.error("webhook secret cannot be read", webhook=claim.endpoint.id)  # noqa: TRY400
                return
            except Exception:
                # The outermost handler of a lane: the other lanes go on.
                log.exception("webhooks not sent", webhook=claim.endpoint.id)
                return
            finally:
                # Also when cancelled, so that the next process need not wait for its expiry.
                if self._is_leaving:
                    with contextlib.suppress(StoreUnavailableError):
                        await self._spool.release(claim)
            await self._spool.release(claim)

    async def _drive(self, claim: EndpointClaim) -> None:
        last = claim.until - CLAIM + LAST_BEGIN
        at_once = 1 if claim.endpoint.failures else AT_ONCE_MAX
        is_open = True
        while is_open and not self._is_leaving and self._clock() < last:
            due = await self._spool.due(claim, at_once)
            if not due:
                return
            # One that cannot be recorded must not cancel the others, which may have been accepted.
            sent = await asyncio.gather(
                *(self._send(claim, each) for each in due), return_exceptions=True
            )
            for each in sent:
                if isinstance(each, BaseException):
                    raise each
            is_open = all(sent)

    async def _send(self, claim: EndpointClaim, delivery: Delivery) -> bool:
        """Try one delivery and record it; return whether more may be sent to its endpoint."""
        try:
            body = await self._write(delivery)
        except LookupError:
            await self._spool.abandon(claim, delivery, EndReason.FORGOTTEN)
            return True
        except ValueError:
            await self._spool.abandon(claim, delivery, EndReason.TOO_LONG)
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
            claim, delivery, AttemptOutcome(attempt, verdict, again, retry_after)
        )

    async def _post(self, endpoint: Endpoint, delivery: Delivery, body: bytes) -> ReceiverAnswer:
        try:
            to = self._locate(endpoint)
        except UnfitTargetError as unfit:
            # The address was allowed before, and no longer is.
            return ReceiverAnswer(None, failure=f"address {unfit.why}")
        # Signed for each attempt, because receivers that check the time refuse an old signature.
        signed = signed_headers(delivery.event_id, self._clock(), body, to.secrets)
        headers = {"content-type": "application/json", "user-agent": "Caller-Webhooks/1", **signed}
        return await self._poster.post(to.target, headers, body)


class DeliveryTidying:
    """Gives up deliveries that will not be sent; the daily retention deletes what has ended."""

    def __init__(self, tidy: Callable[[], Awaitable[int]]) -> None:
        self._tidy = tidy

    async def round(self) -> None:
        """Tidy up in small transactions. Raises StoreUnavailableError."""
        for _ in range(TIDIED_MAX):
            if not await self._tidy():
                break
