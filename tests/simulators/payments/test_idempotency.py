"""Idempotency keys: the same request again gives the same reply, another one is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import stripe

from simulators.payments.errors import ApiError
from simulators.payments.idempotency import LIFE_NS, KeptReplies, KeptReply

from .conftest import KEY, NOW_NS, Payments, session_params

FIRST = ("/v1/refunds", "a")
OTHER = ("/v1/refunds", "b")


def reply(at_ns: int = NOW_NS) -> KeptReply:
    return KeptReply(FIRST, 200, b"{}", "req_1", at_ns)


async def test_the_same_key_gives_the_same_session(payments: Payments) -> None:
    sessions = payments.client.v1.checkout.sessions
    first, second = [
        await sessions.create_async(session_params(), {"idempotency_key": "p1:checkout"})
        for _ in range(2)
    ]
    assert first.id == second.id
    assert second.last_response.headers["idempotent-replayed"] == "true"
    listed = await sessions.list_async()
    assert len(listed.data) == 1


async def test_another_request_under_the_same_key_is_refused(payments: Payments) -> None:
    intents = payments.client.v1.payment_intents
    key: Any = {"idempotency_key": "p1:intent"}
    await intents.create_async({"amount": 700, "currency": "eur"}, key)
    with pytest.raises(stripe.IdempotencyError) as caught:
        await intents.create_async({"amount": 701, "currency": "eur"}, key)
    assert caught.value.http_status == 400


async def test_a_decline_is_replayed_and_makes_one_intent(payments: Payments) -> None:
    params: Any = {
        "amount": 700,
        "currency": "eur",
        "payment_method": "pm_card_visa_chargeDeclined",
        "confirm": True,
    }
    ids = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            await payments.client.v1.payment_intents.create_async(
                params, {"idempotency_key": "p1:intent"}
            )
        error: Any = caught.value.error
        ids.add(error.payment_intent.id)
    assert len(ids) == 1
    listed = await payments.client.v1.payment_intents.list_async()
    assert len(listed.data) == 1


async def test_a_refused_request_can_be_corrected_under_its_key(payments: Payments) -> None:
    intents = payments.client.v1.payment_intents
    key: Any = {"idempotency_key": "p1:intent"}
    with pytest.raises(stripe.InvalidRequestError):
        await intents.create_async({"amount": 1, "currency": "eur"}, key)
    assert (await intents.create_async({"amount": 700, "currency": "eur"}, key)).amount == 700


async def test_a_failure_of_the_service_itself_is_kept_with_what_it_did(payments: Payments) -> None:
    await payments.order("PUT", "/faults", requests={"status": 500, "is_kept": True})
    replies = [
        await payments.browser.post(
            f"{payments.service.origin}/v1/customers",
            headers={"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k1"},
        )
        for _ in range(2)
    ]
    assert [reply.status_code for reply in replies] == [500, 500]
    assert [reply.headers.get("idempotent-replayed") for reply in replies] == [None, "true"]
    assert replies[0].json() == replies[1].json()
    assert len((await payments.order("GET", "/objects/customers"))["data"]) == 1


async def test_a_key_in_use_is_refused_until_its_request_is_answered(payments: Payments) -> None:
    await payments.order("PUT", "/faults", requests={"hold_s": 600, "path": "/v1/customers"})

    async def create() -> Any:
        return await payments.browser.post(
            f"{payments.service.origin}/v1/customers",
            headers={"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k1"},
            timeout=30,
        )

    held = asyncio.ensure_future(create())
    async with asyncio.timeout(10):
        while not (await payments.order("GET", "/objects/customers"))["data"]:
            pass
    refused = await create()
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "idempotency_key_in_use"
    await payments.order("DELETE", "/faults")
    first = await held
    assert first.status_code == 200
    assert (await create()).json() == first.json()


def test_a_key_is_free_again_when_its_request_was_refused() -> None:
    kept = KeptReplies(1)
    with pytest.raises(ApiError) as caught, kept.using("k"), kept.using("k"):
        pass
    assert caught.value.status == 409
    with kept.using("k"), kept.using(""), kept.using(""):
        pass


async def test_a_key_that_is_too_long_is_refused(payments: Payments) -> None:
    reply = await payments.browser.post(
        f"{payments.service.origin}/v1/customers",
        headers={"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k" * 256},
    )
    assert reply.status_code == 400


def test_a_reply_is_kept_for_a_day() -> None:
    kept = KeptReplies(10)
    kept.keep("k", reply())
    assert kept.find("k", FIRST, NOW_NS + LIFE_NS - 1) == reply()
    assert kept.find("k", OTHER, NOW_NS + LIFE_NS) is None
    with pytest.raises(ApiError):
        kept.find("k", OTHER, NOW_NS)


def test_replies_are_bounded() -> None:
    kept = KeptReplies(2)
    for key in ("a", "b", "c"):
        kept.keep(key, reply())
    assert [kept.find(key, FIRST, NOW_NS) is None for key in "abc"] == [True, False, False]
