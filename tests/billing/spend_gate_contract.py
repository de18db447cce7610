"""What every spend gate promises, whatever keeps its numbers.

A test class that inherits `SpendGateContract` needs a fixture `gate`: a ready gate on which `alice`
has ten units of credit. The outbox is read by its own rules, so they are part of the promise.
"""

import random
from dataclasses import astuple, replace

import pytest

from billing.errors import MoneyError, NotDrainedError
from billing.meter import CallMeter
from billing.money import LIMIT
from billing.ports import (
    CallMemory,
    CloseOutcome,
    CloseResult,
    Closing,
    CreditResult,
    EndingPage,
    GateEnding,
    OpenCall,
    Opening,
    OpenOutcome,
    OpenResult,
    PartitionMark,
    PartitionState,
    SpendCap,
    Tick,
    TickOutcome,
)
from billing.rating import Rate
from database.errors import StoreUnavailableError

UNIT = 1_000_000
CENT = 10_000
S = 1_000_000_000
CENT_A_SECOND = Rate(per_minute_micros=60 * CENT)
DAY = SpendCap("alice:day:1", UNIT)
MONTH = SpendCap("alice:month:1", 5 * UNIT)


def opening(call_id="c1", account_id="alice", **changes):
    fields = {
        "node": "n1",
        "first_micros": CENT,
        "want_micros": 8 * CENT,
        "concurrent_calls_max": 50,
        "detail": b'{"opened":true}',
    }
    return Opening(call_id=call_id, account_id=account_id, **(fields | changes))


def closing(call_id="c1", final_micros=3 * CENT, seconds=3, account_id="alice", caps=()):
    return Closing(call_id, account_id, final_micros, seconds, b'{"closed":true}', caps=caps)


def tick(want_micros, seconds, call_id="c1", account_id="alice", caps=()):
    return Tick(call_id, account_id, want_micros, seconds, caps)


def answer(short=None, *, balance, lost=(), closed=(), burn=0, frozen=()):
    """What a gate says to ticks of alice's calls that have no caps."""
    return TickOutcome(
        short or {}, list(lost), list(closed), {"alice": balance}, {"alice": burn}, {}, [], frozen
    )


def held_call(call_id, held_micros, seconds, account_id="alice", node="n1", **rest):
    return OpenCall(call_id, account_id, node, held_micros, seconds, **rest)


