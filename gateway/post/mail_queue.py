"""Queues mails to account holders about events that concern their money.

Nothing waits for it: a mail is queued in the background, with a few retries while SQL is
unavailable, because the books hold every fact anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from accounts.link import Purpose
from accounts.notice import Notice
from billing.clock import Clock, utc_now
from billing.payments import AUTOMATIC, BY_PAGE, BY_TAP, PaymentProfile
from gateway.post.notices import NOTICES
from gateway.post.patience import DELAYS_S, Patience

log = structlog.get_logger(__name__)


class NoticeOutbox(Protocol):
    """Where mails wait. Raises StoreUnavailableError."""

    async def queue(self, account_id: str, notice: Notice) -> None:
        """Queue a mail."""

    async def queue_to_holder(self, account_id: str, notice: Notice) -> None:
        """Queue a mail with a link; an account without a holder gets it without the link."""


class HolderAddresses(Protocol):
    """Looks up account holders' addresses. Raises StoreUnavailableError."""

    async def profile(self, account_id: str) -> PaymentProfile:
        """Return an account's profile. Raises LookupError if there is no such account."""


@dataclass(frozen=True, slots=True)
class _MailRule:
    """How an event is mailed."""

    event: str
    notice: str
    condition: Mapping[str, object] = field(default_factory=dict)
    """Fields that it must have to be mailed at all."""
    once: str = ""
    """Of an account's mails with the same word only the first is sent."""
    link: Purpose | None = None
    """The link that it contains for an account's holder."""


_RULES: Final = (
    _MailRule("auto_top_up.off", "auto_top_up_off"),
    # A receipt: the card's owner has paid on a page. Charges of a saved card can be requested by
    # anyone with a key, or an open page.
    _MailRule("payment.received", "topped_up", {"kind": BY_PAGE}, "topped_up:{payment_id}"),
    _MailRule("payment.received", "auto_top_up", {"kind": AUTOMATIC}, "auto_top_up:{payment_id}"),
    _MailRule(
        "payment.received",
        "card_charged",
        {"kind": BY_TAP},
        "card_charged:{payment_id}",
        link=Purpose.NOT_ME,
    ),
    _MailRule("payment.refunded", "refunded"),
    _MailRule("payment.refund_failed", "refund_failed"),
    _MailRule("payment.disputed", "disputed"),
    _MailRule("payment.dispute_won", "dispute_won"),
    _MailRule("call.cut_off", "out_of_credit", {"cause": "credit"}, "out_of_credit:{day}"),
    _MailRule("call.refunded", "call_refunded", once="call_refunded:{call_id}"),
)


def notice_of(name: str, data: Mapping[str, Any], at: datetime) -> Notice | None:
    """Return the mail about an event; None for events that are not mailed.

    Args:
        name: The event's name.
        data: Its fields; amounts are micros.
        at: Now: some mails contain it, some are sent once a UTC day.
    """
    for rule in _RULES:
        if rule.event == name and rule.condition.items() <= data.items():
            # Only what the text uses, because the row is kept for weeks.
            known = {"at": at.isoformat(), **data}
            kind = NOTICES[rule.notice]
            named = kind.values | (kind.may_have & known.keys())
            values = {key: str(known[key]) for key in sorted(named)}
            once = rule.once.format(**data, day=at.date())
            return Notice(rule.notice, values=values, link=rule.link, once=once)
    return None


class MailQueue:
    """Mails that one process has yet to queue."""

    def __init__(
        self,
        outbox: NoticeOutbox,
        addresses: HolderAddresses,
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
        """Queue a mail about an event soon, if account holders are mailed about it."""
        notice, account_id = notice_of(name, data, self._clock()), str(data["account_id"])
        if notice is None:
            return

        async def put() -> None:
            # A missing address is normal: account holders need not give one.
            if (await self._addresses.profile(account_id)).email:
                has_link = notice.link is not None
                queue = self._outbox.queue_to_holder if has_link else self._outbox.queue
                await queue(account_id, notice)

        def tell(error: Exception) -> None:
            log.warning(
                "mail not queued",
                about=notice.name,
                account=account_id,
                failure=type(error).__name__,
            )

        if not self._patience.begin(put, tell):
            log.warning("mail not queued, too many wait", about=name, account=account_id)
