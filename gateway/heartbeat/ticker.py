"""The 20 ms clock of a process: calls everything that is due. Frames are forwarded on arrival.

Deadlines are absolute, so that a late beat never delays the next one. Each beat serves the tones
that are playing, the deadlines that have passed and one fiftieth of the once-a-second duties. Those
run a few at a time, and between them the loop reads what has arrived, so that no frame waits for
all of them. Twice a beat the ticker polls everything that waits for audio that may never come, and
in between only those whose deadlines come before the next poll.

A process that was suspended, stopped or starved wakes to overdue timers and full sockets. Judging a
peer by the clock at that moment would end calls that are alive, so silence is judged up to the time
until which all that has arrived has been read (`Backlog`).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from media.clock import Waiter

STANDSTILL_NS: Final = 500_000_000
"""Gap between two looks, of which there are fifty a second, from which the process counts as having
been suspended. A shorter pause leaves only what is read within a few passes of the loop."""
READING_NS: Final = 5_000_000_000
"""How long reading what has waited may take: connections still to be accepted and to shake hands,
seconds of audio of a thousand calls, a peer whose TCP probes a full window ever more rarely, two of
a browser's checks (each 2.5 s) if the kernel has dropped datagrams."""


class Backlog:
    """What one process has yet to read."""

    def __init__(self, now_ns: int) -> None:
        self._looked_ns = now_ns
        self._read_ns = now_ns
        """Until when all has been read, while the backlog is being read."""
        self._reading_until_ns = now_ns

    def read_until(self, now_ns: int) -> int:
        """Return until when all has been read; to be called many times a second.

        That is now or, for a while after a standstill, the beginning of the standstill.
        """
        if now_ns - self._looked_ns > STANDSTILL_NS:
            # What arrived before the last look had been read by then; anything later may still
            # wait. A further standstill, before all is read, counts from its own beginning.
            self._read_ns = self._looked_ns
            self._reading_until_ns = now_ns + READING_NS
        self._looked_ns = now_ns
        return self._read_ns if now_ns < self._reading_until_ns else now_ns