class SpendGateContract:
    """The promises, on `alice` and her ten units."""

    async def tick(self, gate, *ticks):
        outcome = await gate.tick(gate.partition(ticks[0].account_id), ticks)
        return replace(outcome, filling="", open_calls={})

    async def spent(self, gate):
        return dict((await gate.snapshot(gate.partition("alice"))).spent)

    async def outbox(self, gate, account_id="alice"):
        entries = await gate.read_outbox(gate.partition(account_id), 1_000)
        return [(entry.kind, dict(entry.fields)) for entry in entries]

    async def lose_outbox(self, gate):
        partition = gate.partition("alice")
        entries = await gate.read_outbox(partition, 1_000)
        await gate.trim_outbox(partition, [entry.entry_id for entry in entries])

    # Opening.

    async def test_open_holds_the_horizon_once(self, gate):
        for _ in range(3):
            outcome = await gate.open(opening())
            assert outcome == OpenOutcome(
                OpenResult.OPENED, 8 * CENT, 10 * UNIT - 8 * CENT, 8 * CENT
            )
        assert await gate.balance("alice") == 10 * UNIT - 8 * CENT

    async def test_open_holds_what_the_balance_reaches(self, gate):
        outcome = await gate.open(opening(want_micros=20 * UNIT))
        assert outcome == OpenOutcome(OpenResult.OPENED, 10 * UNIT, 0, 20 * UNIT)

    async def test_a_first_hold_is_no_more_than_its_part(self, gate):
        """Whoever comes first holds no more than whoever comes last."""
        held = [await gate.open(opening(f"c{n}", want_micros=UNIT, sharers=20)) for n in range(3)]
        parts = [UNIT // 2, (10 * UNIT - UNIT // 2) // 20, (9_500_000 - 475_000) // 20]
        assert [outcome.granted_micros for outcome in held] == parts
        assert [outcome.wanted_micros for outcome in held] == parts
        # What is plenty is held whole, and the first increment whatever its part.
        whole = await gate.open(opening("w", want_micros=8 * CENT, sharers=20))
        assert (whole.granted_micros, whole.wanted_micros) == (8 * CENT, 8 * CENT)
        dear = {"first_micros": 3 * UNIT, "want_micros": 4 * UNIT, "sharers": 20}
        first = await gate.open(opening("d", **dear))
        assert (first.granted_micros, first.wanted_micros) == (3 * UNIT, 3 * UNIT)

    async def test_a_part_is_that_of_a_cap_where_one_leaves_less(self, gate):
        outcome = await gate.open(opening(want_micros=UNIT, caps=[DAY], sharers=20))
        assert (outcome.granted_micros, outcome.wanted_micros) == (UNIT // 20, UNIT // 20)

    async def test_a_call_that_runs_holds_more_than_its_part(self, gate):
        running = {"is_running": True, "concurrent_calls_max": 0, "sharers": 20}
        outcome = await gate.open(opening(want_micros=9 * UNIT, **running))
        assert outcome.granted_micros == 9 * UNIT

    async def test_a_tick_says_how_many_calls_share(self, gate):
        for n in range(3):
            await gate.open(opening(f"c{n}"))
        outcome = await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1)])
        assert outcome.open_calls == {"alice": 3}
        await gate.close(closing("c2"))
        outcome = await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1)])
        assert outcome.open_calls == {"alice": 2}
        assert outcome.burns == {"alice": 0}

    async def test_open_needs_the_first_increment(self, gate):
        refused = OpenOutcome(OpenResult.INSUFFICIENT_CREDIT, 0, 10 * UNIT)
        assert await gate.open(opening(first_micros=10 * UNIT + 1)) == refused
        assert (await gate.open(opening(account_id="nobody"))).result is refused.result
        assert await gate.balance("alice") == 10 * UNIT

    async def test_a_free_call_needs_no_credit_but_no_debt_either(self, gate):
        free = {"first_micros": 0, "want_micros": 0}
        assert (await gate.open(opening("f1", "nobody", **free))).result is OpenResult.OPENED
        await gate.credit("alice", 2, -11 * UNIT)
        outcome = await gate.open(opening("f2", **free))
        assert outcome == OpenOutcome(OpenResult.INSUFFICIENT_CREDIT, 0, -UNIT)

    async def test_a_tick_says_whose_calls_are_to_end(self, gate):
        await gate.open(opening())
        assert (await self.tick(gate, tick(9 * CENT, 1))).frozen == ()
        await gate.freeze("alice", True)
        assert (await self.tick(gate, tick(9 * CENT, 1))).frozen == ("alice",)

    async def test_partitions_are_ticked_together_and_answer_apart(self, gate):
        others = (f"other-{n}" for n in range(1_000))
        other = next(o for o in others if gate.partition(o) != gate.partition("alice"))
        await gate.open(opening())
        here, there = gate.partition("alice"), gate.partition(other)
        outcomes = await gate.tick_all(
            {here: [tick(9 * CENT, 1)], there: [tick(CENT, 1, "c9", other)]}
        )
        assert outcomes[here] == await gate.tick(here, [tick(9 * CENT, 1)])
        assert outcomes[there].lost == ["c9"]

    async def test_a_call_that_runs_is_opened_whatever_it_can_hold(self, gate):
        running = {"is_running": True, "concurrent_calls_max": 0}
        cap = SpendCap("account:alice:day:2026-11-24", CENT)
        outcome = await gate.open(opening("r1", caps=[cap], **running))
        assert outcome == OpenOutcome(OpenResult.OPENED, CENT, 10 * UNIT - CENT, 8 * CENT)
        await gate.credit("alice", 2, -11 * UNIT)
        await gate.freeze("alice", True)
        outcome = await gate.open(opening("r2", **running))
        assert outcome == OpenOutcome(OpenResult.OPENED, 0, -UNIT - CENT, 8 * CENT)
        await gate.close(closing("r2"))
        assert (await gate.open(opening("r2", **running))).result is OpenResult.ALREADY_CLOSED

    async def test_open_counts_the_calls_of_an_account(self, gate):
        two = {"concurrent_calls_max": 2}
        for call_id in ("c1", "c2"):
            assert (await gate.open(opening(call_id, **two))).result is OpenResult.OPENED
        assert (await gate.open(opening("c3", **two))).result is OpenResult.TOO_MANY_CALLS
        assert (await gate.open(opening("c1", **two))).result is OpenResult.OPENED
        await gate.close(closing("c1"))
        await gate.close(closing("c1"))
        assert (await gate.open(opening("c3", **two))).result is OpenResult.OPENED
        assert (await gate.open(opening("c4", **two))).result is OpenResult.TOO_MANY_CALLS

    async def test_open_counts_the_calls_of_a_key_that_bounds_them(self, gate):
        one = {"key_id": "k1", "key_calls_max": 1}
        assert (await gate.open(opening("c1", **one))).result is OpenResult.OPENED
        assert (await gate.open(opening("c2", **one))).result is OpenResult.TOO_MANY_CALLS
        assert (await gate.open(opening("c1", **one))).result is OpenResult.OPENED
        assert await gate.calls_of_key("alice", "k1") == 1
        # Neither another key nor the account's other calls are counted with them.
        other = {"key_id": "k2", "key_calls_max": 1}
        assert (await gate.open(opening("c3", **other))).result is OpenResult.OPENED
        assert (await gate.open(opening("c4"))).result is OpenResult.OPENED
        # One that runs on is counted, and refused by nothing.
        assert (await gate.open(opening("c5", **one, is_running=True))).result is OpenResult.OPENED
        for call_id in ("c1", "c1"):
            await gate.close(closing(call_id))
        assert (await gate.open(opening("c6", **one))).result is OpenResult.TOO_MANY_CALLS
        await gate.name_carrier_call("c5", "alice", "CA1")
        await gate.close(closing("c5"))
        assert await gate.calls_of_key("alice", "k1") == 0
        assert (await gate.open(opening("c6", **one))).result is OpenResult.OPENED

    async def test_calls_of_a_key_are_counted_on_by_a_partition_that_was_filled(self, empty_gate):
        gate, partition = empty_gate, empty_gate.partition("alice")
        calls = [held_call("c1", CENT, 1, key_id="k1"), held_call("c2", CENT, 1)]
        await gate.rebuild(partition, PartitionState([("alice", UNIT, 1)], calls))
        one = {"key_id": "k1", "key_calls_max": 1}
        assert (await gate.open(opening("c3", **one))).result is OpenResult.TOO_MANY_CALLS
        await gate.close(closing("c1"))
        assert (await gate.open(opening("c3", **one))).result is OpenResult.OPENED

    async def test_open_after_close_is_refused(self, gate):
        await gate.open(opening())
        await gate.close(closing())
        assert (await gate.open(opening())).result is OpenResult.ALREADY_CLOSED
        assert await gate.balance("alice") == 10 * UNIT - 3 * CENT

    async def test_a_frozen_account_opens_no_call(self, gate):
        await gate.freeze("alice", True)
        assert (await gate.open(opening())).result is OpenResult.FROZEN
        await gate.freeze("alice", False)
        assert (await gate.open(opening())).result is OpenResult.OPENED

    # Ticking.

    async def test_ticks_raise_the_hold_to_what_is_asked(self, gate):
        await gate.open(opening())
        outcome = await self.tick(gate, tick(9 * CENT, 1))
        assert outcome == answer(balance=10 * UNIT - 9 * CENT)

    async def test_repeated_stale_and_reordered_ticks_change_nothing(self, gate):
        await gate.open(opening())
        claims = [tick((second + 8) * CENT, second) for second in range(1, 10)]
        for claim in (*claims, *claims, *reversed(claims)):
            await self.tick(gate, claim)
        assert await gate.balance("alice") == 10 * UNIT - 17 * CENT
        assert await gate.open_calls("n1") == [held_call("c1", 17 * CENT, 9)]

    async def test_a_stale_tick_among_fresh_ones_takes_nothing_back(self, gate):
        await gate.open(opening())
        await gate.open(opening("c2"))
        await self.tick(gate, tick(12 * CENT, 4))
        outcome = await self.tick(gate, tick(9 * CENT, 1), tick(9 * CENT, 1, "c2"))
        assert outcome.balances == {"alice": 10 * UNIT - 21 * CENT}
        assert await gate.balance("alice") == 10 * UNIT - 21 * CENT

    async def test_a_stale_tick_may_raise_a_hold_but_not_unsay_a_second(self, gate):
        await gate.credit("bob", 1, 9 * CENT)
        await gate.open(opening("c1", "bob"))
        await self.tick(gate, tick(13 * CENT, 5, "c1", "bob"))
        await gate.credit("bob", 2, UNIT)
        await self.tick(gate, tick(12 * CENT, 4, "c1", "bob"))
        assert await gate.open_calls("n1") == [held_call("c1", 12 * CENT, 5, "bob")]

    async def test_one_script_charges_all_calls_of_a_partition(self, gate):
        for n in range(1_500):
            await gate.open(opening(f"c{n}", first_micros=1, want_micros=1, **ANY_NUMBER))
        claims = [tick(n + 1, n, f"c{n}") for n in range(1_500)]
        outcome = await self.tick(gate, *claims, tick(1, 1, "stranger"))
        assert outcome.short == {}
        assert outcome.lost == ["stranger"]
        assert outcome.balances == {"alice": 10 * UNIT - sum(range(1, 1_501))}

    async def test_a_short_tick_gets_what_is_left(self, gate):
        await gate.open(opening())
        await gate.open(opening("c2"))
        outcome = await self.tick(gate, tick(10 * UNIT, 1), tick(9 * CENT, 1, "c2"))
        held = 10 * UNIT - 8 * CENT
        assert outcome == answer({"c1": held, "c2": 8 * CENT}, balance=0)

    async def test_accounts_of_a_partition_do_not_pay_for_each_other(self, gate):
        neighbour = neighbour_of(gate, "alice")
        await gate.credit(neighbour, 1, 5 * CENT)
        await gate.open(opening())
        await gate.open(opening("c2", neighbour))
        outcome = await self.tick(
            gate, tick(9 * CENT, 1, "c2", neighbour), tick(9 * CENT, 1), tick(1, 1, "cx", neighbour)
        )
        assert outcome.short == {"c2": 5 * CENT}
        assert outcome.lost == ["cx"]
        assert outcome.balances == {neighbour: 0, "alice": 10 * UNIT - 9 * CENT}

    async def test_ticks_of_a_frozen_account_are_granted_nothing_more(self, gate):
        await gate.open(opening())
        await gate.freeze("alice", True)
        outcome = await self.tick(gate, tick(9 * CENT, 1))
        left = 10 * UNIT - 8 * CENT
        assert outcome == answer({"c1": 8 * CENT}, balance=left, frozen=("alice",))

    async def test_a_reversal_below_zero_stops_the_calls_but_takes_nothing(self, gate):
        await gate.open(opening())
        await gate.credit("alice", 2, -11 * UNIT)
        outcome = await self.tick(gate, tick(9 * CENT, 1))
        assert outcome == answer({"c1": 8 * CENT}, balance=-UNIT - 8 * CENT)
        outcome = await gate.close(closing(final_micros=9 * CENT))
        assert outcome.charged_micros == 8 * CENT
        assert outcome.written_off_micros == CENT

    async def test_no_ticks_ask_nothing(self, gate):
        assert await gate.tick(0, []) == TickOutcome({}, [], [], {}, {}, {}, [])

    async def test_a_closed_call_is_told_from_one_that_the_gate_does_not_know(self, gate):
        await gate.open(opening())
        await gate.close(closing())
        outcome = await self.tick(gate, tick(12 * CENT, 4), tick(12 * CENT, 4, "stranger"))
        left = 10 * UNIT - 3 * CENT
        assert outcome == answer(lost=["stranger"], closed=["c1"], balance=left)

    async def test_a_lost_call_is_opened_again_with_what_it_has_used(self, gate):
        claim = tick(12 * CENT, 4)
        assert (await self.tick(gate, claim)).lost == ["c1"]
        await gate.open(opening(want_micros=12 * CENT, per_minute_micros=UNIT))
        outcome = await self.tick(gate, claim)
        assert outcome == answer(balance=10 * UNIT - 12 * CENT, burn=UNIT)
        assert (await gate.close(closing())).balance_micros == 10 * UNIT - 3 * CENT

    # Closing.

    async def test_close_gives_the_rest_of_the_horizon_back(self, gate):
        await gate.open(opening())
        await self.tick(gate, tick(10 * CENT, 2))
        left = 10 * UNIT - 3 * CENT
        assert await gate.close(closing()) == CloseOutcome(CloseResult.CLOSED, 3 * CENT, 0, left)

    async def test_only_the_first_close_counts(self, gate):
        await gate.open(opening())
        await gate.close(closing())
        outcome = await gate.close(closing(final_micros=7 * CENT, seconds=7))
        left = 10 * UNIT - 3 * CENT
        assert outcome == CloseOutcome(CloseResult.ALREADY_CLOSED, 3 * CENT, 0, left, seconds=3)
        assert await gate.balance("alice") == left

    async def test_whoever_closes_again_because_an_answer_was_lost_is_told_it_was_they(self, gate):
        await gate.open(opening(want_micros=10 * UNIT - 2 * CENT))
        first = closing(final_micros=10 * UNIT + 3 * CENT)
        assert not (await gate.close(first)).is_repeat
        again = await gate.close(first)
        assert again == CloseOutcome(
            CloseResult.ALREADY_CLOSED, 10 * UNIT, 0, 0, seconds=3, is_repeat=True
        )
        other = b'{"closed":"by another"}'
        assert not (await gate.close(replace(first, detail=other))).is_repeat
        assert not (await gate.close(replace(first, final_micros=9 * UNIT))).is_repeat
        assert not (await gate.close(replace(first, seconds=4))).is_repeat

    async def test_close_takes_grace_from_the_balance_and_writes_the_rest_off(self, gate):
        await gate.open(opening(want_micros=10 * UNIT - 2 * CENT))
        outcome = await gate.close(closing(final_micros=10 * UNIT + 3 * CENT))
        assert outcome == CloseOutcome(CloseResult.CLOSED, 10 * UNIT, 3 * CENT, 0)

    async def test_an_end_is_told_again_only_where_the_outbox_has_lost_it(self, gate):
        assert not await gate.resend_ending("c1", "alice")
        await gate.open(opening())
        assert not await gate.resend_ending("c1", "alice"), "it has not ended"
        detail = b'{"seconds":3,"browser":{"talk_ms":9},"carrier":{},"carrier_seconds":null}'
        await gate.close(replace(closing(), detail=detail))
        told = await self.outbox(gate)
        assert not await gate.resend_ending("c1", "alice", b'{"opened":true}')
        assert await self.outbox(gate) == told
        await self.lose_outbox(gate)
        assert await gate.resend_ending("c1", "alice")
        assert not await gate.resend_ending("c1", "alice"), "it waits there again"
        ((kind, end),) = await self.outbox(gate)
        assert (kind, end) == ("C", told[-1][1] | {"m": b'{"seconds":3}'})
        await self.lose_outbox(gate)
        assert await gate.resend_ending("c1", "alice", b'{"opened":true}')
        assert [kind for kind, _ in await self.outbox(gate)] == ["O", "C"]
        assert (await self.outbox(gate))[0][1]["m"] == b'{"opened":true}'
        assert await gate.balance("alice") == 10 * UNIT - 3 * CENT

    async def test_what_was_written_off_is_told_again_too(self, gate):
        await gate.open(opening(want_micros=10 * UNIT))
        await gate.close(closing(final_micros=12 * UNIT, seconds=12))
        await self.lose_outbox(gate)
        assert await gate.resend_ending("c1", "alice")
        ((_, end),) = await self.outbox(gate)
        assert (end["s"], end["w"], end["d"]) == (b"%d" % (10 * UNIT), b"%d" % (2 * UNIT), b"12")

    async def test_what_a_spent_call_leaves_carries_no_other_on(self, gate):
        """All calls of an account end together; another kind of end, or credit, is for the rest."""
        await gate.open(opening("dear", want_micros=9 * UNIT))
        for n in range(3):
            await gate.open(opening(f"c{n}", want_micros=3 * CENT))
        left = UNIT - 9 * CENT
        outcome = await self.tick(gate, tick(10 * UNIT, 1, "dear"))
        assert outcome.short == {"dear": 9 * UNIT + left}
        spent = replace(closing("dear", 9 * UNIT, 1), is_out_of_credit=True)
        assert (await gate.close(spent)).balance_micros == left
        outcome = await self.tick(gate, tick(4 * CENT, 3, "c0"))
        assert (outcome.short, outcome.balances["alice"]) == ({"c0": 3 * CENT}, left)
        assert (await gate.open(opening("new"))).result is OpenResult.OPENED
        await gate.close(closing("new"))
        assert (await self.tick(gate, tick(4 * CENT, 3, "c0"))).short == {}
        assert (await self.tick(gate, tick(50 * UNIT, 3, "c1"))).short != {}
        await gate.credit("alice", 2, 5 * UNIT)
        assert (await self.tick(gate, tick(5 * CENT, 4, "c0"))).short == {}

    async def test_what_a_refund_takes_brings_no_credit_back(self, gate):
        await gate.open(opening("dear", want_micros=9 * UNIT))
        await gate.open(opening("c0", want_micros=3 * CENT))
        await self.tick(gate, tick(10 * UNIT, 1, "dear"))
        await gate.close(replace(closing("dear", 9 * UNIT, 1), is_out_of_credit=True))
        await gate.credit("alice", 2, -CENT)
        assert (await self.tick(gate, tick(4 * CENT, 3, "c0"))).short == {"c0": 3 * CENT}

    async def test_an_account_without_calls_begins_anew(self, gate):
        await gate.open(opening("c1", want_micros=9 * UNIT))
        await self.tick(gate, tick(11 * UNIT, 1))
        await gate.close(replace(closing("c1", 9 * UNIT, 1), is_out_of_credit=True))
        await gate.open(opening("c2"))
        assert (await self.tick(gate, tick(10 * CENT, 2, "c2"))).short == {}

    async def test_endings_are_listed_page_by_page_with_how_the_calls_were_opened(self, gate):
        partition = gate.partition("alice")
        assert await gate.endings(partition, 0, count_max=5) == EndingPage([], 0)
        for n in range(5):
            await gate.open(opening(f"c{n}", detail=b'{"opened":%d}' % n))
            await gate.close(closing(f"c{n}", final_micros=n * CENT, seconds=n))
        await gate.open(opening("live"))
        found, page = [], await gate.endings(partition, 0, count_max=2)
        while page.endings:
            found += page.endings
            page = await gate.endings(partition, page.ended_s, count_max=2)
        assert sorted(found, key=lambda ending: ending.call_id) == [
            GateEnding(f"c{n}", "alice", n, n * CENT, b'{"opened":%d}' % n) for n in range(5)
        ]

    async def test_what_a_gate_is_filled_with_is_all_it_knows_of_an_ending(self, empty_gate):
        gate, state = empty_gate, PartitionState(closed_calls=[("c1", 3 * CENT)])
        await gate.rebuild(gate.partition("alice"), state)
        page = await gate.endings(gate.partition("alice"), 0, count_max=5)
        assert page.endings == [GateEnding("c1", "", 0, 3 * CENT)]
        assert not await gate.resend_ending("c1", "alice")

    async def test_what_a_gate_is_filled_with_of_calls_it_tells_to_a_book_that_lost_it(
        self, empty_gate
    ):
        gate, partition = empty_gate, empty_gate.partition("alice")
        state = PartitionState(
            open_calls=[held_call("c2", 8 * CENT, 2)],
            closed_calls=[("c1", 3 * CENT)],
            memories=[
                CallMemory("c1", "alice", b'{"of":1}', b'{"end":1}', 3 * CENT, 1 * CENT, 4, 9),
                CallMemory("c2", "alice", b'{"of":2}'),
                CallMemory("gone", "alice", b'{"of":3}', b'{"end":3}', CENT, 0, 1, 9),
            ],
        )
        assert await gate.rebuild(partition, state)
        page = await gate.endings(partition, 0, count_max=5)
        assert page.endings == [GateEnding("c1", "alice", 4, 3 * CENT, b'{"of":1}')]
        assert not await gate.resend_ending("gone", "alice"), "the book knows no such call"
        assert await gate.resend_ending("c1", "alice", page.endings[0].opened)
        await gate.resend_open(partition)
        name, account = {"c": b"c1", "a": b"alice"}, {"a": b"alice"}
        assert await self.outbox(gate) == [
            ("O", {**name, "s": b"0", "m": b'{"of":1}'}),
            ("C", {**name, "s": b"30000", "d": b"4", "w": b"10000", "m": b'{"end":1}'}),
            ("O", {"c": b"c2", **account, "s": b"80000", "m": b'{"of":2}'}),
            ("T", {"d": b"c2 80000:2"}),
        ]

    async def test_open_calls_are_told_again_with_all_they_hold(self, gate):
        partition = gate.partition("alice")
        assert await gate.resend_open(partition) == 0
        assert await self.outbox(gate) == []
        await gate.open(opening("c1"))
        await gate.open(opening("c2"))
        await self.tick(gate, tick(10 * CENT, 2))
        await self.lose_outbox(gate)
        assert await gate.resend_open(partition) == 2
        *openings, (kind, ticks) = await self.outbox(gate)
        told = {fields["c"]: (fields["a"], fields["s"], fields["m"]) for _, fields in openings}
        record = b'{"opened":true}'
        assert [kind for kind, _ in openings] == ["O", "O"]
        assert told == {b"c1": (b"alice", b"100000", record), b"c2": (b"alice", b"80000", record)}
        words = ticks["d"].split()
        assert kind == "T"
        assert dict(zip(words[::2], words[1::2], strict=True)) == {
            b"c1": b"100000:2",
            b"c2": b"80000:0",
        }

    async def test_an_unanswered_call_costs_nothing(self, gate):
        await gate.open(opening())
        outcome = await gate.close(closing(final_micros=0, seconds=0))
        assert outcome == CloseOutcome(CloseResult.CLOSED, 0, 0, 10 * UNIT)

    async def test_an_unknown_call_cannot_be_closed(self, gate):
        outcome = await gate.close(closing("stranger"))
        assert outcome == CloseOutcome(CloseResult.UNKNOWN, 0, 0, 10 * UNIT)

    # Credits.

    async def test_credits_are_applied_once_and_in_order(self, gate):
        assert await gate.credit("alice", 3, UNIT) is CreditResult.GAP
        assert await gate.credit("alice", 2, UNIT) is CreditResult.APPLIED
        assert await gate.credit("alice", 2, UNIT) is CreditResult.DUPLICATE
        assert await gate.credit("alice", 1, UNIT) is CreditResult.DUPLICATE
        assert await gate.credit("alice", 3, -2 * UNIT) is CreditResult.APPLIED
        assert await gate.balance("alice") == 9 * UNIT
        assert await gate.credit_sequence("alice") == 3

    async def test_an_account_never_credited_has_nothing(self, gate):
        assert await gate.balance("nobody") == 0
        assert await gate.credit_sequence("nobody") == 0

    async def test_amounts_are_exact_up_to_the_limit(self, gate):
        await gate.credit("rich", 1, LIMIT)
        assert await gate.balance("rich") == LIMIT
        await gate.open(opening("r1", "rich", want_micros=LIMIT - 2))
        assert await gate.balance("rich") == 2
        outcome = await self.tick(gate, tick(LIMIT - 1, 5, "r1", "rich"))
        assert outcome.balances == {"rich": 1}
        outcome = await gate.close(closing("r1", LIMIT - 3, account_id="rich"))
        assert outcome == CloseOutcome(CloseResult.CLOSED, LIMIT - 3, 0, 3)

    async def test_a_balance_beyond_the_limit_is_refused(self, gate):
        with pytest.raises(MoneyError):
            await gate.credit("alice", 2, LIMIT)
        assert await gate.credit_sequence("alice") == 1
        assert await gate.credit("alice", 2, -LIMIT) is CreditResult.APPLIED

    # The outbox.

    async def test_the_outbox_tells_a_calls_story_as_state(self, gate):
        await gate.open(opening())
        await self.tick(gate, tick(9 * CENT, 1))
        await self.tick(gate, tick(9 * CENT, 1))
        await gate.close(closing())
        assert await self.outbox(gate) == [
            ("O", {"c": b"c1", "a": b"alice", "s": b"80000", "m": b'{"opened":true}'}),
            ("T", {"d": b"c1 90000:1"}),
            (
                "C",
                {"c": b"c1", "a": b"alice", "s": b"30000", "d": b"3", "w": b"0"}
                | {"m": b'{"closed":true}'},
            ),
        ]

    async def test_the_outbox_forgets_what_is_trimmed(self, gate):
        partition = gate.partition("alice")
        for n in range(5):
            await gate.open(opening(f"c{n}"))
        await gate.credit("bob", 1, UNIT)
        await gate.open(opening("b1", "bob"))
        waiting = await gate.read_outboxes(range(gate.partitions), 4)
        assert sorted(waiting) == sorted([partition, gate.partition("bob")])
        assert waiting[partition] == await gate.read_outbox(partition, 4)
        assert await gate.read_outboxes([gate.partition("carol")], 4) == {}
        assert await gate.read_outboxes([], 4) == {}
        assert await gate.outbox_length() == 6
        oldest = await gate.read_outbox(partition, 3)
        assert [entry.fields["c"] for entry in oldest] == [b"c0", b"c1", b"c2"]
        await gate.trim_outbox(partition, [entry.entry_id for entry in oldest])
        await gate.trim_outbox(partition, [entry.entry_id for entry in oldest])
        await gate.trim_outbox(partition, [])
        rest = await gate.read_outbox(partition, 3)
        assert [entry.fields["c"] for entry in rest] == [b"c3", b"c4"]
        assert await gate.outbox_length() == 3

    async def test_open_calls_are_listed_by_node(self, gate):
        await gate.open(opening("c1"))
        await gate.credit("bob", 1, UNIT)
        await gate.open(opening("c2", "bob", node="n2"))
        await gate.open(opening("c3", "bob"))
        first, second, third = (
            held_call("c1", 8 * CENT, 0),
            held_call("c2", 8 * CENT, 0, "bob", "n2"),
            held_call("c3", 8 * CENT, 0, "bob"),
        )
        assert by_id(await gate.open_calls("n1")) == [first, third]
        assert by_id(await gate.open_calls()) == [first, second, third]
        assert await gate.open_calls("n3") == []

    async def test_an_open_call_has_a_node_for_its_own_account(self, gate):
        await gate.credit("bob", 1, UNIT)
        await gate.open(opening("c1", node="n1"))
        await gate.open(opening("c2", "bob", node="n2"))
        await gate.open(opening("c3", "bob", node="n1"))
        await gate.credit(neighbour_of(gate, "alice"), 1, UNIT)
        await gate.open(opening("c4", neighbour_of(gate, "alice"), node="n4"))
        assert await gate.nodes_of("alice") == {"c1": "n1"}
        assert await gate.nodes_of("bob") == {"c2": "n2", "c3": "n1"}
        assert await gate.nodes_of("nobody") == {}
        await gate.close(closing("c1"))
        assert await gate.nodes_of("alice") == {}

    async def test_an_open_call_is_described_whole(self, gate):
        capped = {"caps": [DAY, MONTH], "per_minute_micros": 10**12, "node": 'n/"é"'}
        await gate.open(opening(**capped))
        described = held_call(
            "c1",
            8 * CENT,
            0,
            node='n/"é"',
            per_minute_micros=10**12,
            cap_names=(DAY.name, MONTH.name),
        )
        assert await gate.open_calls() == [described]
        await gate.name_carrier_call("c1", "alice", "CA1")
        assert await gate.open_calls() == [replace(described, carrier_call_id="CA1")]

    async def test_the_answer_is_kept_as_it_was_told_with_the_first_second(self, gate):
        await gate.open(opening(caps=[DAY]))
        await gate.open(opening("c2"))
        before = tick(8 * CENT, 0, caps=[DAY])
        first, other = tick(9 * CENT, 1, caps=[DAY]), tick(9 * CENT, 1, "c2")
        for claim in (before, replace(first, answered_ms=1_780_000_000_123)):
            await self.tick(gate, claim, other)
        await gate.name_carrier_call("c1", "alice", "CA1")
        later = replace(first, seconds=2, answered_ms=5, caps=[MONTH])
        await self.tick(gate, later, replace(other, seconds=2))
        told = {call.call_id: call.answered_ms for call in await gate.open_calls()}
        assert told == {"c1": 1_780_000_000_123, "c2": 0}

    async def test_a_carrier_names_only_an_open_call_of_that_account(self, gate):
        await gate.open(opening())
        before = await gate.open_calls()
        assert await gate.name_carrier_call("stranger", "alice", "CA1") is None
        assert await gate.name_carrier_call("c1", neighbour_of(gate, "alice"), "CA1") is None
        assert await gate.open_calls() == before
        await gate.name_carrier_call("c1", "alice", "CA1")
        await gate.name_carrier_call("c1", "alice", "CA2")
        await gate.name_carrier_call("c1", "alice", "CA2")
        await gate.close(closing())
        assert await gate.name_carrier_call("c1", "alice", "CA3") is None
        assert await gate.open_calls() == []
        # Each new name is told to the book, once.
        outbox = await self.outbox(gate)
        assert [kind for kind, _ in outbox] == ["O", "T", "T", "C"]
        told = b"c1 %d:0" % (8 * CENT)
        assert [fields for kind, fields in outbox if kind == "T"] == [
            {"d": told, "n": b"CA1"},
            {"d": told, "n": b"CA2"},
        ]

    # Rebuilding.

    async def test_a_ready_partition_is_not_rebuilt(self, gate):
        state = PartitionState(accounts=[("alice", 1, 1)])
        assert await gate.rebuild(gate.partition("alice"), state) is False
        assert await gate.balance("alice") == 10 * UNIT

    async def test_an_empty_gate_refuses_until_it_is_rebuilt(self, empty_gate):
        gate, partition = empty_gate, empty_gate.partition("alice")
        assert await gate.is_ready(partition) is False
        for attempt in (
            gate.open(opening()),
            gate.close(closing()),
            self.tick(gate, tick(1, 1)),
            gate.credit("alice", 1, 1),
            gate.balance("alice"),
            gate.credit_sequence("alice"),
            gate.freeze("alice", True),
            gate.open_calls("n1"),
            gate.name_carrier_call("c1", "alice", "CA1"),
            gate.nodes_of("alice"),
        ):
            with pytest.raises(StoreUnavailableError):
                await attempt
        # What only tells what there is may be asked.
        assert not any(astuple(await gate.snapshot(partition))[:5])
        assert await gate.resend_open(partition) == 0
        assert (await gate.endings(partition, 7, count_max=5)) == EndingPage([], 7)
        assert await gate.resend_ending("c1", "alice") is False
        assert await gate.put_back(partition) is False
        assert await gate.is_ready(partition) is False
        state = PartitionState(
            accounts=[("alice", LIMIT - 1, 7), ("debtor", -5, 1)],
            open_calls=[held_call("c1", 8 * CENT, 2, node="n/1")],
            closed_calls=[("c0", 5 * CENT)],
            frozen=["debtor"],
        )
        assert await gate.rebuild(partition, state) is True
        assert await gate.rebuild(partition, PartitionState()) is False
        assert await gate.is_ready(partition) is True
        assert await gate.balance("alice") == LIMIT - 1
        assert await gate.credit_sequence("alice") == 7
        assert (await gate.open(opening("c0"))).result is OpenResult.ALREADY_CLOSED
        assert (await gate.close(closing("c0"))).charged_micros == 5 * CENT
        one = {"concurrent_calls_max": 1}
        assert (await gate.open(opening("c2", **one))).result is OpenResult.TOO_MANY_CALLS
        assert (await gate.close(closing())).balance_micros == LIMIT - 1 + 5 * CENT

    async def test_what_is_told_of_the_carrier_belongs_to_one_filling(self, empty_gate):
        gate, partition = empty_gate, empty_gate.partition("alice")
        calls = [held_call("c1", CENT, 1)]
        assert await gate.fillings([partition]) == {}, "it is empty"
        await gate.rebuild(partition, PartitionState([("alice", UNIT, 1)], calls))
        filling = await gate.name_carrier_call("c1", "alice", "CA1")
        assert filling
        assert await gate.fillings([partition]) == {partition: filling}
        assert (await gate.tick(partition, [tick(2, 2)])).filling == filling

    async def test_entries_name_the_one_before_them_booked_or_not(self, gate):
        partition = gate.partition("alice")
        assert await gate.last_entry_ids([partition]) == {partition: "0-0"}
        await gate.open(opening())
        await self.tick(gate, tick(9, 1))
        first, second = await gate.read_outbox(partition, 10)
        assert (first.previous_id, second.previous_id) == ("0-0", first.entry_id)
        await gate.trim_outbox(partition, [first.entry_id, second.entry_id])
        assert await gate.last_entry_ids([partition]) == {partition: second.entry_id}
        await gate.close(closing())
        (third,) = await gate.read_outbox(partition, 10)
        assert third.previous_id == second.entry_id

    async def test_a_withdrawn_partition_waits_and_keeps_its_outbox(self, gate):
        partition = gate.partition("alice")
        await gate.open(opening())
        filling = (await gate.fillings([partition]))[partition]
        assert await gate.withdraw(partition, "another") is False
        assert await gate.is_ready(partition)
        for meant in (filling, filling, ""):
            assert await gate.withdraw(partition, meant)
        with pytest.raises(StoreUnavailableError):
            await gate.balance("alice")
        (entry,) = await gate.read_outbox(partition, 10)
        with pytest.raises(NotDrainedError):
            await gate.rebuild(partition, PartitionState([("alice", CENT, 1)]))
        await gate.trim_outbox(partition, [entry.entry_id])
        assert await gate.rebuild(partition, PartitionState([("alice", CENT, 1)]))
        assert await gate.balance("alice") == CENT

    async def test_a_withdrawn_partition_tells_all_it_holds_and_may_be_put_back(self, gate):
        partition = gate.partition("alice")
        await gate.open(opening("c0"))
        await gate.close(closing("c0"))
        await gate.open(opening())
        entries = await gate.read_outbox(partition, 10)
        await gate.trim_outbox(partition, [entry.entry_id for entry in entries])
        before, filling = await gate.snapshot(partition), await gate.fillings([partition])
        assert await gate.put_back(partition) is False, "it is in service"
        await gate.withdraw(partition)
        assert await gate.fillings([partition]) == {}
        assert await gate.snapshot(partition) == before
        assert await gate.resend_open(partition) == 1
        (ended,) = (await gate.endings(partition, 0, count_max=5)).endings
        assert await gate.resend_ending(ended.call_id, ended.account_id, ended.opened)
        assert {kind for kind, _ in await self.outbox(gate)} >= {"O", "C", "T"}
        # Else a restored book would give out its numbers a second time.
        assert await gate.credit_sequence("alice") == 1
        with pytest.raises(StoreUnavailableError):
            await gate.credit("alice", 2, 1)
        assert await gate.put_back(partition)
        assert await gate.snapshot(partition) == before
        assert await gate.fillings([partition]) == filling
        assert await gate.credit("alice", 2, 1) is CreditResult.APPLIED

    async def test_what_a_filled_partition_writes_is_newer_than_what_is_booked(self, empty_gate):
        gate, partition = empty_gate, empty_gate.partition("alice")
        mark = PartitionMark("9999999999999-7")
        await gate.rebuild(partition, PartitionState([("alice", 9 * UNIT, 1)], mark=mark))
        assert await gate.last_entry_ids([partition]) == {partition: mark.booked_id}
        assert await gate.outbox_length() == 0
        await gate.open(opening())
        (entry,) = await gate.read_outbox(partition, 10)
        assert entry.previous_id == mark.booked_id
        assert entry.entry_id.startswith("9999999999999-")

    async def test_a_snapshot_rebuilds_the_same_partition(self, empty_gate):
        gate, partition = empty_gate, empty_gate.partition("alice")
        state = PartitionState(
            accounts=[("alice", LIMIT - 1, 7), ("debtor", -5, 1)],
            open_calls=[
                held_call("c1", LIMIT, 0, node="n/1"),
                held_call(
                    "c2",
                    9 * CENT,
                    1,
                    "debtor",
                    carrier_call_id='CA"1',
                    per_minute_micros=10**12 - 1,
                    cap_names=(DAY.name, "key:k/1:day:2026-11-24"),
                ),
            ],
            closed_calls=[("c0", 5 * CENT)],
            frozen=["debtor"],
            spent=[(DAY.name, LIMIT - 2), (MONTH.name, 1)],
        )
        assert await gate.rebuild(partition, state)
        assert await gate.snapshot(partition) == replace(state, closed_calls=())

    async def test_a_rebuilt_partition_goes_on_with_counters_and_burns(self, empty_gate):
        gate, partition = empty_gate, empty_gate.partition("alice")
        calls = [
            held_call("c1", 8 * CENT, 2, per_minute_micros=UNIT, cap_names=(DAY.name,)),
            held_call("c2", 8 * CENT, 0, per_minute_micros=UNIT, cap_names=(DAY.name,)),
        ]
        spent = [(DAY.name, 90 * CENT)]
        await gate.rebuild(partition, PartitionState([("alice", UNIT, 1)], calls, spent=spent))
        outcome = await self.tick(gate, tick(11 * CENT, 3, caps=[DAY]))
        assert (outcome.burns, outcome.spent) == ({"alice": UNIT}, {DAY.name: 93 * CENT})
        await gate.close(closing(final_micros=11 * CENT))
        outcome = await self.tick(gate, tick(16 * CENT, 1, "c2", caps=[DAY]))
        assert outcome.short == {"c2": 15 * CENT}
        assert (outcome.burns, outcome.spent) == ({"alice": UNIT}, {DAY.name: UNIT})

    async def test_what_has_ended_leaves_nothing_but_balances(self, gate):
        before = await gate.snapshot(gate.partition("alice"))
        for n in range(3):
            await gate.open(opening(f"c{n}", caps=[DAY, MONTH], per_minute_micros=UNIT))
            await self.tick(gate, tick(9 * CENT, 1, f"c{n}", caps=[DAY, MONTH]))
            await gate.close(closing(f"c{n}", final_micros=0))
        assert await gate.snapshot(gate.partition("alice")) == before

    # Spend caps.

    async def test_a_cap_bounds_the_first_hold(self, gate):
        narrow = SpendCap("narrow", 5 * CENT)
        outcome = await gate.open(opening(caps=[DAY, narrow]))
        assert outcome == OpenOutcome(OpenResult.OPENED, 5 * CENT, 10 * UNIT - 5 * CENT, 8 * CENT)
        assert await self.spent(gate) == {DAY.name: 5 * CENT, "narrow": 5 * CENT}
        await gate.open(opening(caps=[DAY, narrow]))
        assert await self.spent(gate) == {DAY.name: 5 * CENT, "narrow": 5 * CENT}

    async def test_a_cap_must_reach_the_first_increment(self, gate):
        caps = [DAY, SpendCap("narrow", CENT - 1)]
        outcome = await gate.open(opening(caps=caps))
        assert outcome == OpenOutcome(OpenResult.CAP_REACHED, 0, 10 * UNIT)
        assert await self.spent(gate) == {}
        assert await gate.open_calls() == []
        outcome = await gate.open(opening(first_micros=CENT - 1, caps=caps))
        assert outcome.granted_micros == CENT - 1

    async def test_other_refusals_come_before_a_cap(self, gate):
        none_left = [SpendCap("none", 0)]
        poor = opening("p1", "nobody", caps=none_left)
        assert (await gate.open(poor)).result is OpenResult.INSUFFICIENT_CREDIT
        many = opening(caps=none_left, concurrent_calls_max=0)
        assert (await gate.open(many)).result is OpenResult.TOO_MANY_CALLS
        await gate.freeze("alice", True)
        assert (await gate.open(opening(caps=none_left))).result is OpenResult.FROZEN

    async def test_calls_share_a_cap(self, gate):
        shared = SpendCap("shared", 20 * CENT)
        await gate.open(opening("c1", caps=[shared]))
        await gate.open(opening("c2", caps=[shared]))
        assert (await gate.open(opening("c3", caps=[shared]))).granted_micros == 4 * CENT
        assert (await gate.open(opening("c4", caps=[shared]))).result is OpenResult.CAP_REACHED
        await gate.close(closing("c2"))
        assert await self.spent(gate) == {"shared": 15 * CENT}
        assert (await gate.open(opening("c4", caps=[shared]))).granted_micros == 5 * CENT

    async def test_a_cap_reached_in_mid_call_is_told_from_an_empty_balance(self, gate):
        shared, wide = SpendCap("shared", 20 * CENT), SpendCap("wide", 10 * UNIT)
        caps = [wide, shared]
        await gate.open(opening("c1", caps=caps))
        await gate.open(opening("c2", caps=caps))
        await gate.open(opening("c3"))
        outcome = await self.tick(
            gate,
            tick(11 * CENT, 3, "c1", caps=caps),
            tick(11 * CENT, 3, "c2", caps=caps),
            tick(10 * UNIT, 3, "c3"),
        )
        free = 10 * UNIT - 20 * CENT
        assert outcome.short == {"c2": 9 * CENT, "c3": free}
        assert list(outcome.capped) == ["c2"]
        assert outcome.balances == {"alice": 0}
        assert outcome.spent == {"wide": 20 * CENT, "shared": 20 * CENT}
        # Both leave nothing now, and of the two the balance is what credit can help.
        outcome = await self.tick(gate, tick(12 * CENT, 4, "c1", caps=caps))
        assert (outcome.short, list(outcome.capped)) == ({"c1": 11 * CENT}, [])

    async def test_a_frozen_account_is_not_kept_short_by_a_cap(self, gate):
        cap = SpendCap("shared", 8 * CENT)
        await gate.open(opening(caps=[cap]))
        await gate.freeze("alice", True)
        outcome = await self.tick(gate, tick(9 * CENT, 1, caps=[cap]))
        assert (outcome.short, list(outcome.capped)) == ({"c1": 8 * CENT}, [])

    async def test_a_cap_that_is_lowered_takes_nothing_back(self, gate):
        await gate.open(opening(caps=[DAY]))
        lowered = [SpendCap(DAY.name, 2 * CENT)]
        outcome = await self.tick(gate, tick(9 * CENT, 1, caps=lowered))
        assert (outcome.short, list(outcome.capped)) == ({"c1": 8 * CENT}, ["c1"])
        assert outcome.balances == {"alice": 10 * UNIT - 8 * CENT}
        assert outcome.spent == {DAY.name: 8 * CENT}

    async def test_one_cap_by_two_limits_has_one_counter(self, gate):
        low, high = [SpendCap("shared", 17 * CENT)], [SpendCap("shared", 30 * CENT)]
        await gate.open(opening("c1", caps=low))
        await gate.open(opening("c2", caps=low))
        outcome = await self.tick(
            gate,
            tick(10 * CENT, 2, "c1", caps=high),
            tick(10 * CENT, 2, "c2", caps=low),
        )
        assert (outcome.short, list(outcome.capped)) == ({"c2": 8 * CENT}, ["c2"])
        assert outcome.spent == {"shared": 18 * CENT}
        assert await self.spent(gate) == {"shared": 18 * CENT}

    async def test_repeated_and_stale_ticks_count_once(self, gate):
        await gate.open(opening(caps=[DAY]))
        claims = [tick((second + 8) * CENT, second, caps=[DAY]) for second in range(1, 6)]
        for claim in (*claims, *claims, *reversed(claims)):
            await self.tick(gate, claim)
        assert await self.spent(gate) == {DAY.name: 13 * CENT}

    async def test_closing_gives_the_rest_of_the_hold_back_to_each_cap(self, gate):
        await gate.open(opening(caps=[DAY, MONTH]))
        await gate.close(closing())
        await gate.close(closing())
        assert await self.spent(gate) == {DAY.name: 3 * CENT, MONTH.name: 3 * CENT}

    @pytest.mark.parametrize(("others", "charged"), [(0, 25), (12, 13), (20, 5), (25, 0)])
    async def test_grace_is_charged_as_far_as_the_caps_that_are_named(self, gate, others, charged):
        day = SpendCap("shared", 25 * CENT)
        if others:
            await gate.open(opening("c2", caps=[MONTH, day], want_micros=others * CENT))
        # Of a full cap a call that the gate had lost is opened with nothing.
        await gate.open(opening(caps=[MONTH, day], is_running=others == 25))
        outcome = await gate.close(closing(final_micros=40 * CENT, caps=[MONTH, day]))
        assert (outcome.charged_micros, outcome.written_off_micros) == (
            charged * CENT,
            (40 - charged) * CENT,
        )
        assert (await self.spent(gate))["shared"] == 25 * CENT

    async def test_grace_counts_beyond_a_cap_that_whoever_closes_does_not_name(self, gate):
        cap = SpendCap("shared", 8 * CENT)
        await gate.open(opening(caps=[cap]))
        assert (await gate.close(closing(final_micros=11 * CENT))).charged_micros == 11 * CENT
        assert await self.spent(gate) == {"shared": 11 * CENT}
        assert (await gate.open(opening("c2", caps=[cap]))).result is OpenResult.CAP_REACHED

    async def test_a_new_day_is_counted_by_itself(self, gate):
        await gate.open(opening(caps=[DAY, MONTH]))
        next_day = [SpendCap("alice:day:2", UNIT), MONTH]
        await self.tick(gate, tick(10 * CENT, 2, caps=next_day))
        stale = tick(9 * CENT, 1, caps=[DAY, MONTH])
        await self.tick(gate, stale)
        (call,) = await gate.open_calls()
        assert call.cap_names == ("alice:day:2", MONTH.name)
        assert await self.spent(gate) == {
            DAY.name: 8 * CENT,
            "alice:day:2": 2 * CENT,
            MONTH.name: 10 * CENT,
        }
        await gate.close(closing(final_micros=9 * CENT))
        assert await self.spent(gate) == {
            DAY.name: 8 * CENT,
            "alice:day:2": CENT,
            MONTH.name: 9 * CENT,
        }

    async def test_a_counter_never_falls_below_nothing(self, gate):
        await gate.open(opening(caps=[DAY]))
        await self.tick(gate, tick(9 * CENT, 1, caps=[SpendCap("alice:day:2", UNIT)]))
        await gate.close(closing(final_micros=0))
        assert await self.spent(gate) == {DAY.name: 8 * CENT}

    async def test_a_call_whose_caps_were_lifted_still_settles_them(self, gate):
        await gate.open(opening(caps=[DAY]))
        await self.tick(gate, tick(9 * CENT, 1))
        await gate.close(closing(final_micros=5 * CENT))
        assert await self.spent(gate) == {DAY.name: 4 * CENT}

    async def test_a_call_that_is_lost_or_closed_spends_nothing(self, gate):
        await gate.open(opening(caps=[DAY]))
        await gate.close(closing())
        claims = [tick(9 * CENT, 1, call_id, caps=[DAY]) for call_id in ("c1", "stranger")]
        outcome = await self.tick(gate, *claims)
        assert (outcome.lost, outcome.closed) == (["stranger"], ["c1"])
        assert outcome.spent == {DAY.name: 3 * CENT}

    # Burns.

    async def test_answered_calls_of_all_nodes_burn_together(self, gate):
        for call_id, node in (("c1", "n1"), ("c2", "n2"), ("c3", "n2")):
            await gate.open(opening(call_id, node=node, per_minute_micros=UNIT))
        outcome = await self.tick(gate, tick(8 * CENT, 0, "c1"))
        assert outcome.burns == {"alice": 0}
        for _ in range(2):
            outcome = await self.tick(gate, tick(9 * CENT, 1, "c1"))
            assert outcome.burns == {"alice": UNIT}
        outcome = await self.tick(gate, tick(10 * CENT, 2, "c2"))
        assert outcome.burns == {"alice": 2 * UNIT}
        await gate.close(closing("c3"))  # never answered, so it never burned
        await gate.close(closing("c1"))
        outcome = await self.tick(gate, tick(10 * CENT, 2, "c2"))
        assert outcome.burns == {"alice": UNIT}
        await gate.close(closing("c2"))
        await gate.open(opening("c4", per_minute_micros=UNIT))
        assert (await self.tick(gate, tick(8 * CENT, 0, "c4"))).burns == {"alice": 0}

    async def test_a_call_without_credit_left_still_burns(self, gate):
        await gate.open(opening(want_micros=10 * UNIT, per_minute_micros=3))
        outcome = await self.tick(gate, tick(11 * UNIT, 1))
        assert (outcome.short, outcome.burns) == ({"c1": 10 * UNIT}, {"alice": 3})

    # Whole histories.

    async def test_calls_of_one_account_share_its_last_seconds_exactly(self, gate):
        """Twenty calls, money for a hundred seconds: never below zero, every second used."""
        await gate.credit("shared", 1, 100 * CENT)
        calls = await open_meters(gate, 20, "shared")
        assert 0 < len(calls) <= 20
        lowest, seconds, now_ns = 0, 0, 0
        while calls:
            now_ns += S
            calls, ended = await charge(gate, calls, now_ns)
            seconds += ended
            lowest = min(lowest, await gate.balance("shared"))
        assert lowest == 0
        assert seconds == 100
        assert await gate.balance("shared") == 0

    async def test_random_histories_conserve_money(self, gate):
        """Of a hundred calls with repeats and losses of every message, each pays its price once."""
        chance = random.Random(20261124)
        await gate.credit("shared", 1, 40 * UNIT)
        expected, counted = 40 * UNIT, 0
        for n in range(100):
            rate = Rate(per_minute_micros=chance.randrange(10**6), first_s=chance.choice((1, 6)))
            caps = [SpendCap("all", 100 * UNIT)] if chance.random() < 0.9 else []
            call = opening(f"r{n}", "shared", first_micros=0, want_micros=rate.cost(8), caps=caps)
            end = chance.randrange(20)
            for _ in range(chance.choice((1, 2))):
                assert (await gate.open(call)).result is OpenResult.OPENED
            claims = [tick(rate.cost(s + 8), s, f"r{n}", "shared", caps) for s in range(1, end)]
            chance.shuffle(claims)
            for claim in claims[: chance.randrange(20)]:
                await self.tick(gate, claim)
            for _ in range(chance.choice((1, 2))):
                outcome = await gate.close(closing(f"r{n}", rate.cost(end), end, "shared"))
            expected -= rate.cost(end)
            counted += rate.cost(end) if caps else 0
            assert outcome.charged_micros == rate.cost(end)
            assert await gate.balance("shared") == expected
        assert (await gate.snapshot(gate.partition("shared"))).spent == [("all", counted)]
        final = [f for kind, f in await self.outbox(gate, "shared") if kind == "C"]
        assert 40 * UNIT - sum(int(f["s"]) for f in final) == expected


