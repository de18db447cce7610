"""Logs callbacks and handshakes with refused signatures, by source and at a bounded rate.

Nothing else reveals a rotated token or a wrong public origin. Anyone can send such requests, so
each source gets one line a minute with a count, and sources beyond `SOURCES_MAX` share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from gateway.heartbeat.ticker import Ticker
from gateway.limits.source import subject_of

PERIOD_NS: Final = 60_000_000_000
SOURCES_MAX: Final = 100
"""Sources counted one by one; a source is dropped after a quiet period."""
OTHERS: Final = "others"
"""The name under which further sources are logged."""

PAYMENTS_HINT: Final = "Check CALLER_STRIPE_WEBHOOK_SECRETS."

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Source:
    logged_ns: int
    what: str = ""
    hint: str = ""
    unlogged: int = 0


class RefusedSignatures:
    """Counts refused signatures by source, and logs the counts."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._sources: dict[str, _Source] = {}

    def note(self, address: str, what: str, hint: str) -> None:
        """Count one; the first of a source in a minute is logged at once.

        Args:
            address: The sender; an IPv6 /64 is one source.
            what: What was signed, such as "callback".
            hint: What the operator should check.

        """
        now_ns = self._ticker.clock_ns()
        name = subject_of(address)
        # An attacker can use any number of addresses; neither memory nor the log may grow with
        # them.
        if name not in self._sources and len(self._sources) >= SOURCES_MAX:
            name = OTHERS
        source = self._sources.get(name)
        if source is None:
            # One timer while anything is counted, and none if nothing ever comes.
            if not self._sources:
                self._ticker.at(now_ns + PERIOD_NS, self._look)
            # As if last logged one period ago, so that its first one is logged at once.
            source = self._sources[name] = _Source(now_ns - PERIOD_NS)
        source.what = what
        source.hint = hint
        source.unlogged += 1
        if now_ns - source.logged_ns >= PERIOD_NS:
            self._log_count(name, source, now_ns)

    def _look(self) -> None:
        """Log what was counted since the last time, and forget quiet sources."""
        now_ns = self._ticker.clock_ns()
        for name, source in list(self._sources.items()):
            if now_ns - source.logged_ns < PERIOD_NS:
                continue
            if source.unlogged:
                self._log_count(name, source, now_ns)
            else:
                del self._sources[name]
        if self._sources:
            first_ns = min(source.logged_ns for source in self._sources.values())
            self._ticker.at(first_ns + PERIOD_NS, self._look)

    @staticmethod
    def _log_count(name: str, source: _Source, now_ns: int) -> None:
        _log.warning(
            "signature refused",
            source=name,
            what=source.what,
            count=source.unlogged,
            hint=source.hint,
        )
        source.logged_ns = now_ns
        source.unlogged = 0
