"""Queues mails to account holders about events that concern their money.

Nothing waits for it: a mail is queued in the background, a few times at most while SQL is
away, because the books hold every fact anyway. Knows no text and no mail server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from accounts.notice import Notice
from billing.clock import Clock, utc_now
from billing.payments import AUTOMATIC, PaymentProfile
from database.errors import StoreUnavailableError
from gateway.post.notices import NOTICES

DELAYS_S: Final = (1.0, 5.0, 30.0, 120.0)
"""Pauses between the attempts at queueing one mail; after the last it is dropped."""
WAITING_MAX: Final = 200
"""Mails that wait for SQL at once; further ones are dropped."""
STOP_S_MAX: Final = 2.0
"""How long a stop waits for SQL."""

log = structlog.get_logger(__name__)


class Outbox(Protocol):
    """Where mails wait. Raises StoreUnavailableError."""

    async def queue(self, account_id: str, notice: Notice) -> None:
        """Queue a mail."""


class Addresses(Protocol):
    """Looks up account holders' addresses. Raises StoreUnavailableError."""

    async def profile(self, account_id: str) -> PaymentProfile:
        """Return an account's profile. Raises LookupError if there is no such account."""


@dataclass(frozen=True, slots=True)
class _Told:
    """How an event is mailed."""

    notice: str
    condition: Mapping[str, object] = field(default_factory=dict)
    """Fields that it must have to be mailed at all."""
    once: str = ""
    """Of an account's mails with the same word only the first is sent."""


_EVENTS: Final[Mapping[str, _Told]] = {
    "auto_top_up.off": _Told("auto_top_up_off"),
    # Payments on a page or by a tap need no mail: the holder was there.
    "payment.received": _Told("auto_top_up", {"kind": AUTOMATIC}, "auto_top_up:{payment_id}"),
    "payment.refunded": _Told("refunded"),
    "payment.refund_failed": _Told("refund_failed"),
    "payment.disputed": _Told("disputed"),
    "payment.dispute_won": _Told("dispute_won"),
    "call.cut_off": _Told("out_of_credit", {"cause": "credit"}, "out_of_credit:{day}"),
    "call.refunded": _Told("call_refunded", once="call_refunded:{call_id}"),
}


def notice_of(name: str, data: Mapping[str, Any], at: datetime) -> Notice | None:
    """Return the mail about an event; None for events that nobody is mailed about.

    Args:
        name: The event's name.
        data: Its fields; amounts are micros.
        at: Now: some mails come once a UTC day.

    """
    told = _EVENTS.get(name)
    if told is None or any(data.get(key) != value for key, value in told.condition.items()):
        return None
    # What the text names and no more: the row is kept for weeks.
    values = {key: str(data[key]) for key in sorted(NOTICES[told.notice].values)}
    once = told.once.format(**data, day=at.date())
    return Notice(told.notice, values=values, once=once)


class MailQueue:
    """What one process still has to queue."""

    def __init__(
        self,
        outbox: Outbox,
        addresses: Addresses,
        *,
        delays_s: tuple[float, ...] = DELAYS_S,
        clock: Clock = utc_now,
    ) -> None:
        self._outbox = outbox
        self._addresses = addresses
        self._delays_s = delays_s
        self._clock = clock
        self._work: set[asyncio.Task[None]] = set()

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Queue a mail about an event soon, if account holders are told about it."""
        notice = notice_of(name, data, self._clock())
        if notice is None:
            return
        # Bounds the tasks that pile up while SQL is away.
        if len(self._work) >= WAITING_MAX:
            log.warning("mail not queued, too many wait", about=name, account=data["account_id"])
            return
        queueing = self._queue(data["account_id"], notice)
        work = asyncio.get_running_loop().create_task(queueing)
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    async def leave(self, patience_s: float) -> bool:
        """Wait, at most so long, until all is queued; return whether that is so."""
        if not self._work:
            return True
        _, left = await asyncio.wait(self._work, timeout=patience_s)
        return not left

    async def stop(self) -> None:
        """Stop; drop what SQL does not take now."""
        await self.leave(STOP_S_MAX)
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _queue(self, account_id: str, notice: Notice) -> None:
        for delay_s in (*self._delays_s, None):
            try:
                # No address is normal: account holders need not give one.
                if (await self._addresses.profile(account_id)).email:
                    await self._outbox.queue(account_id, notice)
            # Any error, even a bug: nobody awaits this task.
            except Exception as error:
                if delay_s is None or not isinstance(error, StoreUnavailableError):
                    failure = type(error).__name__
                    log.warning(
                        "mail not queued", about=notice.name, account=account_id, failure=failure
                    )
                    return
            else:
                return
            await asyncio.sleep(delay_s)