def by_id(calls):
    return sorted(calls, key=lambda call: call.call_id)


def neighbour_of(gate, account_id):
    """Another account of the same partition."""
    names = (f"n{n}" for n in range(10_000))
    return next(n for n in names if gate.partition(n) == gate.partition(account_id))


ANY_NUMBER = {"concurrent_calls_max": 10_000}


async def open_meters(gate, count, account_id):
    """Open up to `count` calls of a cent a second; return their meters, answered at 0."""
    meters = []
    for n in range(count):
        outcome = await gate.open(opening(f"m{n}", account_id))
        if outcome.result is OpenResult.OPENED:
            meters.append(
                CallMeter(
                    f"m{n}", account_id, CENT_A_SECOND, outcome.granted_micros, seconds_max=3_600
                )
            )
            meters[-1].answered(0)
            meters[-1].heard()
    return meters


async def charge(gate, meters, now_ns):
    """One second of a node: tick, then close what is due. Returns live meters, seconds ended."""
    ticks = [meter.tick(now_ns) for meter in meters]
    outcome = await gate.tick(gate.partition(meters[0].account_id), ticks)
    for meter in meters:
        meter.granted(outcome.short.get(meter.call_id), now_ns)
    due = [meter for meter in meters if meter.cut_off_ns <= now_ns]
    total = 0
    for meter in due:
        seconds, micros = meter.final(now_ns)
        closed = await gate.close(closing(meter.call_id, micros, seconds, meter.account_id))
        assert closed.charged_micros == micros
        total += seconds
    return [meter for meter in meters if meter not in due], total
