"""Payments, refunds and disputes: what is booked, once, whatever is told and how often."""

import asyncio
import copy
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest

from billing.payments import AutoRefusal, PaymentState
from billing.stores.freezes import FreezeReason, set_freeze
from database.errors import StoreUnavailableError
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments.service import ReturnPaths
from gateway.personal_data.erasing import SqlErasing
from gateway.stores.accounts import SqlAccountStore
from tests.gateway.payments.conftest import UNIT, until

# -- paying --------------------------------------------------------------------------------------


async def test_a_payment_becomes_credit_once(shop):
    payment = await shop.pays()
    assert await shop.balance() == 0
    for _ in range(3):
        booked = await shop.payments.book_outcome(payment)
    assert booked.state is PaymentState.PAID
    assert booked.receipt_url.startswith("http")
    assert await shop.balance() == 25
    assert shop.event_names() == ["payment.received"]
    # Whoever booked it may have died before the gate heard of it.
    assert shop.credited == ["alice"] * 3


async def test_all_that_report_it_at_once_are_one_credit(shop):
    payment = await shop.pays()
    (session,) = await shop.objects("checkout.sessions")
    (charge,) = await shop.objects("charges")
    reports = [
        ("checkout.session", session["id"]),
        ("payment_intent", session["payment_intent"]),
        ("charge", charge["id"]),
    ] * 3
    booked = await asyncio.gather(*(shop.payments.book_object(*report) for report in reports))
    assert {each.id for each in booked} == {payment.id}
    assert await shop.balance() == 25
    assert shop.event_names() == ["payment.received"]


async def test_the_page_comes_back_to_us_and_says_whose_money_it_is(shop):
    payment, url = await shop.payments.start_checkout("alice", 25 * UNIT)
    (session,) = await shop.objects("checkout.sessions")
    assert url == session["url"]
    assert session["success_url"] == f"https://calls.example.com/?top-up={payment.id}"
    assert session["cancel_url"] == "https://calls.example.com/?top-up-cancelled=1"
    assert session["amount_total"] == 2_500
    assert session["client_reference_id"] == "alice"
    assert session["metadata"] == {"account": "alice", "payment": payment.id}
    assert (payment.state, payment.checkout_id) == (PaymentState.OPEN, session["id"])


async def test_whoever_begins_it_says_where_the_page_comes_back_to(shop):
    back = ReturnPaths("/paid/{}", "/not-paid")
    payment, _ = await shop.payments.start_checkout("alice", 25 * UNIT, key="form-1", back=back)
    (session,) = await shop.objects("checkout.sessions")
    assert session["success_url"] == f"https://calls.example.com/paid/{payment.id}"
    assert session["cancel_url"] == "https://calls.example.com/not-paid"


async def test_a_card_is_forgotten_here_and_at_the_service(shop):
    await shop.payments.forget_card("alice")
    booked = await shop.payments.book_outcome(await shop.pays(save_card=True))
    assert booked.state is PaymentState.PAID
    before = await shop.store.profile("alice")
    assert before.has_card
    await shop.store.set_auto("alice", enabled=True, threshold_micros=UNIT, amount_micros=10 * UNIT)
    forget, shop.service.forget_customer = shop.service.forget_customer, _away
    with pytest.raises(PaymentError):
        await shop.payments.forget_card("alice")
    # It can still be named there.
    assert (await shop.store.profile("alice")).has_card
    shop.service.forget_customer = forget
    for _ in range(2):
        await shop.payments.forget_card("alice")
        profile = await shop.store.profile("alice")
        assert not profile.has_card
        assert (profile.auto_enabled, profile.auto_off_reason) == (False, "")


async def _away(_customer_id):
    raise PaymentError("away", retryable=True)


async def test_a_double_click_is_one_payment_and_one_page(shop):
    clicks = await asyncio.gather(
        *(shop.payments.start_checkout("alice", 25 * UNIT) for _ in range(3))
    )
    assert len({payment.id for payment, _ in clicks}) == 1
    assert len({url for _, url in clicks}) == 1
    other, _ = await shop.payments.start_checkout("alice", 10 * UNIT)
    assert other.id != clicks[0][0].id


