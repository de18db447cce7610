"""Finds an account's calls wherever they are: live on any node, or in the records.

Live calls are behind a port, so that the same index serves processes with and without calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.cdr import ANY_CALL, CallFilter, CallRecord
from billing.outbox import ended_in
from billing.ports import CdrStore, SpendGate
from gateway.errors import RequestRefusedError
from gateway.ports import LiveCall, LiveCalls

_ENTRIES_MAX = 1_000
"""Outbox entries searched for a call: it holds about a second's worth, unless the book is away."""


@dataclass(frozen=True, slots=True)
class CallIndex:
    """An account's calls. Every method raises StoreUnavailableError."""

    node: str
    """This process's own node, whose calls are in its memory."""
    live: LiveCalls
    records: CdrStore
    gate: SpendGate

    async def live_calls(
        self, account_id: str, since: datetime | None = None
    ) -> Sequence[LiveCall]:
        """Return the calls live on any node, or only those since a time, newest first."""
        found = await self.live.of_account(account_id, since)
        return sorted(found, key=_created_at, reverse=True)

    async def page(
        self, account_id: str, *, limit: int, before: str | None, only: CallFilter = ANY_CALL
    ) -> tuple[Sequence[LiveCall | CallRecord], str | None]:
        """Return a page of calls, newest first, and the call that the next page comes before.

        The first page begins with calls whose record is not written yet, unless `only` some calls
        are asked for.
        """
        is_first = before is None and only == ANY_CALL
        # Before the records: a call is booked before it leaves the outbox.
        ended = await self._unbooked(account_id) if is_first else {}
        # One more than is shown, to see whether another page follows.
        records = await self.records.page(account_id, limit=limit + 1, before=before, only=only)
        shown = records[:limit]
        following = shown[-1].opened.call_id if len(records) > limit else None
        # A live call older than this page has its record, and is listed where the record is.
        oldest = shown[-1].opened.created_at if following else None
        found = await self.live_calls(account_id, oldest)
        live = {call.opened.call_id: call for call in found}
        # The live view replaces the record, which has no price until the call is booked.
        calls = [live.pop(record.opened.call_id, record) for record in shown]
        if not is_first:
            return calls, following
        written = {record.opened.call_id for record in shown}
        unwritten = {call_id: call for call_id, call in ended.items() if call_id not in written}
        newest = sorted((unwritten | live).values(), key=_created_at, reverse=True)
        unshown = [call for call in newest if oldest is None or _created_at(call) > oldest]
        return [*unshown, *calls], following

    async def credit(self, account_id: str) -> int:
        """Return the micros that an account has left: held credit is spent only once it is used."""
        balance = await self.gate.balance(account_id)
        return balance + sum(call.unused_micros for call in await self.live_calls(account_id))

    async def show(self, account_id: str, call_id: str) -> LiveCall | CallRecord:
        """Return one call. Raises RequestRefusedError if there is none."""
        live = await self.live.show(account_id, call_id)
        found = live or await self._recorded(account_id, call_id)
        if found is None:
            raise RequestRefusedError("call_not_found")
        return found

    async def end(self, account_id: str, call_id: str) -> LiveCall:
        """End a call and return its state; the carrier has yet to confirm its end.

        Raises RequestRefusedError with the reason why it cannot be ended: there is none, it has
        ended, or its node does not answer.
        """
        ended = await self.live.end(account_id, call_id)
        if ended is not None:
            return ended
        record = await self._recorded(account_id, call_id)
        # The records lag behind the spend gate at both ends: a call of another node is in the gate
        # before its record is opened, and has left the gate before its record is closed.
        if record is None or record.closed is None:
            node = (await self.gate.nodes_of(account_id)).get(call_id)
            if node is not None and node != self.node:
                raise RequestRefusedError("node_silent")
            if record is None and node is None:
                raise RequestRefusedError("call_not_found")
        raise RequestRefusedError("call_ended")

    async def _recorded(self, account_id: str, call_id: str) -> CallRecord | None:
        """Return the record of a call, or what it will be once booked."""
        record = await self.records.get(account_id, call_id)
        if record is None:
            record = (await self._unbooked(account_id)).get(call_id)
        # It may have been booked just before we looked.
        return record or await self.records.get(account_id, call_id)

    async def _unbooked(self, account_id: str) -> Mapping[str, CallRecord]:
        """Return the ended calls that are not booked yet, by id.

        A call that ends within its first second is over before its opening is booked.
        """
        entries = await self.gate.read_outbox(self.gate.partition(account_id), _ENTRIES_MAX)
        return ended_in(entries, account_id)


def _created_at(call: LiveCall | CallRecord) -> datetime:
    return call.opened.created_at
