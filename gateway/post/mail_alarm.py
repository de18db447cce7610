"""Raises an alarm while mails to people are not being sent."""

from __future__ import annotations

from typing import Final, Protocol

import structlog

from accounts.notice import MailCounts, MailState
from billing.clock import Clock, utc_now
from gateway.post.outbox_rules import LATE

INTERVAL_S: Final = 30.0

_HINT: Final = "Does the mail server of CALLER_SMTP_URL take mails, and does the drainer run?"

log = structlog.get_logger(__name__)


class MailCounter(Protocol):
    """Where mails wait. Raises StoreUnavailableError."""

    async def counts(self) -> MailCounts:
        """Return the counts of mails."""


class MailAlarm:
    """Watches how long mails wait, and whether some were abandoned."""

    def __init__(self, outbox: MailCounter, clock: Clock = utc_now) -> None:
        self._outbox = outbox
        self._clock = clock
        self.is_raised = False
        """Whether, at the last look, a mail had waited for longer than `LATE`, or some had been
        abandoned within a day because no server accepted them."""
        self.waiting = 0
        """Mails that were waiting at the last look."""

    async def look(self) -> None:
        """Count the mails; log when the alarm begins and when it ends.

        Raises StoreUnavailableError.
        """
        counts = await self._outbox.counts()
        oldest, now = counts.oldest_waiting_at, self._clock()
        self.waiting = counts.by_state[MailState.QUEUED] + counts.by_state[MailState.SENDING]
        was_raised = self.is_raised
        self.is_raised = (oldest is not None and now - oldest > LATE) or counts.untaken > 0
        if self.is_raised and not was_raised:
            log.error("mails not sent", waiting=self.waiting, abandoned=counts.untaken, hint=_HINT)
        elif was_raised and not self.is_raised:
            log.info("mails sent again")
