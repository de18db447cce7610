"""Audits the book and the spend gate once a day, in whichever process comes first.

Findings of a first audit are checked again a moment later, because nodes repair most of what an
outage leaves behind within a minute. Reports and never repairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

import structlog

from gateway.charging.audited import AUDIT_LINE, Audited
from gateway.heartbeat.periodic_task import cancelled
from gateway.ports import Duties

DUTY: Final = "audit of the book"
EVERY: Final = timedelta(days=1)
AGAIN: Final = timedelta(hours=1)
"""How soon the next audit follows one with findings, so that its alarm ends."""
LOOK_EVERY_S: Final = 600.0
"""How often a process looks whether the duty is due."""
CONFIRMED_AFTER_S: Final = 90.0
"""More than a cycle of `charging.reconcile`, in which nodes compare every partition."""
RENEWED_EVERY_S: Final = 30.0

log = structlog.get_logger(__name__)


class Results(Protocol):
    """The result of the last audit. Every method raises StoreUnavailableError."""

    async def read(self) -> Audited | None:
        """Return it; None if unknown."""

    async def write(self, audited: Audited) -> None:
        """Replace it."""


@dataclass(frozen=True, slots=True)
class BookAudit:
    """The audit as a duty of one process."""

    audit: Callable[[], Awaitable[Mapping[str, int]]]
    """Audits everything once; returns the number of findings per rule."""
    results: Results
    duties: Duties
    clock_s: Callable[[], float]
    """Seconds since the epoch."""
    sleep: Callable[[float], Awaitable[None]]

    async def round(self) -> None:
        """Audit if it is due and no other process does. Raises StoreUnavailableError."""
        last = await self.results.read()
        every = AGAIN if last is not None and last.findings else EVERY
        # If the result is lost, so is its alarm.
        if last is not None and not await self.duties.is_due(DUTY, every):
            return
        if not await self.duties.take(DUTY):
            return
        auditing = asyncio.ensure_future(self._confirmed())
        try:
            while not (await asyncio.wait({auditing}, timeout=RENEWED_EVERY_S))[0]:
                if not await self.duties.take(DUTY):
                    return
            findings = auditing.result()
        finally:
            await cancelled(auditing)
        await self.results.write(Audited(at_s=self.clock_s(), findings=findings))
        await self.duties.done(DUTY)
        if findings:
            log.error(AUDIT_LINE, found=sum(findings.values()), hint="Run `caller ledger audit`.")
        else:
            log.info("ledger audited")

    async def _confirmed(self) -> dict[str, int]:
        """Return what two audits in a row have found; the counts are those of the second."""
        first = await self.audit()
        if not first:
            return {}
        await self.sleep(CONFIRMED_AFTER_S)
        return {rule: count for rule, count in (await self.audit()).items() if rule in first}
