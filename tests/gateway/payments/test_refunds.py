"""Refunds that are begun here: from unspent credit, once, told once, finished when broken off."""

import asyncio

import pytest

from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments.refunds import REFERENCE_CHARS_MAX
from tests.gateway.payments.conftest import UNIT, open_shop


async def test_refunds_take_credit_once_each(shop):
    payment = await shop.paid()
    await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    refunded = await shop.refunds.send_back(payment.id, 7 * UNIT, reference="b")
    again = await shop.refunds.send_back(payment.id, 7 * UNIT, reference="b")
    assert refunded.refunded_micros == again.refunded_micros == 12 * UNIT
    assert await shop.balance() == 13
    refunds = await shop.objects("refunds")
    assert [refund["amount"] for refund in refunds] == [700, 500]
    for refund in refunds:
        await shop.payments.book_object("refund", refund["id"])
    assert await shop.balance() == 13
    assert [data["micros"] for data in shop.told("payment.refunded")] == [5 * UNIT, 7 * UNIT]


async def test_a_reference_is_written_as_people_write(shop):
    payment = await shop.paid()
    names = ("Rückgabe 17", "返金", "x" * REFERENCE_CHARS_MAX, "\U0001f4de" * REFERENCE_CHARS_MAX)
    for name in names:
        for _ in range(2):
            await shop.refunds.send_back(payment.id, UNIT, reference=name)
    refunds = await shop.objects("refunds")
    assert [each["metadata"]["refund"].rpartition(":")[2] for each in refunds] == [*names[::-1]]
    assert await shop.balance() == 25 - len(names)


async def test_a_reference_is_one_refund_of_one_amount(shop):
    payment = await shop.paid()
    await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    with pytest.raises(RequestRefusedError) as refused:
        await shop.refunds.send_back(payment.id, 7 * UNIT, reference="a")
    assert refused.value.code == "refund_reference_reused"
    assert (await shop.balance(), len(await shop.objects("refunds"))) == (20, 1)
    # Nor once that refund has failed.
    (refund,) = await shop.objects("refunds")
    await shop.does("POST", f"/refunds/{refund['id']}/fail")
    await shop.payments.book_object("refund", refund["id"])
    with pytest.raises(RequestRefusedError):
        await shop.refunds.send_back(payment.id, 7 * UNIT, reference="a")
    # Another payment's is another.
    other = await shop.paid()
    await shop.refunds.send_back(other.id, 7 * UNIT, reference="a")
    assert await shop.balance() == 43


async def test_of_two_amounts_at_once_a_reference_is_one_refund(engine):
    """Two operators, or one who corrects an amount while the first command still runs."""
    async with open_shop(engine) as shop:
        payment = await shop.paid()
        asked = asyncio.Barrier(2)
        entries = shop.store.entries

        async def both_look_first(payment):
            """Let each see that there is no refund yet, before any is booked."""
            found = await entries(payment)
            if not any(each.kind == "refund" for each in found):
                await asked.wait()
            return found

        shop.store.entries = both_look_first
        outcomes = await asyncio.gather(
            *(shop.refunds.send_back(payment.id, n * UNIT, reference="a") for n in (5, 7)),
            return_exceptions=True,
        )
        refused = [each for each in outcomes if isinstance(each, RequestRefusedError)]
        assert [each.code for each in refused] == ["refund_reference_reused"]
        (served,) = (each for each in outcomes if not isinstance(each, BaseException))
        refunds = await shop.objects("refunds")
        assert [refund["amount"] * 10_000 for refund in refunds] == [served.refunded_micros]
        assert await shop.ledger.balance("alice") == 25 * UNIT - served.refunded_micros
        assert shop.event_names().count("payment.refunded") == 1


async def test_of_one_amount_at_once_it_is_one_refund_too(engine):
    async with open_shop(engine) as shop:
        payment = await shop.paid()
        await asyncio.gather(
            *(shop.refunds.send_back(payment.id, 5 * UNIT, reference="a") for _ in range(3))
        )
        assert [refund["amount"] for refund in await shop.objects("refunds")] == [500]
        assert await shop.ledger.balance("alice") == 20 * UNIT
        assert shop.event_names().count("payment.refunded") == 1


async def test_a_refund_that_fails_at_the_bank_gives_its_credit_back(shop):
    payment = await shop.paid()
    await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    (refund,) = await shop.objects("refunds")
    await shop.does("POST", f"/refunds/{refund['id']}/fail")
    booked = await shop.payments.book_object("refund", refund["id"])
    assert (booked.refunded_micros, await shop.balance()) == (0, 25)
    refunds = ["payment.refunded", "payment.refund_failed"]
    assert shop.event_names() == ["payment.received", *refunds]
    with pytest.raises(RequestRefusedError):
        await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")


