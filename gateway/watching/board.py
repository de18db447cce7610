"""Holds one process's view of all calls: what nodes last reported. Pure: time is an argument.

It takes two clocks: a monotonic one for what is late, and wall-clock time for what is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from gateway.fleet.roster import NodeFacts
from gateway.nanoseconds import SECOND_NS
from gateway.watching.alarm_view import AlarmView
from gateway.watching.rows import TALKING, Batch, CallRow, NodeRow, Sound, Warned
from gateway.watching.samples import Sample, Samples
from gateway.watching.totals import LastMinute, LiveSums, Totals, Window

CALLS_MAX: Final = 20_000
"""Rows of one process; calls beyond them are not shown."""
LOST_NS: Final = 5 * SECOND_NS
"""Silence after which a call is lost; each call is reported once a second."""
ENDED_SHOWN_NS: Final = 60 * SECOND_NS
COST_SHOWN_NS: Final = 30 * SECOND_NS
"""How old the shown price of a call may be if nothing else about the call changes."""
NODE_KEPT_NS: Final = 600 * SECOND_NS
NODES_MAX: Final = 200
WARNINGS_MAX: Final = 256
ERRORS_NS: Final = 300 * SECOND_NS
"""How long an error in the log counts."""
SUMMED_AT_ONCE: Final = 200
"""Rows summed up at a time: some 0.3 ms."""


class _Held:
    """A call on the board."""

    __slots__ = ("gone_ns", "row", "samples", "seen_ns", "told_ns")

    def __init__(self, row: CallRow, now_ns: int) -> None:
        self.row = row
        self.seen_ns = self.told_ns = now_ns
        self.gone_ns: int | None = None
        """When it is no longer shown; None while it is live."""
        self.samples = Samples(row.created_at)


class News:
    """What has changed since it was last taken."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRow] = {}
        """New rows and changed ones."""
        self.gone: dict[str, str] = {}
        """Calls that are no longer shown -> their accounts."""
        self.nodes: Sequence[NodeRow] | None = None
        """All nodes, if anything about them has changed."""
        self.alarms: Sequence[AlarmView] | None = None
        """All alarms, if anything about them has changed."""
        self.warnings: list[Warned] = []

    def __bool__(self) -> bool:
        has_list = self.nodes is not None or self.alarms is not None
        return bool(self.calls or self.gone or self.warnings or has_list)


