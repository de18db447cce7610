"""Runs the meter's rounds: each second, one batched claim per partition for all calls of a node.

The partitions are claimed in eight groups, 125 ms apart, so that no round blocks the loop for long.
While a partition's claim waits for the spend gate, no other is sent. What an account has left is
divided among its calls after each round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from billing.meter import CALLS_ABREAST, CallMeter, share_out
from billing.ports import SpendCap, SpendGate, Tick, TickOutcome
from database.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

REMINDER_S = 1.0
"""How soon a call that no round charges learns that the spend gate was refilled."""
GROUPS = 8
GROUP_INTERVAL_NS = 1_000_000_000 // GROUPS


class MeteredCall(Protocol):
    """A live call that the rounds charge."""

    meter: CallMeter
    account_id: str

    def caps(self, now_ns: int) -> Sequence[SpendCap]:
        """Return the spend caps that hold for the call now."""

    def charged(self, balance_micros: int | None) -> None:
        """Take a new cut-off from the meter, and what the account has left, None if unknown.

        Unused holds of its calls here count as left.
        """

    def settled_elsewhere(self) -> None:
        """End the call: another node has settled it."""

    def frozen(self) -> None:
        """End the call: its account was frozen."""

    def reopen(self) -> None:
        """Open the call again at the spend gate, which has lost it."""

    def known_in(self, filling: str) -> None:
        """Note that the spend gate knows the call, in this filling from the book of record."""

    def overdue(self) -> None:
        """End the call as of its cut-off, which passed while this process stood still."""


class Metering:
    """Charges the live calls of one node."""

    def __init__(self, gate: SpendGate, clock_ns: Callable[[], int]) -> None:
        self._gate = gate
        self._clock_ns = clock_ns
        self._partitions: dict[int, dict[str, MeteredCall]] = {}
        self._held: dict[str, MeteredCall] = {}
        """Calls that the spend gate holds credit for, whether the rounds charge them or not."""
        self._rounds: dict[int, asyncio.Task[None]] = {}
        self._urgent: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self.is_gate_away = False
        self._unanswered: set[int] = set()
        """Partitions that have not granted what was last claimed from them."""
        self.on_emptied: Callable[[], None] = lambda: None
        """Called at most once a second while a partition that calls here need is not filled."""
        self.on_balance: Callable[[str, int], None] = _ignore_balance
        """Called each second with each charged account and its balance in micros."""

    def start(self) -> None:
        """Begin the rounds on the running loop."""
        self._loop = asyncio.get_running_loop().create_task(self._run(), name="metering")

    async def stop(self) -> None:
        """End the rounds; those under way are awaited."""
        if self._loop is not None:
            self._loop.cancel()
        # Those only wait for a round; a round itself ends by its request's time-out.
        for task in self._urgent.values():
            task.cancel()
        pending = [t for t in (self._loop, *self._rounds.values()) if t is not None]
        await asyncio.gather(*pending, *self._urgent.values(), return_exceptions=True)

    def add(self, call: MeteredCall) -> None:
        """Charge this call from now on."""
        partition = self._gate.partition(call.account_id)
        self._partitions.setdefault(partition, {})[call.meter.call_id] = call

    def remove(self, call: MeteredCall) -> None:
        """Stop charging this call."""
        partition = self._gate.partition(call.account_id)
        calls = self._partitions.get(partition, {})
        calls.pop(call.meter.call_id, None)
        if not calls:
            self._partitions.pop(partition, None)

    def hold(self, call: MeteredCall) -> None:
        """Note that the spend gate holds credit for this call; see `remind`."""
        self._held[call.meter.call_id] = call

    def release(self, call_id: str) -> None:
        """Forget a call that is settled."""
        self._held.pop(call_id, None)

    async def remind(self) -> None:
        """Tell each call that no round charges now which filling the spend gate has.

        A gate that was emptied and refilled may not know such a call, which still rings, or has
        ended and is not confirmed: it must report itself. Until then no other node could end its
        phone, so a gate that is found empty is filled at once.

        Raises StoreUnavailableError.
        """
        silent: dict[int, list[MeteredCall]] = {}
        for call_id, call in self._held.items():
            partition = self._gate.partition(call.account_id)
            if call_id not in self._partitions.get(partition, {}):
                silent.setdefault(partition, []).append(call)
        asked = silent.keys() | self._unanswered
        if not asked:
            return
        fillings = await self._gate.fillings(asked)
        self._unanswered -= fillings.keys()
        for partition, filling in fillings.items():
            for call in silent.get(partition, ()):
                call.known_in(filling)
        if len(fillings) < len(asked):
            self.on_emptied()

    async def charge_now(self, account_id: str) -> None:
        """Charge an account's calls now: its credit has changed, or one of them is at its end.

        Returns when the spend gate has answered or is away. Giving up waiting does not undo the
        claim.
        """
        task = self._urgent.get(account_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._charge_account(account_id))
            self._urgent[account_id] = task
        # A task still listed has not sent its claim, so it will see all credit there is by now. It
        # is not awaited itself: a caller that is cancelled must not cancel it for the others.
        await asyncio.wait([task])

    async def _charge_account(self, account_id: str) -> None:
        partition = self._gate.partition(account_id)
        try:
            # A loop: another urgent claim of the partition may have begun before this woke up.
            while (under_way := self._rounds.get(partition)) is not None:
                await asyncio.wait([under_way])
        finally:
            # From here on the claim is made with the credit of this moment; credit that comes later
            # needs another claim.
            del self._urgent[account_id]
        known = self._partitions.get(partition, {})
        calls = {call_id: call for call_id, call in known.items() if call.account_id == account_id}
        if calls:
            await asyncio.wait([self._begin({partition: calls})])

    async def _run(self) -> None:
        due_ns = self._clock_ns()
        while True:
            # Absolute times: a late wake-up does not shift the rounds after it.
            due_ns += GROUP_INTERVAL_NS
            await asyncio.sleep(max(0, due_ns - self._clock_ns()) / 1e9)
            self._begin_rounds(due_ns // GROUP_INTERVAL_NS % GROUPS)

    def _begin_rounds(self, group: int) -> None:
        # A partition with a claim in progress sits this round out: claims are cumulative, so the
        # next one makes up for it.
        idle = [p for p in self._partitions if p % GROUPS == group and p not in self._rounds]
        if idle:
            # Copies: calls come and go while the gate is asked.
            self._begin({partition: dict(self._partitions[partition]) for partition in idle})

    def _begin(self, partitions: Mapping[int, Mapping[str, MeteredCall]]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._round(partitions))
        # At once, not in the task: no other round may begin before it has run.
        self._rounds |= dict.fromkeys(partitions, task)
        task.add_done_callback(partial(self._round_over, tuple(partitions)))
        return task

    def _round_over(self, partitions: Sequence[int], task: asyncio.Task[None]) -> None:
        for partition in partitions:
            self._rounds.pop(partition, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("meter round failed", exc_info=error)

    async def _round(self, partitions: Mapping[int, Mapping[str, MeteredCall]]) -> None:
        now_ns = self._clock_ns()
        claimants = {
            partition: self._claimants(partition, calls, now_ns)
            for partition, calls in partitions.items()
        }
        claims = {
            partition: [call.meter.tick(now_ns, call.caps(now_ns)) for call in calls]
            for partition, calls in claimants.items()
        }
        outcomes = await self._gate.tick_all(claims)
        self._note_gate(away=any(isinstance(o, StoreUnavailableError) for o in outcomes.values()))
        for partition, outcome in outcomes.items():
            current = self._partitions.get(partition, {})
            # A call that ended while the gate was asked is charged by its closing, which returns
            # what this claim was granted.
            live = [
                (call, tick)
                for call, tick in zip(claimants[partition], claims[partition], strict=True)
                if current.get(tick.call_id) is call
            ]
            if isinstance(outcome, StoreUnavailableError):
                self._unanswered.add(partition)
                self._note_silence([call for call, _ in live])
            else:
                self._apply(live, outcome, now_ns)

    def _claimants(
        self, partition: int, calls: Mapping[str, MeteredCall], now_ns: int
    ) -> Sequence[MeteredCall]:
        """End the calls that are overdue, and return the rest."""
        # Before anything is claimed: a claim would buy an overdue call new time.
        for call in calls.values():
            if call.meter.is_overdue(now_ns):
                call.overdue()
        # Each of these has removed itself, and so has every call that ended before the task ran.
        current = self._partitions.get(partition, {})
        return [call for call_id, call in calls.items() if current.get(call_id) is call]

    def _note_silence(self, calls: Sequence[MeteredCall]) -> None:
        for call in calls:
            call.meter.unavailable(self._clock_ns())
            call.charged(None)

    def _apply(
        self, live: Sequence[tuple[MeteredCall, Tick]], outcome: TickOutcome, asked_ns: int
    ) -> None:
        now_ns = self._clock_ns()
        closed = frozenset(outcome.closed)
        lost = frozenset(outcome.lost)
        by_account: dict[str, list[tuple[MeteredCall, Tick]]] = {}
        for call, tick in live:
            if tick.call_id in closed:
                call.settled_elsewhere()
            elif tick.call_id in lost:
                # Without a hold it lives on what it has paid and its grace, until it is reopened.
                call.meter.unavailable(now_ns)
                call.charged(None)
                call.reopen()
            else:
                call.meter.granted(outcome.short.get(tick.call_id), now_ns)
                call.known_in(outcome.filling)
                by_account.setdefault(tick.account_id, []).append((call, tick))
        for account_id, granted in by_account.items():
            if account_id in outcome.frozen:
                for call, _ in granted:
                    call.frozen()
                continue
            # Both before `charged`, which sets each call's deadline from them.
            _share_out(account_id, granted, outcome, now_ns)
            is_ending = account_id in outcome.ending
            for call, _ in granted:
                call.meter.end_with_others(is_ending, asked_ns, now_ns)
            # Held but unused credit still belongs to the account; calls of other nodes are not
            # known here, and their holds not counted.
            unused_micros = sum(call.meter.unused_micros(now_ns) for call, _ in granted)
            for call, _ in granted:
                call.charged(outcome.balances[account_id] + unused_micros)
            self.on_balance(account_id, outcome.balances[account_id])

    def _note_gate(self, *, away: bool) -> None:
        if away != self.is_gate_away:
            self.is_gate_away = away
            log.warning("spend gate away" if away else "spend gate back")


def _ignore_balance(_account_id: str, _balance_micros: int) -> None:
    """Do nothing: balances are not watched."""


def _share_out(
    account_id: str,
    granted: Sequence[tuple[MeteredCall, Tick]],
    outcome: TickOutcome,
    now_ns: int,
) -> None:
    """Tell each of an account's calls what it may count on."""
    balance = max(0, outcome.balances[account_id])
    # The usual case: one call of the account here, nothing refused, no caps.
    if len(granted) == 1 and not outcome.short and not granted[0][1].caps:
        meter = granted[0][0].meter
        burn = outcome.burns.get(account_id, 0)
        own = meter.rate.per_minute_micros
        abreast = _abreast(own, max(burn, own), outcome.open_calls.get(account_id, 0))
        # Calls on other nodes burn the rest: this one counts on its part by rate.
        meter.share(balance if burn <= own else balance * own // burn, abreast=abreast)
        return
    ahead = [
        (call.meter.rate.per_minute_micros, call.meter.paid_seconds - call.meter.elapsed_s(now_ns))
        for call, _ in granted
    ]
    burn_here = sum(burn for burn, _ in ahead)
    # The gate counts a call from its first owed second on, so its sum may lag behind ours.
    burn = max(burn_here, outcome.burns.get(account_id, 0))
    # Calls under different caps have different headroom: each counts on what its own caps leave.
    headrooms = [_headroom(tick, balance, outcome) for _, tick in granted]
    # One division for each headroom: this node's part by burn, among all of its calls here.
    shares = {
        headroom: share_out(headroom * burn_here // burn if burn else headroom, ahead)
        for headroom in set(headrooms)
    }
    for place, (call, tick) in enumerate(granted):
        if tick.call_id in outcome.short:
            # It was refused in part, and so holds all that it can have.
            call.meter.share(0, is_capped=tick.call_id in outcome.capped)
        else:
            headroom = headrooms[place]
            own = ahead[place][0]
            abreast = _abreast(own, burn, outcome.open_calls.get(account_id, 0))
            call.meter.share(shares[headroom][place], is_capped=headroom < balance, abreast=abreast)


def _abreast(own: int, burn: int, open_calls: int) -> int:
    """Return how many calls may come to share what one call counts on.

    `own` is the cost of this call per minute, `burn` that of all charged calls of the account, in
    micros. The account's other open calls are assumed to cost as much as this one once answered.
    """
    return max(CALLS_ABREAST, -(-open_calls * own // burn) if burn else 0)


def _headroom(tick: Tick, balance_micros: int, outcome: TickOutcome) -> int:
    """Return what the balance and the call's caps leave for it and for calls that share them."""
    headrooms = [cap.limit_micros - outcome.spent.get(cap.name, 0) for cap in tick.caps]
    return max(0, min([balance_micros, *headrooms]))
