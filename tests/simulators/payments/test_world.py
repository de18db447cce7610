"""Events and the balance of one account."""

from __future__ import annotations

import json
from dataclasses import replace

from simulators.payments.account import MerchantAccount
from simulators.payments.resources import BalanceTransaction, Cause, Event, to_json
from simulators.payments.world import World, encode

from .conftest import FAST, NOW_NS, form


def test_an_event_is_a_snapshot_with_what_has_changed(account: MerchantAccount) -> None:
    world = account.world
    world.cause = Cause("req_1", "key")
    customer = account.customers.open(NOW_NS, "a@example.com")
    before = to_json(customer)
    customer.name = "A"
    world.emit("customer.updated", customer, NOW_NS, before)
    customer.name = "B"
    event = next(iter(world.registry.newest(Event)))
    assert event.data.object["name"] == "A"
    assert event.data.previous_attributes == {"name": None}
    assert (event.request, event.pending_webhooks) == (Cause("req_1", "key"), 1)
    assert [attempt.event_id for attempt in world.outbox.due(NOW_NS, 9)] == [event.id]


def test_without_an_endpoint_nothing_is_pending() -> None:
    account = MerchantAccount(replace(FAST, webhook_url=""), "http://pay.test")
    account.customers.create(form("name=A"), NOW_NS)
    world = account.world
    assert [event.pending_webhooks for event in world.registry.newest(Event)] == [0]
    assert world.outbox.next_ns is None


def test_the_balance_is_the_sum_of_its_movements() -> None:
    world = World(FAST, "http://pay.test")
    for amount in (2500, -1000, -2000):
        world.book("charge", amount, "eur", "ch_1", NOW_NS)
    world.book("charge", 700, "jpy", "ch_2", NOW_NS)
    assert world.balance == {"eur": -500, "jpy": 700}
    assert [movement.net for movement in world.registry.newest(BalanceTransaction)] == [
        700,
        -2000,
        -1000,
        2500,
    ]


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    account = MerchantAccount(replace(FAST, objects_kept=10), "http://pay.test")
    for _ in range(11):
        account.customers.find_method("pm_card_visa", NOW_NS)
    assert len(account.world.method_states) == 10


def test_json_is_indented_by_two() -> None:
    assert encode({"a": 1}) == b'{\n  "a": 1\n}'
    assert json.loads(encode({"a": 1})) == {"a": 1}