async def test_the_askers_own_key_makes_one_payment_for_good(shop):
    ask = shop.payments.start_checkout
    first, url = await ask("alice", 25 * UNIT, key="form-1")
    assert await ask("alice", 25 * UNIT, key="form-1") == (await shop.store.find(first.id), url)
    other, _ = await ask("bob", 25 * UNIT, key="form-1")
    third, _ = await ask("alice", 25 * UNIT, key="form-2")
    assert len({first.id, other.id, third.id}) == 3
    for changes in ({"micros": 10 * UNIT}, {"save_card": True}):
        with pytest.raises(RequestRefusedError) as refused:
            await ask(**{"account_id": "alice", "micros": 25 * UNIT, "key": "form-1"} | changes)
        assert refused.value.code == "payment_key_reused"


def node_of(shop, origin):
    """Payments of another node, which is reached under another address."""
    node = copy.copy(shop.payments)
    node._settings = replace(shop.settings, public_origin=origin)
    return node


@pytest.mark.parametrize("key", ["form-1", ""])
async def test_nodes_of_different_origins_open_one_page_for_one_wish(shop, key):
    """What the payer asked for counts, not where they are sent back to."""
    nodes = [shop.payments, *(node_of(shop, f"https://n{n}.example.com") for n in range(2))]
    at_once = [node.start_checkout("alice", 25 * UNIT, key=key) for node in nodes]
    later = [await node.start_checkout("alice", 25 * UNIT, key=key) for node in nodes[1:]]
    answers = await asyncio.gather(*at_once) + later
    assert len({payment.id for payment, _ in answers}) == 1
    assert len({url for _, url in answers}) == 1
    assert len(await shop.objects("checkout.sessions")) == 1
    if key:
        for changes in ({"micros": 10 * UNIT}, {"save_card": True}):
            with pytest.raises(RequestRefusedError) as refused:
                await nodes[1].start_checkout(
                    **{"account_id": "alice", "micros": 25 * UNIT, "key": key} | changes
                )
            assert refused.value.code == "payment_key_reused"


async def test_a_page_whose_opening_was_not_noted_is_found_by_another_node(shop, monkeypatch):
    """The node that opened it died before it could write its id down."""

    async def dies(*_arguments, **_options):
        raise StoreUnavailableError("dead")

    with monkeypatch.context() as patch:
        patch.setattr(shop.store, "record", dies)
        with pytest.raises(StoreUnavailableError):
            await shop.payments.start_checkout("alice", 25 * UNIT, key="form-1")
    other = node_of(shop, "https://n1.example.com")
    payment, url = await other.start_checkout("alice", 25 * UNIT, key="form-1")
    (session,) = await shop.objects("checkout.sessions")
    assert (payment.checkout_id, url) == (session["id"], session["url"])


async def test_a_key_whose_page_is_gone_is_no_wish_for_another_payment(shop, monkeypatch):
    """The service kept the key and shows no page: not known, and nothing is made up for it."""

    async def none(_payment):
        return None

    async def refused(_order):
        raise PaymentError("?", service_code="idempotency_error")

    monkeypatch.setattr(shop.service, "find_checkout", none)
    monkeypatch.setattr(shop.service, "open_checkout", refused)
    with pytest.raises(PaymentError):
        await shop.payments.start_checkout("alice", 25 * UNIT, key="form-1")
    assert await shop.objects("checkout.sessions") == []


async def test_a_key_asked_again_after_the_payment_leads_to_its_result(shop):
    payment, url = await shop.payments.start_checkout("alice", 25 * UNIT, key="form-1")
    async with httpx.AsyncClient() as browser:
        await browser.post(url, data={"method": "card", "email": "alice@example.com"})
    again, url = await shop.payments.start_checkout("alice", 25 * UNIT, key="form-1")
    assert (again.id, url) == (payment.id, f"https://calls.example.com/?top-up={payment.id}")


async def test_to_save_the_card_after_all_is_another_payment(shop):
    first, _ = await shop.payments.start_checkout("alice", 25 * UNIT)
    second, _ = await shop.payments.start_checkout("alice", 25 * UNIT, save_card=True)
    assert first.id != second.id


