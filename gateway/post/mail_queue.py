"""Queues mails to account holders about events that concern their money.

Nothing waits for it: a mail is queued in the background, a few times at most while SQL is
away, because the books hold every fact anyway. Knows no text and no mail server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from accounts.notice import Notice
from billing.clock import Clock, utc_now
from billing.payments import AUTOMATIC, PaymentProfile
from gateway.post.notices import NOTICES
from gateway.post.patience import DELAYS_S, Patience

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
        self._clock = clock
        self._patience = Patience(delays_s)
        self.leave = self._patience.leave
        self.stop = self._patience.stop

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Queue a mail about an event soon, if account holders are told about it."""
        notice, account_id = notice_of(name, data, self._clock()), str(data["account_id"])
        if notice is None:
            return

        async def queue() -> None:
            # No address is normal: account holders need not give one.
            if (await self._addresses.profile(account_id)).email:
                await self._outbox.queue(account_id, notice)

        def tell(error: Exception) -> None:
            log.warning(
                "mail not queued",
                about=notice.name,
                account=account_id,
                failure=type(error).__name__,
            )

        if not self._patience.begin(queue, tell):
            log.warning("mail not queued, too many wait", about=name, account=account_id)
