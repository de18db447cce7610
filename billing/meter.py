"""Meters one call: how much to hold each second, when the money runs out, when to warn of that.

Pure: the caller of this module sends what `tick` returns, reports the answer, and ends the call at
`cut_off_ns`. Times are nanoseconds of a monotonic clock.

Theory of operation. Money runs ahead of the call: each tick asks the spend gate to hold the price
of the seconds begun and of a horizon beyond them. The horizon shrinks while little credit is left,
so that all calls of an account end together; at last each second is bought as the one before it
ends, so that the call whose paid time is over first is the first that the credit does not reach.
What the gate has granted pays for a whole number of seconds, and the call may last exactly that
long:

* all of the horizon granted: the cut-off moves on with every tick;
* less granted: the account is spent and the cut-off stays at the last paid second. Credit that
  arrives before then, from a top-up or another call's end, moves it on again;
* another call of the account has ended for want of credit: this one ends within a second of it;
* no answer: the store is away. The call lives on what is paid and then on some seconds of grace,
  but not beyond what its account had when it was last heard of;
* the process was suspended past all of that: the call ended at its cut-off, and credit that is
  there when the process resumes does not change that.

A second counts once it has begun: a call ended `t` ns after the answer is charged `cost(ceil(t / 1
s))`, never beyond its cut-off, and nothing if it was never answered.

Nothing heard, nothing charged: credit is held from the answer on, but owed only once sound has come
from the phone, and then for all seconds since the answer. The spend gate is told the seconds owed,
so that another node that settles a dead node's call knows them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from billing.ports import SpendCap, Tick
from billing.rating import Rate

HORIZON_S = 8
"""Seconds paid in advance: how long the store may be away before anything is at risk."""

GRACE_S = 6
"""Unpaid seconds that a call may run while the store is away; the exposure per call."""

CALLS_ABREAST = 4
"""A call holds in advance at most this fraction of the time left: as many calls of one account,
started one after another, can then still be given the same end."""

SHARERS_PER_CALL = 2
"""A first hold is at most its share of what there is if the account had this many times the calls
it may have: the call claims once more before it learns how many there are."""

LATE_S = 1
"""How late, beyond its grace, a call's end may be noticed: one tick and one reply from the gate."""

_SECOND_NS = 1_000_000_000