@pytest.mark.parametrize("micros", [0, -UNIT, 5 * UNIT - 1, 5_001_000, 500 * UNIT + 10_000])
async def test_only_what_is_offered_is_charged(shop, micros):
    with pytest.raises(RequestRefusedError) as refused:
        await shop.payments.start_checkout("alice", micros)
    assert refused.value.code == "amount_out_of_range"
    assert await shop.objects("checkout.sessions") == []
    assert await shop.store.page("alice", limit=9) == []


async def test_a_slow_method_is_credited_when_its_money_comes(shop):
    payment = await shop.payments.book_outcome(await shop.pays(method="bank"))
    assert (payment.state, await shop.balance()) == (PaymentState.PROCESSING, 0)
    await shop.does("POST", f"/payment_intents/{payment.payment_intent_id}/conclude", succeed=True)
    payment = await shop.payments.book_object("payment_intent", payment.payment_intent_id)
    assert (payment.state, await shop.balance()) == (PaymentState.PAID, 25)


async def test_a_slow_method_that_fails_is_no_credit(shop):
    payment = await shop.payments.book_outcome(await shop.pays(method="bank"))
    await shop.does("POST", f"/payment_intents/{payment.payment_intent_id}/conclude", succeed=False)
    payment = await shop.payments.book_outcome(payment)
    assert (payment.state, await shop.balance()) == (PaymentState.FAILED, 0)
    assert payment.failure


async def test_after_a_declined_card_another_one_may_be_tried(shop):
    payment = await shop.payments.book_outcome(await shop.pays(method="declined"))
    assert (payment.state, payment.failure) == (PaymentState.OPEN, "generic_decline")
    await shop.does("POST", f"/sessions/{payment.checkout_id}/pay", method="card")
    payment = await shop.payments.book_outcome(payment)
    assert (payment.state, await shop.balance()) == (PaymentState.PAID, 25)


async def test_a_page_that_nobody_pays_expires(shop):
    payment, _ = await shop.payments.start_checkout("alice", 25 * UNIT)
    await shop.does("PUT", "/clock", offset_s=3601)

    async def is_expired():
        booked = await shop.payments.book_object("checkout.session", payment.checkout_id)
        return booked.state is PaymentState.EXPIRED

    await until(is_expired)
    assert await shop.balance() == 0


async def test_reading_looks_it_up_but_not_over_and_over(shop):
    payment = await shop.pays()
    assert (await shop.payments.refresh(payment)).state is PaymentState.OPEN
    shop.clock.ahead += shop.clock.ahead.resolution * 1_100_000
    paid = await shop.payments.refresh(payment)
    assert paid.state is PaymentState.PAID
    await shop.simulator.stop()
    assert await shop.payments.refresh(paid) == paid


async def test_where_the_service_is_away_a_payment_is_read_as_it_is_known(shop):
    payment = await shop.pays()
    shop.clock.ahead += shop.clock.ahead.resolution * 1_100_000
    await shop.does("PUT", "/faults", requests={"status": 500, "count": 100})
    assert await shop.payments.refresh(payment) == payment


@pytest.mark.parametrize(
    ("kind", "object_id"),
    [
        ("checkout.session", "cs_none"),
        ("payment_intent", "pi_none"),
        ("charge", "ch_none"),
        ("dispute", "du_none"),
    ],
)
async def test_what_the_service_does_not_know_is_nothing_of_ours(shop, kind, object_id):
    assert await shop.payments.book_object(kind, object_id) is None