class Board:
    """All known calls, nodes and warnings."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._of_account: dict[str, dict[str, None]] = {}
        self._nodes: dict[str, tuple[NodeRow, int]] = {}
        """By name: the last report of each, and when it came."""
        self.warnings: deque[Warned] = deque(maxlen=WARNINGS_MAX)
        self.alarms: Sequence[AlarmView] = ()
        self._errors: dict[str, tuple[int, int]] = {}
        """By line: when an error was last logged, and how often since its last longer pause. One
        that is logged all the time pushes no other out."""
        self._heard_ns: int | None = None
        self._news = News()
        self._window = Window()
        self._windows: dict[str, Window] = {}
        """Of accounts that somebody watches."""
        self._summing: Iterator[LiveSums | None] | None = None
        self._sums = LiveSums()

    def __len__(self) -> int:
        return len(self._held)

    # Reports from nodes.

    def apply(self, batch: Batch, now_ns: int, at: datetime) -> None:
        """Take a process's report."""
        self._heard_ns = now_ns
        for row in batch.calls:
            # Anyone who may write to the store may write anything.
            if row.node == batch.node:
                self._take(row, batch.sounds.get(row.id), now_ns, at)
        self.warnings.extend(batch.warnings)
        for each in batch.warnings:
            if each.level == "error":
                self._count_error(each.event, now_ns)
        # Bounded like the ring: a new viewer gets that.
        self._news.warnings = [*self._news.warnings, *batch.warnings][-WARNINGS_MAX:]

    def _count_error(self, event: str, now_ns: int) -> None:
        last_ns, count = self._errors.pop(event, (now_ns, 0))
        count = count if now_ns - last_ns < ERRORS_NS else 0
        # Moved to the end, so that the first is the one logged longest ago.
        self._errors[event] = now_ns, count + 1
        if len(self._errors) > WARNINGS_MAX:
            del self._errors[next(iter(self._errors))]

    def _take(self, row: CallRow, sound: Sound | None, now_ns: int, at: datetime) -> None:
        held = self._held.get(row.id)
        if held is None:
            if len(self._held) >= CALLS_MAX:
                return
            held = self._held[row.id] = _Held(row, now_ns)
            self._of_account.setdefault(row.account_id, {})[row.id] = None
            # An older one was begun before this process started to listen.
            if (at - row.created_at).total_seconds() < LOST_NS / SECOND_NS:
                for window in self._windows_of(row):
                    window.begun(now_ns)
            self._tell(held, now_ns)
        elif held.row.state == "ended" or held.row.account_id != row.account_id:
            # It came out of order, or from nowhere.
            return
        before, held.row, held.seen_ns = held.row, row, now_ns
        if row.state == "ended":
            held.gone_ns = now_ns + ENDED_SHOWN_NS
            for window in self._windows_of(row):
                window.ended(row, now_ns)
        else:
            held.gone_ns = None
        if _shown(before) != _shown(row) or now_ns - held.told_ns >= COST_SHOWN_NS:
            self._tell(held, now_ns)
        if sound is not None:
            held.samples.add(at, row, sound)
            for window in self._windows_of(row):
                window.heard(sound, now_ns)

    def _windows_of(self, row: CallRow) -> Iterator[Window]:
        yield self._window
        if (own := self._windows.get(row.account_id)) is not None:
            yield own

    def _tell(self, held: _Held, now_ns: int) -> None:
        held.told_ns = now_ns
        self._news.calls[held.row.id] = held.row
        # Back before anyone was told that it is gone.
        if self._news.gone.get(held.row.id) == held.row.account_id:
            del self._news.gone[held.row.id]

    def see_nodes(self, found: Collection[NodeFacts], now_ns: int) -> None:
        """Take the current nodes; one that is gone stays for a while, as lost."""
        before = [row for row, _ in self._nodes.values()]
        for facts in found:
            if facts.node in self._nodes or len(self._nodes) < NODES_MAX:
                self._nodes[facts.node] = _node_row(facts), now_ns
        for name, (row, seen_ns) in tuple(self._nodes.items()):
            if now_ns - seen_ns >= NODE_KEPT_NS:
                del self._nodes[name]
            elif now_ns > seen_ns:
                self._nodes[name] = msgspec.structs.replace(row, is_lost=True), seen_ns
        if before != [row for row, _ in self._nodes.values()]:
            self._news.nodes = self.nodes()

    def see_alarms(self, alarms: Sequence[AlarmView]) -> None:
        """Take the active alarms."""
        if list(alarms) != list(self.alarms):
            self.alarms = self._news.alarms = alarms

    def sweep(self, now_ns: int) -> None:
        """Drop calls that ended, and mark those that no node reports any more; once a second."""
        for call_id, held in tuple(self._held.items()):
            if held.gone_ns is None:
                if now_ns - held.seen_ns >= LOST_NS:
                    held.row = msgspec.structs.replace(held.row, state="lost")
                    held.gone_ns = now_ns + ENDED_SHOWN_NS
                    self._tell(held, now_ns)
            elif now_ns >= held.gone_ns:
                self._forget(call_id, held)

    def _forget(self, call_id: str, held: _Held) -> None:
        del self._held[call_id]
        own = self._of_account[held.row.account_id]
        del own[call_id]
        if not own:
            del self._of_account[held.row.account_id]
        self._news.calls.pop(call_id, None)
        self._news.gone[call_id] = held.row.account_id

    # Output to viewers.

    def take_news(self) -> News:
        """Return what is new, once."""
        news, self._news = self._news, News()
        return news

    def told_warnings(self) -> list[Warned]:
        """Return the warnings already taken as news: new ones follow them."""
        return list(self.warnings)[: len(self.warnings) - len(self._news.warnings)]

    def rows(self, account_id: str | None) -> list[CallRow]:
        """Return the calls of an account; None: of all."""
        if account_id is None:
            return [held.row for held in self._held.values()]
        return [self._held[each].row for each in self._of_account.get(account_id, ())]

    def row(self, call_id: str) -> CallRow | None:
        """Return one call."""
        held = self._held.get(call_id)
        return None if held is None else held.row

    def samples(self, call_id: str, count: int) -> tuple[list[Sample], int]:
        """Return a call's samples after the first `count`, and how many there have been."""
        held = self._held.get(call_id)
        return ([], count) if held is None else (held.samples.after(count), held.samples.count)

    def nodes(self) -> list[NodeRow]:
        """Return the nodes, by name."""
        return sorted((row for row, _ in self._nodes.values()), key=lambda row: row.node)

    # Input to alarms.

    @property
    def silent_calls(self) -> int:
        """Number of calls in which one side should be heard and is not."""
        return self._sums.silent

    def errors(self, now_ns: int) -> dict[str, int]:
        """Return recently logged errors -> their number."""
        return {
            event: count
            for event, (last_ns, count) in self._errors.items()
            if now_ns - last_ns < ERRORS_NS
        }

    def silence_s(self, now_ns: int) -> float:
        """Return for how long no process has reported; each does so every second."""
        if self._heard_ns is None:
            self._heard_ns = now_ns
        return (now_ns - self._heard_ns) / SECOND_NS

    # Totals.

    def watch(self, account_id: str) -> None:
        """Begin to count the calls of an account."""
        self._windows[account_id] = Window()

    def unwatch(self, account_id: str) -> None:
        """Stop counting them."""
        self._windows.pop(account_id, None)

    def sum_up_some(self, at: datetime) -> bool:
        """Add some calls to the sums of all; return whether those were the last."""
        if self._summing is None:
            self._summing = _summing([held.row for held in self._held.values()], at)
        sums = next(self._summing, None)
        if sums is not None:
            self._sums, self._summing = sums, None
        return self._summing is None

    def last_minute(self, now_ns: int) -> LastMinute:
        """Return how calls have ended within the last minute."""
        return self._window.last_minute(now_ns)

    def totals(self, account_id: str | None, now_ns: int, at: datetime) -> Totals:
        """Return the totals of a watched account, or of all as last summed up."""
        if account_id is None:
            return self._window.sum_up(self._sums, now_ns)
        sums = LiveSums()
        sums.add(self.rows(account_id), at)
        return self._windows.get(account_id, Window()).sum_up(sums, now_ns)


