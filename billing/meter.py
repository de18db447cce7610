"""One call's charging: what to hold each second, and when the money ends.

Knows no store and no clock: the engine sends what `tick` returns, reports what came of it, and ends
the call at `cut_off_ns`. Times are nanoseconds of the engine's monotonic clock.

Theory of operation. Money runs ahead of the call: each tick asks the spend gate to hold the price
of the seconds begun and of a horizon beyond them. What the gate has granted pays for a whole number
of seconds, and the call may last exactly that long:

* all of the horizon granted: the cut-off moves on with every tick;
* granted short of it: the account is spent, the cut-off stands at the last paid second. Credit that
  arrives before then, from a top-up or another call's end, moves it on again;
* no answer: the store is away. The call lives on what is paid and then on some seconds of grace,
  unless its account was already known to be spent.

A second counts when it has begun: a call ended `t` ns after answer is charged
`cost(ceil(t / 1 s))`, never beyond its cut-off, and nothing when it was never answered.
"""

from __future__ import annotations

from enum import Enum

from billing.ports import Tick
from billing.rating import Rate

HORIZON_S = 8
"""Seconds paid ahead: how long the store may be away before anything is at risk."""

GRACE_S = 6
"""Unpaid seconds a call may run while the store is away; the exposure of each call."""

_SECOND_NS = 1_000_000_000


class MeterState(Enum):
    """What a meter waits for."""

    BEFORE_ANSWER = "before_answer"
    RUNNING = "running"
    SHORT = "short"
    """The account does not reach the horizon."""
    AWAY = "away"
    """The store did not answer the last tick."""
    ENDED = "ended"


class CutOff(Enum):
    """What a call runs out of at its cut-off."""

    CREDIT = "credit"
    GRACE = "grace"
    """The store was away for too long."""
    DURATION = "duration"
    """The longest call that is allowed."""


class CallMeter:
    """The charging of one call, from its first hold to its final price."""

    __slots__ = (
        "_answered_ns",
        "_asked_micros",
        "_away",
        "_cut_off_s",
        "_final",
        "_granted_micros",
        "_short",
        "account_id",
        "call_id",
        "grace_s",
        "horizon_s",
        "rate",
        "seconds_max",
    )

    def __init__(
        self,
        call_id: str,
        account_id: str,
        rate: Rate,
        granted_micros: int,
        *,
        seconds_max: int,
        horizon_s: int = HORIZON_S,
        grace_s: int = GRACE_S,
    ) -> None:
        """Take over a call whose first hold is `granted_micros`; it may last `seconds_max`."""
        self.call_id = call_id
        self.account_id = account_id
        self.rate = rate
        self.horizon_s = horizon_s
        self.grace_s = grace_s
        self.seconds_max = seconds_max
        self._granted_micros = granted_micros
        self._asked_micros: int | None = None
        self._answered_ns: int | None = None
        self._short = granted_micros < rate.cost(min(horizon_s, seconds_max))
        self._away = False
        self._final: tuple[int, int] | None = None
        self._cut_off_s = self.paid_seconds

    @property
    def state(self) -> MeterState:
        """What the meter waits for; SHORT before AWAY, for a spent account has no grace."""
        if self._final is not None:
            return MeterState.ENDED
        if self._answered_ns is None:
            return MeterState.BEFORE_ANSWER
        if self._short:
            return MeterState.SHORT
        return MeterState.AWAY if self._away else MeterState.RUNNING

    @property
    def granted_micros(self) -> int:
        """What the gate holds for the call, as far as it has said."""
        return self._granted_micros

    @property
    def paid_seconds(self) -> int:
        """How long the call may last on what is granted."""
        return self.rate.affordable_seconds(self._granted_micros, self.seconds_max)

    @property
    def cut_off_ns(self) -> int | None:
        """When the call must end unless more is granted; None before answer."""
        if self._answered_ns is None:
            return None
        return self._answered_ns + self._cut_off_s * _SECOND_NS

    @property
    def cut_off(self) -> CutOff:
        """What the call would run out of at `cut_off_ns`."""
        if self._cut_off_s >= self.seconds_max:
            return CutOff.DURATION
        return CutOff.GRACE if self._away and not self._short else CutOff.CREDIT

    def answered(self, now_ns: int) -> None:
        """Start charging; a repeat changes nothing."""
        if self._answered_ns is None and self._final is None:
            self._answered_ns = now_ns

    def elapsed_s(self, now_ns: int) -> int:
        """Return the seconds begun since answer and not beyond the cut-off: those owed by now."""
        if self._answered_ns is None:
            return 0
        begun = -((self._answered_ns - now_ns) // _SECOND_NS)
        return min(max(begun, 0), self._cut_off_s)

    def cost_micros(self, now_ns: int) -> int:
        """Return what the call costs if it ends now."""
        return self.rate.cost(self.elapsed_s(now_ns))

    def tick(self, now_ns: int) -> Tick:
        """Return the claim to send now: the seconds owed and the horizon beyond them.

        Send every claim, and report its fate before the next: `granted` or `unavailable`.
        """
        assert self._final is None, "an ended call asks for nothing"
        seconds = self.elapsed_s(now_ns)
        want_micros = self.rate.cost(min(seconds + self.horizon_s, self.seconds_max))
        if self._asked_micros is None:
            # Of claims still under way the oldest counts: its answer comes first, and asks least.
            self._asked_micros = want_micros
        return Tick(self.call_id, self.account_id, want_micros, seconds)

    def granted(self, outcome_micros: int | None, now_ns: int) -> None:
        """Take the gate's answer: None when all was granted, else what the call holds in all."""
        if self._final is not None:
            return
        asked_micros, self._asked_micros = self._asked_micros, None
        self._away = False
        self._short = outcome_micros is not None
        if outcome_micros is not None:
            self._granted_micros = outcome_micros
        elif asked_micros is not None:
            self._granted_micros = max(self._granted_micros, asked_micros)
        self._move_cut_off(now_ns)

    def unavailable(self, now_ns: int) -> None:
        """Note that the gate did not answer; it may have granted the claim all the same."""
        if self._final is not None:
            return
        self._asked_micros = None
        self._away = True
        self._move_cut_off(now_ns)

    def remaining_s(self, balance_micros: int, now_ns: int) -> int:
        """Return how many seconds are left to begin with `balance_micros` more.

        Calls that share an account each count on their share of its balance.
        """
        reach_micros = self._granted_micros + max(balance_micros, 0)
        reach_s = self.rate.affordable_seconds(reach_micros, self.seconds_max)
        return max(0, reach_s - self.elapsed_s(now_ns))

    def final(self, now_ns: int) -> tuple[int, int]:
        """End the call; return its seconds and price in micros. A repeat returns the same."""
        if self._final is None:
            seconds = self.elapsed_s(now_ns)
            self._final = (seconds, self.rate.cost(seconds))
        return self._final

    def _move_cut_off(self, now_ns: int) -> None:
        """Place the cut-off anew, never before the end of a second already begun."""
        grace_s = self.grace_s if self._away and not self._short else 0
        reach_s = min(self.paid_seconds + grace_s, self.seconds_max)
        self._cut_off_s = max(reach_s, self.elapsed_s(now_ns))
