"""Remembers the ends of this node's calls until they are booked, and resends those the gate lost.

The spend gate may lose an ended call before its outbox is drained: flushed, rolled back by a
failover, or its outbox cut. The node that closed the call knows its true seconds as long as it
lives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import structlog

from billing.ports import CdrStore, CloseResult, Closing, Opening, SpendGate

INTERVAL_S = 5.0
"""How soon a lost end is sent again: before this node's sweeper can take the call for lost."""
KEPT_MAX = 10_000
"""Closings kept, some two kilobytes each; more can wait only if nothing is booked for minutes."""
RESENT_PER_ROUND_MAX = 500
"""Closings looked up in one round; those that are not booked go to the end of the queue."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeptClosing:
    """The end of a call, and the request that would open it again."""

    opening: Opening
    closing: Closing


class Closings:
    """The endings of one node's calls that the book may lack."""

    def __init__(self, gate: SpendGate, records: CdrStore) -> None:
        self._gate = gate
        self._records = records
        self._kept: dict[str, KeptClosing] = {}
        """By call id, the oldest first."""
        self._is_full = False

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, opening: Opening, closing: Closing) -> None:
        """Keep a call's end until it is booked; if there are too many, drop the oldest."""
        self._kept[closing.call_id] = KeptClosing(opening, closing)
        if len(self._kept) > KEPT_MAX:
            # The gate's own memory, which lasts a day, still has that one.
            self._kept.pop(next(iter(self._kept)))
            if not self._is_full:
                log.error("too many endings not booked", count=KEPT_MAX, hint="Is SQL away?")
            self._is_full = True

    def find(self, call_id: str) -> Closing | None:
        """Return the end of a call that may not be booked yet; None if it is not kept."""
        kept = self._kept.get(call_id)
        return None if kept is None else kept.closing

    async def round(self) -> int:
        """Forget what is booked, and resend the rest; return how many ends were lost.

        Raises StoreUnavailableError; the next round continues where this one stopped.
        """
        call_ids = list(islice(self._kept, RESENT_PER_ROUND_MAX))
        booked = await self._records.booked(call_ids) if call_ids else frozenset()
        for call_id in booked:
            self._kept.pop(call_id, None)
        # An outage is over once everything is booked: until then it has been logged.
        self._is_full = self._is_full and bool(self._kept)
        lost_count = 0
        for call_id in call_ids:
            kept = self._kept.pop(call_id, None)
            if kept is not None:
                # To the end of the queue before the request: one whose requests keep failing must
                # not block the others.
                self._kept[call_id] = kept
                lost_count += await self._resend(kept)
        return lost_count

    async def _resend(self, kept: KeptClosing) -> bool:
        """Make sure that the gate has the end and its outbox reports it; return if it was lost.

        If the gate has another end of the call, that one is right: it was settled before.
        """
        closing = kept.closing
        opening = kept.opening
        # Harmless if the gate knows the end: its tombstone answers.
        result = (await self._gate.close(closing)).result
        if result is CloseResult.UNKNOWN:
            await self._gate.open(opening)
            result = (await self._gate.close(closing)).result
        # If it is closed only now, the gate had lost the call. If it was closed before, the outbox
        # entry may still be lost: the gate writes another one unless the first is waiting there.
        is_lost = result is CloseResult.CLOSED or await self._gate.resend_ending(
            closing.call_id, closing.account_id, opening.detail
        )
        if is_lost:
            log.warning("end of call lost by the spend gate", call_id=closing.call_id)
        return is_lost


def reopening(opening: Opening, want_micros: int) -> Opening:
    """Return the request that reopens a lost call, which has used `want_micros`.

    It succeeds however little can be held.
    """
    return replace(opening, first_micros=0, want_micros=want_micros, sharers=0, is_running=True)


def keep_nothing(_opening: Opening, _closing: Closing) -> None:
    """Do nothing: closings are not kept."""
