"""The payment service tells by webhooks, over real sockets and badly; the book is right."""

import pytest

from database.errors import StoreUnavailableError
from tests.gateway.payments.conftest import until

FAULTS = [
    {},
    {"duplicate": 3},
    {"fail_every": 2},
    {"lose_every": 3},
    {"shuffle_s": 0.4, "duplicate": 1, "fail_every": 3},
]


async def is_quiet(shop):
    """Whether every event has been delivered."""
    return (await shop.does("GET", "/state"))["undelivered"] == 0


@pytest.mark.parametrize("deliveries", FAULTS)
async def test_however_it_is_told_each_fact_is_booked_once(told_shop, deliveries):
    shop = told_shop
    await shop.does("PUT", "/faults", deliveries=deliveries)

    async def is_all_told():
        return await is_quiet(shop)

    first, second = await shop.pays(units=25), await shop.pays("bob", units=50)
    await until(is_all_told)
    first, second = await shop.store.find(first.id), await shop.store.find(second.id)
    for amount in (500, 300):
        await shop.does("POST", "/refunds", payment_intent=first.payment_intent_id, amount=amount)
    denied = await shop.does("POST", "/disputes", payment_intent=second.payment_intent_id)
    await until(is_all_told)
    assert (await shop.balance(), await shop.balance("bob")) == (17, 0)
    assert shop.frozen == {"bob": True}
    await shop.does("POST", f"/disputes/{denied['id']}", status="won")
    await until(is_all_told)
    assert (await shop.balance(), await shop.balance("bob")) == (17, 50)

    async def is_thawed():
        return shop.frozen == {"bob": False}

    # A copy of the dispute that is still being read may freeze once more, until it finds out.
    await until(is_thawed)
    assert sorted(shop.event_names()) == sorted(
        [
            *["payment.received"] * 2,
            *["payment.refunded"] * 2,
            "payment.disputed",
            "payment.dispute_won",
        ]
    )


@pytest.mark.parametrize("age_s", [400, -400])
async def test_a_signature_of_another_time_is_refused_by_whoever_it_comes(told_shop, age_s):
    shop = told_shop
    await shop.does("PUT", "/faults", deliveries={"signature_age_s": age_s})
    await shop.pays()

    async def is_refused():
        log = (await shop.does("GET", "/deliveries"))["data"]
        return sum(each["status"] == 403 for each in log) > 3

    await until(is_refused)
    assert await shop.balance() == 0


async def test_the_service_is_asked_to_try_again_when_the_book_is_away(told_shop, monkeypatch):
    shop = told_shop
    booked = shop.ledger.add_credit
    failures = []

    async def failing_first(*arguments, **options):
        if len(failures) < 2:
            failures.append(arguments)
            raise StoreUnavailableError("away")
        return await booked(*arguments, **options)

    monkeypatch.setattr(shop.ledger, "add_credit", failing_first)
    await shop.pays()

    async def is_credited():
        return await shop.balance() == 25

    await until(is_credited)
    log = (await shop.does("GET", "/deliveries"))["data"]
    assert any(each["status"] == 503 for each in log)
    assert len(failures) == 2