@pytest.mark.parametrize("micros", [26 * UNIT, 21 * UNIT])
async def test_only_unspent_credit_goes_back(shop, micros):
    payment = await shop.paid()
    await shop.ledger.add_credit("alice", -5 * UNIT, reference="spent", kind="grant")
    with pytest.raises(RequestRefusedError) as refused:
        await shop.refunds.send_back(payment.id, micros, reference="a")
    assert refused.value.code == "refund_too_large"
    assert (await shop.balance(), await shop.objects("refunds")) == (20, [])


async def test_credit_that_is_spent_meanwhile_is_not_refunded(shop):
    payment = await shop.paid()
    shop.refunds._balance = iter_balance([25 * UNIT, -1])
    with pytest.raises(RequestRefusedError) as refused:
        await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    assert refused.value.code == "refund_too_large"
    assert (await shop.balance(), await shop.objects("refunds")) == (25, [])


def iter_balance(answers):
    """Return a spend gate's balance that is another each time."""
    waiting = iter(answers)

    async def balance(account_id):
        return next(waiting)

    return balance


async def test_what_the_service_refuses_to_refund_is_given_back(shop):
    payment = await shop.paid()
    await shop.does("POST", "/refunds", payment_intent=payment.payment_intent_id, amount=2_400)
    with pytest.raises(PaymentError) as refused:
        await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    assert not refused.value.retryable
    assert await shop.balance() == 25
    assert shop.event_names() == ["payment.received"], "nothing has left, and nothing is lacking"
    await shop.payments.book_outcome(payment)
    assert await shop.balance() == 1


async def test_a_refund_without_an_answer_is_finished_by_the_same_words(shop):
    payment = await shop.paid()
    await shop.does("PUT", "/faults", requests={"status": 500, "count": 9, "path": "/v1/refunds"})
    with pytest.raises(PaymentError) as unknown:
        await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    assert unknown.value.retryable
    assert await shop.balance() == 20
    await shop.does("DELETE", "/faults")
    await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    assert await shop.balance() == 20
    assert len(await shop.objects("refunds")) == 1
    assert shop.event_names() == ["payment.received", "payment.refunded"]


async def test_a_refund_without_an_answer_that_is_refused_after_all_is_told_so(shop):
    payment = await shop.paid()
    await shop.does("PUT", "/faults", requests={"status": 500, "count": 9, "path": "/v1/refunds"})
    with pytest.raises(PaymentError):
        await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    await shop.does("DELETE", "/faults")
    await shop.does("POST", "/refunds", payment_intent=payment.payment_intent_id, amount=2_400)
    with pytest.raises(PaymentError) as refused:
        await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    assert not refused.value.retryable
    assert await shop.balance() == 25
    assert shop.event_names() == ["payment.received", "payment.refunded", "payment.refund_failed"]


async def test_a_refund_whose_answer_was_lost_is_not_made_again_when_its_key_is_forgotten(shop):
    payment = await shop.paid()
    our_id = f"{payment.id}:500:a"
    await shop.ledger.add_credit(
        "alice",
        -5 * UNIT,
        reference=f"refund:{our_id}",
        kind="refund",
        reason="Refund.",
        payment_id=payment.id,
    )
    await shop.service.refund(payment.payment_intent_id, 500, our_id)
    await shop.does("PUT", "/clock", offset_s=2 * 86_400)
    refunded = await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    assert refunded.refunded_micros == 5 * UNIT
    assert (await shop.balance(), len(await shop.objects("refunds"))) == (20, 1)


@pytest.mark.parametrize("has_failed", [False, True])
async def test_a_refund_that_an_older_copy_of_the_book_lacks_is_not_made_again(shop, has_failed):
    """The copy is from before the refund; by now the service has forgotten its key."""
    payment = await shop.paid()
    refund = await shop.service.refund(payment.payment_intent_id, 500, f"{payment.id}:500:a")
    if has_failed:
        await shop.does("POST", f"/refunds/{refund.id}/fail")
    await shop.does("PUT", "/clock", offset_s=2 * 86_400)
    for _ in range(2):
        if has_failed:
            with pytest.raises(RequestRefusedError) as refused:
                await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
            assert refused.value.code == "refund_reference_reused"
        else:
            await shop.refunds.send_back(payment.id, 5 * UNIT, reference="a")
    gone = 0 if has_failed else 5
    refunded = await shop.store.find(payment.id)
    assert (refunded.refunded_micros, await shop.balance()) == (gone * UNIT, 25 - gone)
    assert len(await shop.objects("refunds")) == 1
    await shop.check()


async def test_what_cannot_be_refunded_is_refused(shop):
    open_payment, _ = await shop.payments.start_checkout("alice", 25 * UNIT)
    paid = await shop.paid(units=10)
    for payment_id, micros, code in (
        ("pay_none", UNIT, "payment_not_found"),
        (open_payment.id, UNIT, "refund_too_large"),
        (paid.id, 0, "amount_out_of_range"),
        (paid.id, -UNIT, "amount_out_of_range"),
        (paid.id, 1, "amount_out_of_range"),
    ):
        with pytest.raises(RequestRefusedError) as refused:
            await shop.refunds.send_back(payment_id, micros, reference="a")
        assert refused.value.code == code