async def test_what_others_sell_at_the_same_service_is_left_alone(shop):
    await shop.paid()
    await shop.service._intents.create_async(
        {"amount": 999, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
    others = (await shop.objects("payment_intents"))[0]
    assert await shop.payments.book_object("payment_intent", others["id"]) is None
    assert await shop.balance() == 25


@pytest.mark.parametrize(("account", "units"), [("alice", 7), ("nobody", 0)])
async def test_a_payment_that_our_book_lost_is_credited_to_whom_it_names(shop, account, units):
    await shop.service._intents.create_async(
        {
            "amount": 700,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "metadata": {"account": account, "payment": "pay_lost"},
        }
    )
    (intent,) = await shop.objects("payment_intents")
    found = await shop.payments.book_object("payment_intent", intent["id"])
    assert (found is not None) == bool(units)
    assert await shop.balance() == units


# -- cards ---------------------------------------------------------------------------------------


async def test_a_card_is_saved_only_when_that_was_wanted(shop):
    await shop.paid()
    assert not (await shop.store.profile("alice")).has_card
    await shop.paid(units=10, save_card=True)
    profile = await shop.store.profile("alice")
    (customer,) = await shop.objects("customers")
    assert profile.customer_id == customer["id"]
    assert profile.payment_method_id.startswith("pm_")
    assert profile.email == "alice@example.com"
    await shop.paid(units=30)
    # The same customer again, and the saved card stays.
    assert len(await shop.objects("customers")) == 1
    assert await shop.store.profile("alice") == profile


async def test_a_customer_that_the_service_has_lost_is_forgotten(shop):
    await shop.store.save_card("alice", "cus_gone", "pm_gone")
    with pytest.raises(PaymentError):
        await shop.payments.start_checkout("alice", 25 * UNIT)
    profile = await shop.store.profile("alice")
    assert (profile.has_card, profile.auto_off_reason) == (False, "card_gone")
    await shop.paid()
    assert await shop.balance() == 25


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "no_saved_card"),
        ({"amount_micros": 4 * UNIT}, "amount_out_of_range"),
        ({"amount_micros": 201 * UNIT}, "amount_out_of_range"),
        ({"threshold_micros": 0}, "amount_out_of_range"),
        ({"threshold_micros": 501 * UNIT}, "amount_out_of_range"),
    ],
)
async def test_automatic_top_ups_need_a_card_and_sensible_amounts(shop, changes, code):
    wish = {"enabled": True, "threshold_micros": 5 * UNIT, "amount_micros": 25 * UNIT} | changes
    with pytest.raises(RequestRefusedError) as refused:
        await shop.payments.set_auto("alice", **wish)
    assert refused.value.code == code
    off = await shop.payments.set_auto("alice", **wish | {"enabled": False})
    assert not off.auto_enabled


# -- refunds -------------------------------------------------------------------------------------


async def test_a_refund_from_the_services_own_pages_takes_credit_too(shop):
    payment = await shop.paid()
    for amount in (500, 700):
        refund = await shop.does(
            "POST", "/refunds", payment_intent=payment.payment_intent_id, amount=amount
        )
        for _ in range(2):
            booked = await shop.payments.book_object("refund", refund["id"])
    assert booked.refunded_micros == 12 * UNIT
    assert await shop.balance() == 13
    assert shop.event_names() == ["payment.received", "payment.refunded", "payment.refunded"]


async def test_what_was_read_before_a_refund_takes_nothing_of_it_back(shop):
    payment = await shop.paid()
    intent = payment.payment_intent_id
    early = await shop.service.intent(intent)
    refund = await shop.does("POST", "/refunds", payment_intent=intent, amount=500)
    await shop.payments.book_object("refund", refund["id"])

    async def read_early(_intent_id):
        return early

    shop.payments._service = SimpleNamespace(intent=read_early)
    booked = await shop.payments.book_outcome(payment)
    assert (booked.refunded_micros, await shop.balance()) == (5 * UNIT, 20)
    await shop.check()


# -- disputes ------------------------------------------------------------------------------------


async def dispute(shop, payment, **order):
    """Deny a payment at the bank."""
    return await shop.does("POST", "/disputes", payment_intent=payment.payment_intent_id, **order)


async def test_a_dispute_takes_the_credit_and_freezes_the_account(shop):
    payment = await shop.paid()
    await shop.ledger.add_credit("alice", -20 * UNIT, reference="spent", kind="grant")
    opened = await dispute(shop, payment)
    for _ in range(2):
        booked = await shop.payments.book_object("dispute", opened["id"])
    assert booked.state is PaymentState.DISPUTED
    assert (await shop.balance(), shop.frozen) == (-20, {"alice": True})
    with pytest.raises(RequestRefusedError):
        await shop.refunds.send_back(payment.id, UNIT, reference="a")