def _summing(rows: list[CallRow], at: datetime) -> Iterator[LiveSums | None]:
    sums = LiveSums()
    for begin in range(0, len(rows), SUMMED_AT_ONCE):
        sums.add(rows[begin : begin + SUMMED_AT_ONCE], at)
        yield None
    yield sums


def _shown(row: CallRow) -> tuple[object, ...]:
    """Return what must be reported at once when it changes in a row.

    Figures are rounded: an invisible change is no news. The cost of a running call follows from the
    clock.
    """
    charged = () if row.state in TALKING else (row.seconds, row.cost_micros)
    return (
        row.state,
        row.ringing_at,
        row.answered_at,
        row.ended_at,
        row.cause,
        row.path,
        row.tags,
        row.pdd_ms,
        _rounded(row.mos, 0.2),
        _rounded(row.rtt_ms, 20),
        _rounded(row.jitter_ms, 10),
        _rounded(row.loss_percent, 1),
        *charged,
    )


def _rounded(value: float | None, step: float) -> int | None:
    return None if value is None else round(value / step)


def _node_row(facts: NodeFacts) -> NodeRow:
    return NodeRow(
        node=facts.node,
        calls=facts.calls,
        calls_max=facts.calls_max,
        is_draining=facts.is_draining,
        lag_ms=facts.lag_ms,
        release=facts.release,
        started_at=facts.started_at,
        log_level=facts.log_level,
        log_level_until=facts.log_level_until,
    )
