"""`expand[]` on snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.payments.account import MerchantAccount
from simulators.payments.errors import ApiError
from simulators.payments.expansion import expand
from simulators.payments.resources import Json, to_json

from .conftest import NOW_NS, form
from .test_checkout import SESSION


@pytest.fixture
def session(account: MerchantAccount) -> Json:
    made = account.checkout.create(form(SESSION), NOW_NS)
    account.checkout.pay(made.id, "card", None, NOW_NS)
    return to_json(made)


def test_a_path_leads_through_several_objects(account: MerchantAccount, session: Json) -> None:
    paths = ("payment_intent.latest_charge.refunds", "payment_intent.payment_method", "customer")
    expanded: Any = expand(session, paths, account.world.registry)
    charge = expanded["payment_intent"]["latest_charge"]
    assert (charge["paid"], charge["refunds"]["data"]) == (True, [])
    assert expanded["payment_intent"]["payment_method"]["card"]["last4"] == "4242"
    assert expanded["customer"] is None


def test_a_list_is_expanded_item_by_item(account: MerchantAccount, session: Json) -> None:
    listed: Any = {"object": "list", "data": [session, dict(session)]}
    expand(listed, ("data.payment_intent",), account.world.registry)
    assert {item["payment_intent"]["object"] for item in listed["data"]} == {"payment_intent"}


def test_what_was_forgotten_stays_an_identifier(account: MerchantAccount) -> None:
    assert expand({"charge": "ch_gone"}, ("charge",), account.world.registry) == {
        "charge": "ch_gone"
    }


@pytest.mark.parametrize("path", ["status", "nothing", "custom_fields", "a.b.c.d.e.f", "data"])
def test_what_cannot_be_expanded_is_refused(
    account: MerchantAccount, session: Json, path: str
) -> None:
    with pytest.raises(ApiError):
        expand(session, (path,), account.world.registry)