async def test_a_dispute_that_is_won_gives_both_back(shop):
    payment = await shop.paid()
    opened = await dispute(shop, payment)
    await shop.payments.book_object("dispute", opened["id"])
    await shop.does("POST", f"/disputes/{opened['id']}", status="won")
    for _ in range(2):
        booked = await shop.payments.book_object("dispute", opened["id"])
    assert booked.state is PaymentState.WON
    assert (await shop.balance(), shop.frozen) == (25, {"alice": False})
    names = ["payment.received", "payment.disputed", "payment.dispute_won"]
    assert shop.event_names() == names


async def test_a_dispute_that_is_first_heard_of_when_won_changes_nothing(shop):
    payment = await shop.paid()
    opened = await dispute(shop, payment)
    await shop.does("POST", f"/disputes/{opened['id']}", status="won")
    await shop.payments.book_object("dispute", opened["id"])
    assert (await shop.balance(), shop.frozen) == (25, {"alice": False})


async def test_a_dispute_that_is_lost_leaves_the_account_frozen(shop):
    payment = await shop.paid()
    opened = await dispute(shop, payment)
    await shop.does("POST", f"/disputes/{opened['id']}", status="lost")
    booked = await shop.payments.book_object("dispute", opened["id"])
    assert booked.state is PaymentState.LOST
    assert (await shop.balance(), shop.frozen) == (0, {"alice": True})


async def test_an_account_stays_frozen_until_its_last_dispute_is_won(shop):
    opened = []
    for units in (25, 10):
        payment = await shop.paid(units=units)
        opened.append(await dispute(shop, payment))
        await shop.payments.book_object("dispute", opened[-1]["id"])
    for each, frozen in zip(opened, (True, False), strict=True):
        await shop.does("POST", f"/disputes/{each['id']}", status="won")
        await shop.payments.book_object("dispute", each["id"])
        assert shop.frozen == {"alice": frozen}
    assert await shop.balance() == 35


async def test_a_mere_question_of_the_bank_takes_nothing(shop):
    payment = await shop.paid()
    opened = await dispute(shop, payment, inquiry=True)
    booked = await shop.payments.book_object("dispute", opened["id"])
    assert booked.state is PaymentState.PAID
    assert (await shop.balance(), shop.frozen) == (25, {})


async def test_an_operators_unfreezing_is_not_undone_by_a_dispute_that_is_won(shop):
    opened = []
    for units in (25, 10):
        opened.append(await dispute(shop, await shop.paid(units=units)))
        await shop.payments.book_object("dispute", opened[-1]["id"])
    await shop._on_freeze("alice", False)
    await shop.does("POST", f"/disputes/{opened[0]['id']}", status="won")
    await shop.payments.book_object("dispute", opened[0]["id"])
    assert shop.frozen == {"alice": False}


async def freeze(shop, reason):
    async with shop.engine.begin() as connection:
        await set_freeze(connection, "alice", FreezeReason(reason), True, datetime.now(UTC))


def code_of_freeze(reason):
    """Return what is said: who has restricted their own account can end that."""
    return "account_restricted" if reason == "restricted" else "account_frozen"


@pytest.mark.parametrize("reason", ["leaving", "restricted"])
async def test_nobody_pays_for_what_is_given_up_or_not_used(shop, reason):
    await freeze(shop, reason)
    with pytest.raises(RequestRefusedError) as refused:
        await shop.pays()
    assert refused.value.code == code_of_freeze(reason)
    with pytest.raises(RequestRefusedError) as refused:
        await shop.auto.charge_now("alice", 25 * UNIT, "tap")
    assert refused.value.code == code_of_freeze(reason)
    assert await shop.objects("checkout.sessions") == []
    await shop.pays("bob")


