"""Composes the daily audit of the book, which runs in the drainer's process."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Final

from billing.stores.audit import audit
from billing.stores.gate_audit import INCOMPARABLE, audit_gate
from gateway.charging.audited import Audited, by_rule
from gateway.charging.book_audit import LOOK_EVERY_S, BookAudit
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.stores.duties import SqlDuties
from gateway.stores.opened import Stores
from gateway.watching.audited_store import RedisAudited

_NAME_BYTES: Final = 8
_NO_FAULTS: Final = frozenset({INCOMPARABLE})
"""Findings which only say that a partition was too busy to be compared."""


async def findings_of(stores: Stores) -> list[str]:
    """Audit the book, and the spend gate with it. Raises StoreUnavailableError."""
    # The book first, because the gate is then compared with it.
    return [*await audit(stores.engine), *await audit_gate(stores.gate, stores.engine)]


def _faults(findings: Iterable[str]) -> dict[str, int]:
    return {rule: count for rule, count in by_rule(findings).items() if rule not in _NO_FAULTS}


async def note_repaired(stores: Stores, findings: Iterable[str]) -> None:
    """Clear the alarms for findings that a manual audit no longer has.

    New findings are left to the daily audit, which confirms them. Raises StoreUnavailableError.
    """
    results = RedisAudited(stores.redis)
    last = await results.read()
    if last is None:
        return
    left = {rule: n for rule, n in _faults(findings).items() if rule in last.findings}
    await results.write(Audited(at_s=time.time(), findings=left))


def audit_daily(stores: Stores) -> PeriodicTask:
    """Return the task, not started yet."""

    async def audit_once() -> Mapping[str, int]:
        return _faults(await findings_of(stores))

    duty = BookAudit(
        audit_once,
        RedisAudited(stores.redis),
        SqlDuties(stores.engine, secrets.token_hex(_NAME_BYTES)),
        time.time,
        asyncio.sleep,
    )
    return PeriodicTask("audit of the book", duty.round, LOOK_EVERY_S)
