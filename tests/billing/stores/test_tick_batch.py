"""Ticks as the tick script reads them, and its answers put together."""

import json

import pytest

from billing.ports import SpendCap, Tick
from billing.stores.tick_batch import CAPS_PER_CALL_MAX, TickBatch, TickReply


def test_accounts_and_caps_are_named_once():
    day, month = SpendCap("day", 10), SpendCap("month", 20)
    ticks = [
        Tick("c1", "alice", 100, 1, [day, month]),
        Tick("c2", "bob", 200, 2),
        Tick("c3", "alice", 300, 3, [month]),
    ]
    batch = TickBatch(7, ticks)
    assert json.loads(batch.encoded) == [
        ["c1", "c2", "c3"],
        ["alice", "bob"],
        [1, 2, 1],
        [100, 200, 300],
        [1, 2, 3],
        ["day", "month"],
        [10, 20],
        [[1, 2], [], [2]],
    ]
    assert (batch.accounts, batch.caps) == (["alice", "bob"], ["day", "month"])


def test_ticks_without_caps_carry_none():
    assert len(json.loads(TickBatch(0, [Tick("c1", "alice", 100, 1)]).encoded)) == 5


def test_more_caps_than_the_script_has_room_for_are_a_mistake():
    caps = [SpendCap(str(n), 1) for n in range(CAPS_PER_CALL_MAX + 1)]
    with pytest.raises(AssertionError):
        TickBatch(0, [Tick("c1", "alice", 100, 1, caps)])


def test_answers_of_several_scripts_are_one_outcome():
    reply = TickReply()
    first = TickBatch(0, [Tick(f"c{n}", "alice", 100, 1) for n in range(3)])
    reply.add(first, ([0, 50, 1, -1, 2, -2], [5], [60], [], [0], [], b"f", [3], [0]))
    reply.add(TickBatch(0, [Tick("d", "bob", 1, 1)]), ([], [9], [0], [], [], [0], b"f", [1], []))
    outcome = reply.outcome()
    assert (outcome.short, outcome.lost, outcome.closed) == ({"c0": 50}, ["c1"], ["c2"])
    assert (outcome.balances, outcome.burns) == ({"alice": 5, "bob": 9}, {"alice": 60, "bob": 0})
    assert (outcome.capped, outcome.frozen, outcome.filling) == (["c0"], ("bob",), "f")
    assert outcome.open_calls == {"alice": 3, "bob": 1}