class RecentPeak:
    """The highest value noted within the last one to two windows, for any number of readers.

    Reading changes nothing, so readers hide nothing from one another: one that reads once a
    window misses no peak.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._window = 0
        """Number of the current window."""
        self._peak = self._previous_peak = 0

    def note(self, value: int, now_ns: int) -> None:
        """Record a value; it must not be negative."""
        self._turn(now_ns)
        self._peak = max(self._peak, value)

    def read(self, now_ns: int) -> int:
        """Return the peak of the current window and the one before it; 0 if nothing was noted."""
        self._turn(now_ns)
        return max(self._peak, self._previous_peak)

    def _turn(self, now_ns: int) -> None:
        window = now_ns // self._window_ns
        if window != self._window:
            self._previous_peak = self._peak if window == self._window + 1 else 0
            self._peak = 0
            self._window = window


log = structlog.get_logger(__name__)

BEAT_NS = 20_000_000
BEATS_PER_SECOND = 50
POLL_NS = 10_000_000
"""How often all waiters are polled."""
URGENT_NS = 2_500_000
"""How often the waiters are polled whose deadlines come before the next poll of all."""
REREAD_NS = 100_000_000
"""How often the backlog is checked after the process stood still, until all has been read."""
LAG_WINDOW_NS = 60_000_000_000
"""A monitor that looks at least this often misses no delay of a beat."""
DUTY_PARTS = 8
"""Passes of the loop over which the duties of a beat are spread."""
_CATCH_UP_BEATS_MAX = 10
"""Beats made up for after a stall of the loop: 200 ms of tone; the rest is skipped."""


class Player(Protocol):
    """Sends one frame of a tone per beat."""

    def play(self) -> None:
        """Send the next 20 ms."""


class Polled(Protocol):
    """Acts when a deadline has passed."""

    def poll(self, now_ns: int, /) -> object:
        """Do what is due."""


class Deadline:
    """A scheduled call of a function, which can be cancelled."""

    __slots__ = ("action", "until_ns")

    def __init__(self, action: Callable[[], None], until_ns: int = 0) -> None:
        self.action: Callable[[], None] | None = action
        self.until_ns = until_ns
        """Everything that arrived until then is read before it is called."""

    def cancel(self) -> None:
        """Never call it."""
        # It stays in the heap until it is due: removing it would mean searching for it.
        self.action = None


class Ticker:
    """The ticker of one event loop."""

    def __init__(self, clock_ns: Callable[[], int], read: Callable[[], None] | None = None) -> None:
        """Create a ticker that does not run yet.

        Args:
            clock_ns: Monotonic.
            read: Reads media that has arrived and that the loop does not read by itself.

        """
        self.clock_ns = clock_ns
        self._read = read
        self._backlog = Backlog(clock_ns())
        self._lag_ns = RecentPeak(LAG_WINDOW_NS)
        self._players: set[Player] = set()
        self._waiters: dict[Waiter, Polled] = {}
        self._urgent: dict[Waiter, Polled] = {}
        """The waiters whose deadlines come before all are polled next."""
        self._deadlines: list[tuple[int, int, Deadline]] = []
        # Breaks ties: deadlines of one time are called in the order in which they were set.
        self._order = itertools.count()
        self._duties: list[set[Callable[[int], None]]] = [set() for _ in range(BEATS_PER_SECOND)]
        self._owed: list[tuple[set[Callable[[int], None]], Callable[[int], None]]] = []
        """Duties of this beat still to be called, the next one last, each with its slot."""
        self._part = 0
        """How many of them are called at a time."""
        self._beat = 0
        self._due_ns = self._poll_ns = self._urgent_ns = self._armed_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat on the running loop."""
        # Renewed: the time since the constructor is not a standstill.
        self._backlog = Backlog(self.clock_ns())
        self._due_ns = self.clock_ns() + BEAT_NS
        self._poll_ns = self._urgent_ns = self._due_ns - POLL_NS
        self._arm()

    def stop(self) -> None:
        """Stop."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._owed.clear()

    def lag_ns_max(self) -> int:
        """Return the longest delay of a beat in the last one to two minutes."""
        return self._lag_ns.read(self.clock_ns())

    @property
    def read_ns(self) -> int:
        """Until when all that arrived has been read; a peer's silence is judged up to there."""
        return self._backlog.read_until(self.clock_ns())

    def at(self, due_ns: int, action: Callable[[], None]) -> Deadline:
        """Call `action` at the first beat at or after `due_ns`."""
        return self._set(due_ns, Deadline(action))

    def when_read(self, due_ns: int, action: Callable[[], None]) -> Deadline:
        """Call `action` at the first beat at which all that arrived until `due_ns` has been read.

        For ending a peer that has not sent something in time.
        """
        return self._set(due_ns, Deadline(action, due_ns))

    def _set(self, due_ns: int, deadline: Deadline) -> Deadline:
        heapq.heappush(self._deadlines, (due_ns, next(self._order), deadline))
        return deadline

    def add_player(self, player: Player) -> None:
        """Play a tone until it is removed."""
        self._players.add(player)

    def remove_player(self, player: Player) -> None:
        """Stop a tone; one that is not playing is ignored."""
        self._players.discard(player)

    def add_waiter(self, waiter: Waiter, polled: Polled) -> None:
        """Poll `polled` within a tick of the waiter after each of its deadlines.

        A deadline is noticed when all are polled: a tick shorter than POLL_NS is kept only if the
        deadline was set at least POLL_NS ahead.
        """
        is_first = not self._waiters
        self._waiters[waiter] = polled
        if is_first and self._handle is not None:
            # There were no waiters until now: the series continues from here.
            self._poll_ns = self._urgent_ns = _next_ns(self._poll_ns, POLL_NS, self.clock_ns())
            self._handle.cancel()
            self._arm()

    def remove_waiter(self, waiter: Waiter) -> None:
        """Stop polling; an unknown waiter is ignored."""
        self._waiters.pop(waiter, None)
        self._urgent.pop(waiter, None)

    def add_duty(self, slot: int, duty: Callable[[int], None]) -> None:
        """Call `duty(now_ns)` once a second, at the slot-th beat of the second."""
        self._duties[slot % BEATS_PER_SECOND].add(duty)

    def remove_duty(self, slot: int, duty: Callable[[int], None]) -> None:
        """Stop calling it."""
        self._duties[slot % BEATS_PER_SECOND].discard(duty)

    def _arm(self) -> None:
        # One timer for beats and polls alike: what is due together wakes the loop once.
        loop = asyncio.get_running_loop()
        self._armed_ns = self._due_ns
        if self._waiters:
            self._armed_ns = min(self._due_ns, self._poll_ns, self._urgent_ns)
        delay_s = max(0, self._armed_ns - self.clock_ns()) / 1e9
        self._handle = loop.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        # A loop's timers may be coarse, and fire slightly early.
        now_ns = max(self.clock_ns(), self._armed_ns)
        if self._waiters:
            self._poll_soon(now_ns)
        if now_ns >= self._due_ns:
            self._catch_up(now_ns)
        self._arm()

    def _poll_soon(self, now_ns: int) -> None:
        loop = asyncio.get_running_loop()
        # Two passes of the loop first: they read the frames that have arrived, which then need
        # not be concealed.
        is_for_all = now_ns >= self._poll_ns
        loop.call_soon(loop.call_soon, self._poll_after_reading, is_for_all)
        self._poll_ns = _next_ns(self._poll_ns, POLL_NS, now_ns)
        # While nothing is urgent its series falls on that of all, and causes no extra wake-up.
        self._urgent_ns = self._poll_ns
        if self._urgent:
            self._urgent_ns = _next_ns(self._urgent_ns - POLL_NS, URGENT_NS, now_ns)

    def _poll_after_reading(self, is_for_all: bool) -> None:
        # Stopped since this was scheduled.
        if self._handle is None:
            return
        # Paced sockets are not read by the loop: a frame that lies there is not late.
        if self._read is not None:
            self._read()
        if is_for_all:
            self.poll(self.clock_ns())
            if self._urgent and self._urgent_ns == self._poll_ns:  # the first of them
                self._urgent_ns = _next_ns(self._poll_ns - POLL_NS, URGENT_NS, self.clock_ns())
                self._handle.cancel()
                self._arm()
        else:
            _ask(self._urgent, self.clock_ns(), self._waiters)

    def _catch_up(self, now_ns: int) -> None:
        self._lag_ns.note(now_ns - self._due_ns, now_ns)
        missed = max(0, now_ns - self._due_ns) // BEAT_NS
        if missed > _CATCH_UP_BEATS_MAX:
            self._due_ns += (missed - _CATCH_UP_BEATS_MAX) * BEAT_NS
        # If the last beat still owes duties, a pass that goes on with them is scheduled already.
        is_under_way = bool(self._owed)
        while self._due_ns <= now_ns:
            # All that is owed first: what comes once a second must not be skipped by a stall.
            self._serve(now_ns, len(self._owed))
            self._begin_beat(now_ns)
            self._due_ns += BEAT_NS
        # Without calls no frame waits for them, and each pass of the loop costs.
        self._part = -(-len(self._owed) // DUTY_PARTS) if self._waiters else len(self._owed)
        if not is_under_way:
            self._serve_part()

    def _serve_part(self) -> None:
        self._serve(self.clock_ns(), self._part)
        if self._owed:
            asyncio.get_running_loop().call_soon(self._serve_part)

    def poll(self, now_ns: int) -> None:
        """Poll the waiters whose deadlines have passed; note which come before the next poll."""
        waiters = self._waiters
        next_ns = now_ns + POLL_NS
        # Of hundreds few are near: a frame that comes in time moves its stream's deadline on.
        near = {w: waiters[w] for w in waiters if w.deadline_ns < next_ns}
        _ask(near, now_ns, waiters)
        self._urgent = {
            w: polled
            for w, polled in near.items()
            if w.tick_ns < POLL_NS and w.deadline_ns < next_ns and w in waiters
        }

    def beat(self, now_ns: int) -> None:
        """Serve what is due at one beat."""
        self._begin_beat(now_ns)
        self._serve(now_ns, len(self._owed))

    def _begin_beat(self, now_ns: int) -> None:
        """Serve what cannot wait; its duties are owed from now on."""
        # Looked at in every beat, whether anyone asks or not: the gap between two looks is what
        # shows a standstill.
        self._backlog.read_until(now_ns)
        # A copy: a player that has played its last frame removes itself.
        for player in tuple(self._players):
            _guarded(player.play)
        due: list[Deadline] = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            due.append(heapq.heappop(self._deadlines)[2])
        # Collected first: what they add waits for another beat, however early this one is. One may
        # also cancel another of the same beat.
        for deadline in due:
            if deadline.action is None:
                continue
            if deadline.until_ns and self.read_ns < deadline.until_ns:
                # The same deadline again, so that its owner can still cancel it.
                self._set(self.clock_ns() + REREAD_NS, deadline)
            else:
                _guarded(deadline.action)
        self._beat += 1
        duties = self._duties[self._beat % BEATS_PER_SECOND]
        self._owed = [(duties, duty) for duty in duties]

    def _serve(self, now_ns: int, count: int) -> None:
        """Call this many of the owed duties, except those removed meanwhile."""
        for _ in range(min(count, len(self._owed))):
            duties, duty = self._owed.pop()
            if duty in duties:
                _guarded(duty, now_ns)


def _ask(near: dict[Waiter, Polled], now_ns: int, waiters: dict[Waiter, Polled]) -> None:
    # A copy, and looked up again: what is called may end its call, or another one.
    for waiter, polled in tuple(near.items()):
        if waiter.deadline_ns <= now_ns and waiter in waiters:
            _guarded(polled.poll, now_ns)


def _next_ns(due_ns: int, period_ns: int, now_ns: int) -> int:
    """Return the first time after now in the series that contains `due_ns`."""
    return due_ns + max(0, (now_ns - due_ns) // period_ns + 1) * period_ns


def _guarded(action: Callable[..., object], *arguments: int) -> None:
    """Call a function; its failure must not stop the ticker for all other calls."""
    try:
        action(*arguments)
    except Exception:
        log.exception("ticker callback failed")