def horizon_within(left_s: int, horizon_s: int, abreast: int = CALLS_ABREAST) -> int:
    """Return how many seconds to hold in advance when the credit lasts for `left_s` more.

    `abreast` is how many calls may come to need that credit for each that needs it now.
    """
    return min(horizon_s, max(1, left_s // abreast))


def share_out(balance_micros: int, calls: Sequence[tuple[int, int]]) -> list[int]:
    """Divide what an account has left among its calls, so that they end together.

    Args:
        balance_micros: What no call holds yet.
        calls: For each call its micros per minute, and the seconds it has paid in advance.

    Returns:
        The micros each call may count on, rounded down: the call paid least far ahead comes first,
        and what brings all to the same second is divided by their rates.

    """
    order = sorted(range(len(calls)), key=lambda i: calls[i][1])
    # Keeping the calls alive until second L from now costs, for each call paid until second p,
    # rate x (L - p). The loop adds calls, least prepaid first, until the balance is used up at L.
    burn = paid = 0
    # In sixtieths of a micro: rates are per minute, times are in seconds.
    wealth = 60 * max(0, balance_micros)
    for place, i in enumerate(order, 1):
        rate, ahead_s = calls[i]
        burn = burn + rate
        paid = paid + rate * ahead_s
        # The balance is used up before the next call's paid time is over, so that call and those
        # after it need none of it.
        if place < len(order) and wealth + paid <= burn * calls[order[place]][1]:
            break
    if not burn:
        return [0] * len(calls)
    return [
        max(0, (wealth + paid) * rate // burn - rate * ahead_s) // 60 for rate, ahead_s in calls
    ]


class MeterState(Enum):
    """The states of a meter."""

    BEFORE_ANSWER = "before_answer"
    RUNNING = "running"
    SHORT = "short"
    """The last claim was not granted in full, or there is nothing left to grant."""
    AWAY = "away"
    """The store did not answer the last tick."""
    ENDED = "ended"


class CutOff(Enum):
    """What a call has run out of at its cut-off."""

    CREDIT = "credit"
    CAP = "cap"
    """A spending limit: the call's own, or one shared with other calls."""
    GRACE = "grace"
    """The store was away for too long."""
    DURATION = "duration"
    """The longest call allowed."""


class CallMeter:
    """The meter of one call, from its first hold to its final price."""

    __slots__ = (
        "_abreast",
        "_answered_ms",
        "_answered_ns",
        "_asked_micros",
        "_away",
        "_cut_off_s",
        "_final",
        "_going_on_ns",
        "_granted_micros",
        "_is_answer_told",
        "_is_capped",
        "_is_heard",
        "_is_part_known",
        "_plenty_micros",
        "_share_micros",
        "_short",
        "_stop",
        "account_id",
        "call_id",
        "grace_s",
        "horizon_s",
        "limit",
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
        limit: CutOff = CutOff.DURATION,
        asked_micros: int | None = None,
        horizon_s: int = HORIZON_S,
        grace_s: int = GRACE_S,
    ) -> None:
        """Take a call whose first hold is `granted_micros`; it may last `seconds_max`.

        `limit` is the reason for `seconds_max`. `asked_micros` is what the hold was meant to be;
        None for the whole horizon. If it was less, the call claims no more than it needs until the
        gate has said what credit there is and who shares it.
        """
        self.call_id = call_id
        self.account_id = account_id
        self.rate = rate
        self.horizon_s = horizon_s
        self.grace_s = grace_s
        self.seconds_max = seconds_max
        self.limit = limit
        self._granted_micros = granted_micros
        self._asked_micros: int | None = None
        self._answered_ns: int | None = None
        self._answered_ms = 0
        self._is_answer_told = False
        whole_micros = rate.cost(min(horizon_s, seconds_max))
        if asked_micros is None:
            asked_micros = whole_micros
        # The gate meant the hold to be larger, but the credit or a cap did not reach: the end is
        # near.
        self._short = granted_micros < asked_micros
        # A first hold that was cut to a fair share says nothing about how much credit there is.
        self._is_part_known = asked_micros >= whole_micros
        self._share_micros: int | None = None
        self._abreast = CALLS_ABREAST
        # With this much left to count on, the horizon is whole at any point of the increments.
        plenty_s = rate.free_s + CALLS_ABREAST * horizon_s + rate.first_s + rate.next_s
        self._plenty_micros = rate.cost(plenty_s)
        self._is_capped = False
        self._is_heard = False
        self._away = False
        self._final: tuple[int, int] | None = None
        # Time of the last claim that the gate answered with: the account's calls go on.
        self._going_on_ns: int | None = None
        # While the account's calls end together: the last second that is paid, and when the call
        # must end.
        self._stop: tuple[int, int] | None = None
        self._cut_off_s = self.paid_seconds

    @property
    def state(self) -> MeterState:
        """The current state; SHORT before AWAY, because a spent account has no grace."""
        if self._final is not None:
            return MeterState.ENDED
        if self._answered_ns is None:
            return MeterState.BEFORE_ANSWER
        if self._short or self._stop is not None or self._share_micros == 0:
            return MeterState.SHORT
        return MeterState.AWAY if self._away else MeterState.RUNNING

    @property
    def granted_micros(self) -> int:
        """What the gate holds for the call, as far as it has reported."""
        return self._granted_micros

    @property
    def paid_seconds(self) -> int:
        """How long the call may last on what is granted."""
        return self.rate.affordable_seconds(self._granted_micros, self.seconds_max)

    @property
    def cut_off_ns(self) -> int | None:
        """When the call must end unless more is granted; None before the answer."""
        if self._answered_ns is None:
            return None
        due_ns = self._answered_ns + self._cut_off_s * _SECOND_NS
        return due_ns if self._stop is None else min(due_ns, self._stop[1])

    @property
    def cut_off(self) -> CutOff:
        """What the call will have run out of at `cut_off_ns`."""
        if self._cut_off_s >= self.seconds_max:
            return self.limit
        # The cut-off is where hold and share end: it is the credit that ends, not the patience with
        # a store.
        ends_with_credit = self._share_micros is not None and self._cut_off_s >= self._reach_s
        is_spent = self._short or self._stop is not None or ends_with_credit
        if self._away and not is_spent:
            return CutOff.GRACE
        return CutOff.CAP if self._is_capped else CutOff.CREDIT

    @property
    def is_at_limit(self) -> bool:
        """Whether the call must end at `cut_off_ns`, whatever credit arrives."""
        return self._cut_off_s >= self.seconds_max

    @property
    def runs_out_of(self) -> CutOff:
        """What the call will have run out of when `remaining_s` reaches zero."""
        if self._reach_s >= self.seconds_max:
            return self.limit
        return CutOff.CAP if self._is_capped else CutOff.CREDIT

    def is_overdue(self, now_ns: int) -> bool:
        """Whether the cut-off passed so long ago that the process must have stood still."""
        due_ns = self.cut_off_ns
        if due_ns is None or self._final is not None:
            return False
        # While the store is away the cut-off includes the grace already.
        late_s = LATE_S if self._away else LATE_S + self.grace_s
        return now_ns > due_ns + late_s * _SECOND_NS

    def answered(self, now_ns: int, at_ms: int = 0) -> None:
        """Start charging; a repeated call changes nothing.

        `at_ms` is the same time since 1970, in ms, which the gate is told with the first second.
        """
        # Callback and media stream may both report the answer; the first counts.
        if self._answered_ns is None and self._final is None:
            self._answered_ns = now_ns
            self._answered_ms = at_ms

    def heard(self) -> None:
        """Note that sound has come from the phone: the seconds since the answer are owed."""
        self._is_heard = True

    def elapsed_s(self, now_ns: int) -> int:
        """Return the seconds begun since answer and not beyond the cut-off."""
        if self._answered_ns is None:
            return 0
        # Rounded up, because a second counts once it has begun; never beyond the cut-off, because
        # the caller must not pay for our noticing it late.
        begun = -((self._answered_ns - now_ns) // _SECOND_NS)
        return min(max(begun, 0), self._cut_off_s)

    def owed_s(self, now_ns: int) -> int:
        """Return the seconds to charge if the call ends now: none before sound has come."""
        return self.elapsed_s(now_ns) if self._is_heard else 0

    def cost_micros(self, now_ns: int) -> int:
        """Return what the call costs if it ends now."""
        return self.rate.cost(self.owed_s(now_ns))

    def unused_micros(self, now_ns: int) -> int:
        """Return what is held beyond the price of the call if it ends now."""
        used = self.cost_micros(now_ns) if self._final is None else self._final[1]
        return max(0, self._granted_micros - used)

    def want_micros(self, now_ns: int) -> int:
        """Return the price of the seconds begun and the horizon beyond them."""
        seconds = self.elapsed_s(now_ns)
        horizon_s = self.horizon_s
        # Until the first tick is answered it is unknown who shares the credit: what the first hold
        # pays for is all that is claimed, and the next second once it is due (below).
        if not self._is_part_known:
            horizon_s = min(horizon_s, self.paid_seconds - seconds)
        elif self._share_micros is not None and (
            self._abreast > CALLS_ABREAST or self._share_micros < self._plenty_micros
        ):
            left_s = self._reach_s - seconds
            horizon_s = horizon_within(left_s, horizon_s, self._abreast)
            if left_s < self._abreast:
                # Buy each second as it begins: asking earlier would take it from a call that
                # needs it first.
                horizon_s = 0
        # Whatever the share, the second that begins now is asked for: without this claim the call
        # would be cut off with credit left.
        if self._is_paid_over(now_ns):
            horizon_s = max(1, horizon_s)
        return self.rate.cost(min(seconds + horizon_s, self.seconds_max))

    def tick(self, now_ns: int, caps: Sequence[SpendCap] = ()) -> Tick:
        """Return the claim to send now.

        Every claim must be sent, and its outcome reported before the next: `granted` or
        `unavailable`.
        """
        assert self._final is None, "an ended call asks for nothing"
        seconds = self.owed_s(now_ns)
        want_micros = self.want_micros(now_ns)
        if self._asked_micros is None:
            # With several claims in flight the oldest counts: its answer comes first, and it asked
            # for least.
            self._asked_micros = want_micros
        self._is_answer_told = bool(seconds)
        answered_ms = self._answered_ms if seconds else 0
        return Tick(self.call_id, self.account_id, want_micros, seconds, caps, answered_ms)

    def granted(self, outcome_micros: int | None, now_ns: int) -> None:
        """Take the gate's answer: None if all was granted, else the call's whole hold."""
        # The answer to a claim that was under way when the call ended; its closing settles
        # everything.
        if self._final is not None:
            return
        asked_micros, self._asked_micros = self._asked_micros, None
        if self._is_answer_told:
            self._answered_ms = 0
        self._is_part_known = True
        self._away = False
        self._short = outcome_micros is not None
        # The gate states the whole hold. It is believed even where it is less than was assumed
        # here.
        if outcome_micros is not None:
            self._granted_micros = outcome_micros
        # Only what was asked for is known to be granted; a late answer must not lower the hold.
        elif asked_micros is not None:
            self._granted_micros = max(self._granted_micros, asked_micros)
        self._move_cut_off(now_ns)

    def unavailable(self, now_ns: int) -> None:
        """Note that the gate did not answer; it may have granted the claim even so."""
        if self._final is not None:
            return
        # The next claim is for the total again, so it does not matter whether this one was granted.
        self._asked_micros = None
        self._away = True
        self._move_cut_off(now_ns)

    def share(
        self, share_micros: int, *, is_capped: bool = False, abreast: int = CALLS_ABREAST
    ) -> None:
        """Set what the call may count on beyond its hold, and whether a cap bounds that.

        `abreast` is how many calls may come to share it; see `horizon_within`.
        """
        self._share_micros = share_micros
        self._is_capped = is_capped
        self._abreast = abreast

    def end_with_others(self, is_due: bool, asked_ns: int, now_ns: int) -> None:
        """Set whether another call of the account has ended for want of credit.

        This one then ends within a second of it, whatever it holds; but an increment longer than a
        second that has begun is paid for, and lasts. `asked_ns` is when the gate was asked.
        """
        if self._answered_ns is None or self._final is not None:
            return
        if not is_due:
            # Credit has come, or a call of the account has ended otherwise and left some.
            self._going_on_ns, was_due = asked_ns, self._stop is not None
            self._stop = None
            if was_due:
                self._move_cut_off(now_ns)
            return
        if self._stop is None:
            # A second that begins at this moment counts as paid, as far as the hold reaches.
            begun_s = (now_ns - self._answered_ns) // _SECOND_NS + 1
            # The end of the increment that has begun. With increments of a second that is the
            # second itself.
            paid_s = self.rate.affordable_seconds(self.rate.cost(begun_s), self.seconds_max)
            stop_ns = self._answered_ns + paid_s * _SECOND_NS
            # Only calls billed by the second end early: a longer increment is paid for and lasts.
            if paid_s <= begun_s:
                # The other call was still going on when the gate was last asked, so it ended
                # after that.
                last_ns = self._going_on_ns if self._going_on_ns is not None else self._answered_ns
                stop_ns = min(stop_ns, max(now_ns, last_ns + _SECOND_NS))
            self._stop = paid_s, stop_ns
            self._move_cut_off(now_ns)

    def remaining_s(self, now_ns: int) -> int:
        """Return how many seconds may still begin, on the hold and the call's share."""
        return max(0, self._reach_s - self.elapsed_s(now_ns))

    def final(self, now_ns: int) -> tuple[int, int]:
        """End the call; return its seconds and price in micros. Repeats return the same."""
        # Fixed by the first way in which the call ends; what reports its end later must not add
        # seconds.
        if self._final is None:
            seconds = self.owed_s(now_ns)
            self._final = (seconds, self.rate.cost(seconds))
        return self._final

    def _is_paid_over(self, now_ns: int) -> bool:
        """Whether the next second is beginning and is not paid."""
        if self._answered_ns is None:
            return False
        return now_ns >= self._answered_ns + self.paid_seconds * _SECOND_NS

    @property
    def _reach_s(self) -> int:
        # A share that is not known yet counts as nothing: only the hold is certain.
        micros = self._granted_micros + (self._share_micros or 0)
        reach_s = self.rate.affordable_seconds(micros, self.seconds_max)
        return reach_s if self._stop is None else min(reach_s, self._stop[0])

    def _move_cut_off(self, now_ns: int) -> None:
        """Recompute the cut-off, never before the end of a second already begun."""
        reach_s = self.paid_seconds
        # Grace covers our store's absence, never an account that is known to be spent.
        if self._away and not self._short:
            reach_s = min(reach_s + self.grace_s, self.seconds_max)
            # Nor does grace outlast the credit that there was when the gate last answered.
            if self._share_micros is not None:
                reach_s = min(reach_s, self._reach_s)
        if self._stop is not None:
            reach_s = min(reach_s, self._stop[0])
        # A second that has begun is charged, so the caller gets it to its end.
        self._cut_off_s = max(reach_s, self.elapsed_s(now_ns))


THRESHOLDS_S = (60, 30, 10)
"""Seconds left at which to warn."""

RISE_S = 5
"""How far above its threshold the time must rise before a warning is withdrawn: more than estimates
of a shared balance fluctuate by themselves."""


class WarningChange(Enum):
    """A warning that the caller is to be shown, or one that no longer applies."""

    GIVEN = "given"
    TAKEN_BACK = "taken_back"


class EndWarnings:
    """Decides when to warn of a call's end, in time to top up or to say goodbye.

    Each threshold is warned of once per fall; a fall past several gives one warning. A call that
    begins below a threshold is warned at the first look.
    """

    __slots__ = ("_active_s", "_armed")

    def __init__(self) -> None:
        self._armed: tuple[int, ...] = THRESHOLDS_S
        self._active_s: int | None = None
        """Threshold of the last warning that is still in force."""

    @property
    def is_active(self) -> bool:
        """Whether a warning was given and holds."""
        return self._active_s is not None

    def note(self, left_s: int) -> WarningChange | None:
        """Take the whole seconds left; return what to tell the caller, if anything."""
        # A fall past several thresholds at once is one warning, for the nearest end.
        passed = [threshold_s for threshold_s in self._armed if left_s <= threshold_s]
        if passed:
            self._armed = tuple(t for t in self._armed if t not in passed)
            self._active_s = min(passed)
            return WarningChange.GIVEN
        # Above a warning in force, thresholds are armed again only with the margin: an estimate
        # that fluctuates around one would otherwise warn and take back again and again.
        is_over = self._active_s is not None and left_s >= self._active_s + RISE_S
        margin_s = RISE_S if self._active_s is not None else 1
        self._armed = tuple(t for t in THRESHOLDS_S if t in self._armed or left_s >= t + margin_s)
        if is_over:
            self._active_s = None
            return WarningChange.TAKEN_BACK
        return None
