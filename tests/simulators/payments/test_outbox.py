"""Which deliveries are due when, under faults; no HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.payments import outbox as outbox_module
from simulators.payments.clock import NS_PER_S
from simulators.payments.faults import DeliveryFault, FaultPlan, Faults, parse_plan
from simulators.payments.outbox import Attempt, Outbox

from .test_registry import event


def outbox(**fault: Any) -> Outbox:
    faults = Faults()
    faults.replace(FaultPlan(deliveries=DeliveryFault(**fault)))
    return Outbox((1, 2), faults)


def test_an_event_is_tried_until_it_arrives() -> None:
    box, sent = outbox(), event("a", 1)
    box.add(sent, 0)
    assert box.due(0, 9) == [Attempt("a", 1)]
    box.note_outcome(Attempt("a", 1), sent, 500, 0)
    assert (box.due(NS_PER_S - 1, 9), box.next_ns) == ([], NS_PER_S)
    assert box.due(NS_PER_S, 9) == [Attempt("a", 2)]
    box.note_outcome(Attempt("a", 2), sent, 204, NS_PER_S)
    assert (box.next_ns, sent.pending_webhooks) == (None, 0)
    assert [(entry["attempt"], entry["status"]) for entry in box.log()] == [(1, 500), (2, 204)]


@pytest.mark.parametrize("status", [0, 302, 400, 503])
def test_an_event_is_given_up_after_the_last_retry(status: int) -> None:
    box, sent = outbox(), event("a", 1)
    box.add(sent, 0)
    now_ns = 0
    for number in (1, 2, 3):
        assert box.due(now_ns, 9) == [Attempt("a", number)]
        box.note_outcome(Attempt("a", number), sent, status, now_ns)
        now_ns = box.next_ns or now_ns
    assert box.next_ns is None
    assert not sent.is_finished
    box.redeliver(sent, now_ns)
    assert box.due(now_ns, 9) == [Attempt("a", 1)]


def test_only_so_many_are_begun_at_a_time() -> None:
    box = outbox()
    for name in "abc":
        box.add(event(name, 1), 0)
    assert [attempt.event_id for attempt in box.due(0, 2)] == ["a", "b"]
    assert [attempt.event_id for attempt in box.due(0, 2)] == ["c"]


def test_faults_drop_duplicate_delay_and_shuffle() -> None:
    dropping = outbox(drop=("a.b",))
    dropping.add(event("a", 1), 0)
    assert dropping.next_ns is None

    doubling = outbox(duplicate=2, delay_s=3)
    doubling.add(event("a", 1), 0)
    assert doubling.next_ns == 3 * NS_PER_S
    assert len(doubling.due(3 * NS_PER_S, 9)) == 3

    shuffling = outbox(shuffle_s=10)
    names = [f"e{n}" for n in range(20)]
    for name in names:
        shuffling.add(event(name, 1), 0)
    arrived = [attempt.event_id for attempt in shuffling.due(10 * NS_PER_S, 99)]
    assert arrived != names
    assert sorted(arrived) == sorted(names)


def test_every_so_many_attempts_are_lost_or_fail() -> None:
    box = outbox(lose_every=2, fail_every=3)
    for n in range(6):
        box.add(event(f"e{n}", 1), 0)
    due = box.due(0, 9)
    assert [attempt.is_lost for attempt in due] == [False, True] * 3
    assert [attempt.is_failed for attempt in due] == [False, False, True] * 2


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "QUEUE_MAX", 2)
    box = outbox(duplicate=5)
    box.add(event("a", 1), 0)
    assert len(box.due(0, 99)) == 2


def test_request_faults_are_used_up() -> None:
    faults = Faults()
    faults.replace(parse_plan(b'{"requests":{"status":503,"count":2,"path":"/v1/refunds"}}'))
    assert faults.request("POST", "/v1/charges") is None
    assert faults.request("POST", "/v1/refunds") is not None
    assert faults.request("GET", "/v1/refunds/re_1") is not None
    assert faults.request("POST", "/v1/refunds") is None


def test_only_one_method_can_be_disturbed() -> None:
    faults = Faults()
    faults.replace(parse_plan(b'{"requests":{"status":503,"method":"POST"}}'))
    assert faults.request("GET", "/v1/refunds") is None
    assert faults.request("POST", "/v1/refunds") is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"storm":1}',
        b'{"requests":{"status":200}}',
        b'{"requests":{"hold_s":601}}',
        b'{"deliveries":{"delay_s":-1}}',
        b'{"deliveries":{"shuffle_s":601}}',
        b'{"deliveries":{"duplicate":11}}',
        b'{"deliveries":{"fail_every":-1}}',
        b'{"deliveries":{"signature_age_s":1e12}}',
    ],
)
def test_senseless_plans_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_plan(body)
