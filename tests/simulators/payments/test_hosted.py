"""The hosted page as a browser gets it."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from simulators.payments import pages
from simulators.payments.account import MerchantAccount
from simulators.payments.pages import NOTICE

from .conftest import CANCEL, NOW_NS, Payments, Start, form
from .receiver import Receiver
from .test_checkout import SESSION


async def test_the_page_says_what_it_is_and_what_it_costs(payments: Payments) -> None:
    session = await payments.open(customer_email="c@d.test")
    page = await payments.browser.get(session.url)
    assert page.status_code == 200
    assert NOTICE in page.text
    assert "25.00 EUR" in page.text
    assert "Credit" in page.text
    assert CANCEL in page.text
    assert 'value="c@d.test"' in page.text
    assert re.findall(r'name="method" value="(\w+)"', page.text) == [
        "card",
        "authentication",
        "declined",
        "bank",
        "bank_fails",
    ]
    assert "<script" not in page.text


async def test_a_browser_may_only_show_it_and_go_back(payments: Payments) -> None:
    session = await payments.open()
    page = await payments.browser.get(session.url)
    style = re.search(r"<style>(.*)</style>", page.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert page.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';"
        " frame-ancestors 'none'; form-action 'self' http://127.0.0.1:9"
    )
    assert page.headers["Cache-Control"] == "no-store"


async def test_only_what_is_offered_has_a_button(payments: Payments) -> None:
    session = await payments.open(allowed_payment_method_types=["card"])
    page = await payments.browser.get(session.url)
    assert "bank" not in page.text.lower()
    assert (await payments.click(session, "bank")).status_code == 400


async def test_a_wrong_address_is_shown_with_the_form(payments: Payments) -> None:
    session = await payments.open()
    reply = await payments.click(session, "card", "nobody")
    assert reply.status_code == 400
    assert "<form" in reply.text
    assert 'role="alert"' in reply.text


async def test_a_page_is_over_when_it_is_paid(start: Start) -> None:
    async with start(bank_delay_s=600) as payments:
        session = await payments.open()
        await payments.click(session, "bank")
        assert "has not answered yet" in (await payments.browser.get(session.url)).text
        waiting = await payments.session(session.id)
        await payments.order("POST", f"/payment_intents/{waiting.payment_intent}/conclude")
        page = await payments.browser.get(session.url)
        assert "This is paid" in page.text
        assert session.id in page.text
        assert (await payments.click(session, "card")).status_code == 400


async def test_a_receipt_is_a_page(payments: Payments, receiver: Receiver) -> None:
    await payments.paid()
    charge = await receiver.until("charge.updated")
    page = await payments.browser.get(charge.receipt_url)
    assert "25.00 EUR" in page.text


async def test_what_is_not_there_is_a_page_too(payments: Payments) -> None:
    origin = payments.service.origin
    for path in ("/pay/cs_none", "/authenticate/pi_none", "/receipts/ch_none"):
        page = await payments.browser.get(f"{origin}{path}")
        assert page.status_code == 404
        assert NOTICE in page.text


async def test_an_intent_without_a_way_back_ends_on_a_page(payments: Payments) -> None:
    for result, status, title in (("failed", 400, "Not paid"), ("proven", 200, "Paid")):
        intent = await payments.client.v1.payment_intents.create_async(
            {
                "amount": 700,
                "currency": "eur",
                "payment_method": "pm_card_authenticationRequired",
                "confirm": True,
            }
        )
        address = f"{payments.service.origin}/authenticate/{intent.id}"
        page = await payments.browser.post(address, data={"result": result})
        assert (page.status_code, f"<h1>{title}</h1>" in page.text) == (status, True)


@pytest.mark.parametrize(
    "url",
    ["https://a.test;script-src *", "javascript:alert(1)", "https://a b", "", "https://a.test,x"],
)
def test_a_policy_holds_no_more_than_an_origin(account: MerchantAccount, url: str) -> None:
    session = account.checkout.create(form(SESSION), NOW_NS)
    session.success_url = url
    page = pages.checkout(session, account.checkout.basket(session.id), None)
    assert page.policy.endswith("form-action 'self'")


def test_whatever_is_shown_is_escaped(account: MerchantAccount) -> None:
    session = account.checkout.create(form(f"{SESSION}<b>"), NOW_NS)
    session.cancel_url = 'https://a.test/"><script>'
    page = pages.checkout(session, account.checkout.basket(session.id), "<i>")
    assert not re.search(r"<(b|i|script)>", page.html)