@pytest.mark.parametrize("reason", ["leaving", "restricted", "locked"])
async def test_automatic_top_ups_of_a_frozen_account_are_only_switched_off(shop, reason):
    await shop.paid(save_card=True)
    on = {"enabled": True, "threshold_micros": 5 * UNIT, "amount_micros": 20 * UNIT}
    await shop.payments.set_auto("alice", **on)
    await freeze(shop, reason)
    with pytest.raises(RequestRefusedError) as refused:
        await shop.payments.set_auto("alice", **on | {"amount_micros": 30 * UNIT})
    assert refused.value.code == code_of_freeze(reason)
    assert (await shop.store.profile("alice")).auto_amount_micros == 20 * UNIT
    profile = await shop.payments.set_auto("alice", **on | {"enabled": False})
    assert not profile.auto_enabled


async def test_an_operators_unfreezing_is_not_undone_by_the_next_report(shop):
    payment = await shop.paid()
    opened = await dispute(shop, payment)
    await shop.payments.book_object("dispute", opened["id"])
    await shop._on_freeze("alice", False)
    await shop.payments.book_object("dispute", opened["id"])
    assert shop.frozen == {"alice": False}


async def test_a_stale_report_cannot_freeze_what_was_won_meanwhile(shop):
    payment = await shop.paid()
    opened = await dispute(shop, payment)
    on_freeze, asked = shop.payments._on_freeze, []

    async def slow_freeze(account_id, frozen):
        """Let another node see the dispute won, and book it, before this one has frozen."""
        asked.append(frozen)
        if asked == [True]:
            await shop.does("POST", f"/disputes/{opened['id']}", status="won")
            await shop.payments.book_object("dispute", opened["id"])
        await on_freeze(account_id, frozen)

    shop.payments._on_freeze = slow_freeze
    await shop.payments.book_object("dispute", opened["id"])
    assert (await shop.balance(), shop.frozen) == (25, {"alice": False})


# -- accounts that were deleted ------------------------------------------------------------------


async def deleted(shop, account_id="alice"):
    accounts = SqlAccountStore(shop.engine)
    await accounts.mark_deleted(account_id)
    await SqlErasing(shop.engine).erase_person(account_id)


async def test_money_for_a_deleted_account_is_booked_and_reported_and_no_card_is_kept(shop):
    payment = await shop.pays(save_card=True)
    await deleted(shop)
    for _ in range(2):
        booked = await shop.payments.book_outcome(payment)
    assert (booked.state, await shop.balance()) == (PaymentState.PAID, 25)
    assert shop.event_names() == ["payment.received", "payment.account_deleted"]
    assert await shop.objects("customers") == []
    profile = await shop.store.profile("alice")
    assert (profile.has_card, profile.email) == (False, "")
    # It goes back as any other payment does.
    await shop.refunds.send_back(payment.id, 25 * UNIT, reference="deleted")
    assert await shop.balance() == 0


async def test_a_card_that_cannot_be_forgotten_yet_leaves_the_payment_to_be_told_again(shop):
    payment = await shop.pays(save_card=True)
    await deleted(shop)
    fault = {"status": 500, "count": 9, "path": "/v1/customers"}
    await shop.does("PUT", "/faults", requests=fault)
    with pytest.raises(PaymentError):
        await shop.payments.book_outcome(payment)
    await shop.does("DELETE", "/faults")
    await shop.payments.book_outcome(payment)
    assert await shop.balance() == 25


async def test_a_deleted_account_is_not_topped_up(shop):
    await shop.paid(save_card=True)
    await deleted(shop)
    with pytest.raises(RequestRefusedError) as refused:
        await shop.payments.start_checkout("alice", 25 * UNIT)
    assert refused.value.code == "account_frozen"
    assert await shop.auto.maybe_top_up("alice", 0) is AutoRefusal.OFF


async def test_a_dispute_won_thaws_no_deleted_account(shop):
    payment = await shop.paid()
    dispute = await shop.does("POST", "/disputes", payment_intent=payment.payment_intent_id)
    await shop.payments.book_outcome(payment)
    await deleted(shop)
    await shop.does("POST", f"/disputes/{dispute['id']}", status="won")
    await shop.payments.book_outcome(payment)
    assert await shop.balance() == 25
    assert (await shop.store.profile("alice")).frozen
