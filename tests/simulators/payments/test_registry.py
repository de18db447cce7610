"""Objects by kind and identifier, bounded; appointments by object."""

from __future__ import annotations

import re

import pytest

from simulators.payments.account import MerchantAccount
from simulators.payments.errors import ApiError
from simulators.payments.registry import Registry
from simulators.payments.resources import (
    Cause,
    Charge,
    Customer,
    Event,
    EventData,
    PaymentIntent,
)
from simulators.payments.schedule import Schedule

from .conftest import NOW_NS, form
from .test_checkout import SESSION


def registry(seed: int = 0, kept: int = 3) -> tuple[Registry, list[str]]:
    forgotten: list[str] = []
    return Registry(seed, kept, forgotten.append, {}), forgotten


def event(event_id: str, pending: int) -> Event:
    data = EventData(object={})
    return Event(
        id=event_id, created=1, type="a.b", data=data, request=Cause(), pending_webhooks=pending
    )


def test_identifiers_follow_from_the_seed() -> None:
    first, second, other = (registry(seed)[0] for seed in (1, 1, 2))
    ids = [first.new_id("pi") for _ in range(1000)]
    assert ids == [second.new_id("pi") for _ in range(1000)]
    assert len(set(ids) | {other.new_id("pi")}) == 1001
    assert all(re.fullmatch(r"pi_[0-9A-Za-z]{24}", made) for made in ids)


def test_the_oldest_finished_object_goes_first() -> None:
    objects, forgotten = registry()
    for name, pending in (("a", 1), ("b", 0), ("c", 0), ("d", 1), ("e", 1), ("f", 1)):
        objects.add(event(name, pending))
    assert forgotten == ["b", "c", "a"]
    assert [known.id for known in objects.newest(Event)] == ["f", "e", "d"]
    assert objects.counts() == {"event": 3}


def test_a_kind_can_have_a_bound_of_its_own() -> None:
    objects = Registry(0, 3, lambda _: None, {Event: 1})
    for name in "ab":
        objects.add(event(name, 0))
    assert [known.id for known in objects.newest(Event)] == ["b"]


def test_an_object_is_found_by_kind() -> None:
    objects, _ = registry()
    known = objects.add(event("a", 0))
    assert objects.find(Event, "a") is known
    assert objects.look_up("a") is known
    assert objects.look_up("b") is None
    with pytest.raises(ApiError) as caught:
        objects.find(Customer, "a", "customer")
    assert caught.value.envelope() == {
        "error": {
            "type": "invalid_request_error",
            "message": "No such customer: 'a'",
            "code": "resource_missing",
            "param": "customer",
        }
    }


def test_what_can_still_happen_is_not_finished(account: MerchantAccount) -> None:
    session = account.checkout.create(form(SESSION), NOW_NS)
    account.checkout.pay(session.id, "bank", None, NOW_NS)
    intent = account.world.registry.find(PaymentIntent, str(session.payment_intent))
    charge = account.world.registry.find(Charge, str(intent.latest_charge))
    assert [known.is_finished for known in (session, intent, charge)] == [False] * 3
    account.intents.conclude(intent.id, NOW_NS, is_paid=True)
    assert [known.is_finished for known in (session, intent, charge)] == [True] * 3
    refund = account.refunds.give_back(charge, 100, NOW_NS)
    dispute = account.disputes.open(charge, NOW_NS)
    assert [known.is_finished for known in (refund, dispute)] == [False] * 2
    account.refunds.fail(refund.id, NOW_NS)
    account.disputes.decide(dispute.id, "lost", NOW_NS)
    assert [known.is_finished for known in (refund, dispute)] == [True] * 2


def test_appointments_are_kept_in_order_of_time() -> None:
    schedule = Schedule()
    done: list[tuple[str, int]] = []

    def note(name: str) -> None:
        schedule.set(
            name, {"a": 30, "b": 10, "c": 20}[name], lambda at_ns: done.append((name, at_ns))
        )

    for name in "abc":
        note(name)
    assert schedule.next_ns == 10
    schedule.drop("c")
    schedule.drop("z")
    schedule.advance(9)
    assert done == []
    schedule.advance(30)
    assert done == [("b", 30), ("a", 30)]
    assert schedule.next_ns is None


def test_an_appointment_can_cancel_another() -> None:
    schedule = Schedule()
    done: list[int] = []
    schedule.set("a", 1, lambda _: schedule.drop("b"))
    schedule.set("b", 2, done.append)
    schedule.advance(5)
    assert done == []
