"""The control API: be the payer and the bank, look behind the scenes."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.payments.clock import OFFSET_S_MAX

from .conftest import Payments, Start
from .receiver import Receiver


async def test_a_session_is_paid_without_a_browser(payments: Payments, receiver: Receiver) -> None:
    session = await payments.open()
    paid = await payments.order("POST", f"/sessions/{session.id}/pay", email="a@example.com")
    assert paid["payment_status"] == "paid"
    await receiver.until("checkout.session.completed")


async def test_an_authentication_is_given_or_not(payments: Payments) -> None:
    session = await payments.open()
    pay = f"/sessions/{session.id}/pay"
    waiting = await payments.order("POST", pay, method="authentication")
    prove = f"/payment_intents/{waiting['payment_intent']}/authenticate"
    failed = await payments.control.post(prove, json={"succeed": False})
    assert failed.json()["error"]["code"] == "payment_intent_authentication_failure"
    await payments.order("POST", pay, method="authentication")
    assert (await payments.order("POST", prove))["status"] == "succeeded"
    assert (await payments.control.post(prove, json={})).status_code == 400


@pytest.mark.parametrize(("succeed", "verdict"), [(True, "succeeded"), (False, "failed")])
async def test_a_bank_answers_when_told(
    start: Start, receiver: Receiver, succeed: bool, verdict: str
) -> None:
    async with start(bank_delay_s=600) as payments:
        session = await payments.open()
        waiting = await payments.order("POST", f"/sessions/{session.id}/pay", method="bank")
        conclude = f"/payment_intents/{waiting['payment_intent']}/conclude"
        await payments.order("POST", conclude, succeed=succeed)
        await receiver.until(f"checkout.session.async_payment_{verdict}")
        assert (await payments.control.post(conclude, json={})).status_code == 400


async def test_the_state_is_counted(payments: Payments, receiver: Receiver) -> None:
    await payments.paid()
    await receiver.until("charge.updated")
    await payments.order("PUT", "/clock", offset_s=-60)
    state = await payments.order("GET", "/state")
    assert state["counts"]["charge"] == 1
    assert (state["balance"], state["offset_s"]) == ({"eur": 2500}, -60)
    objects = await payments.order("GET", "/objects/charges")
    assert [known["amount"] for known in objects["data"]] == [2500]


async def test_faults_are_set_shown_and_taken_back(payments: Payments) -> None:
    await payments.faults(duplicate=2)
    shown = (await payments.control.get("/faults")).json()
    assert shown["deliveries"]["duplicate"] == 2
    assert (await payments.control.delete("/faults")).json()["deliveries"]["duplicate"] == 0
    assert (await payments.control.put("/faults", content=b"[]")).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/objects/secrets", {}),
        ("PUT", "/clock", {"offset_s": OFFSET_S_MAX + 1}),
        ("PUT", "/clock", {"colour": "red"}),
        ("PUT", "/payment_methods/pm_none", {}),
        ("POST", "/events/evt_none/deliver", {}),
        ("POST", "/disputes", {}),
        ("POST", "/refunds/re_none/fail", {}),
    ],
)
async def test_senseless_orders_are_refused(
    payments: Payments, method: str, path: str, body: dict[str, Any]
) -> None:
    reply = await payments.control.request(method, path, json=body)
    assert reply.status_code in {400, 404}
    assert reply.json()["error"]["message"]


async def test_a_card_behaves_only_as_cards_do(payments: Payments) -> None:
    session = await payments.paid()
    method = session.payment_intent.payment_method
    reply = await payments.control.put(f"/payment_methods/{method}", json={"behaviour": "sings"})
    assert "behaviour must be one of" in reply.json()["error"]["message"]
