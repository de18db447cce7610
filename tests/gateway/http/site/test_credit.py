"""The pages of money: what is left, what moved it, and every way to have more."""

from dataclasses import replace

import pytest

from billing.payments import ACCOUNT_LOCKED, PaymentState, dispute_reasons
from billing.statement import StatementLine
from database.errors import StoreUnavailableError
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments.pages import BACK, LOOKS_MAX, NEWEST_LINES, PAGE_ROWS
from gateway.payments.service import payment_id_of
from tests.gateway.http.site.books import AT, HOSTED, payment
from tests.gateway.http.site.conftest import place

UNIT = 1_000_000
ONCE = "a-form-of-its-own-01"
TOP_UP, SAVED = "/account/credit/top-up", "/account/credit/saved-card"
AUTO = "/account/credit/auto"


@pytest.fixture
async def ada(site):
    """The site with somebody signed in."""
    site.world.add()
    await site.enter()
    return site


async def text_of(site, path="/account/credit", status=200):
    reply = await site.get(path)
    assert reply.status_code == status, reply.text
    return site.read(reply).text


def line(reference="credit:1", kind="top-up", micros=25 * UNIT, **changes):
    plain = StatementLine(reference, AT, kind, "", micros, 30 * UNIT, "USD", None)
    return replace(plain, **changes)


def with_card(site, **changes):
    profile = site.till.profile
    site.till.profile = replace(profile, customer_id="cus_1", payment_method_id="pm_1", **changes)


async def test_the_balance_is_told_in_minutes_too(ada):
    text = await text_of(ada, "/account/credit?to=GB")
    assert "$12.34" in text
    assert "United Kingdom, fixed about 1028 min at $0.0120" in text
    assert "United Kingdom, mobile about 385 min at $0.0320" in text
    ada.books.gate.balance_micros = -5
    assert "about 0 min" in await text_of(ada, "/account/credit?to=GB")
    ada.books.gate.balance_micros = StoreUnavailableError("away")
    text = await text_of(ada)
    assert "cannot be read right now" in text
    assert " min at " not in text


@pytest.mark.parametrize(
    ("accepted", "asked", "chosen"),
    [("de-AT, en", "", "AT"), ("de", "", "DE"), ("en-GB", "US", "US"), ("tlh", "", "US")],
)
async def test_the_country_is_that_of_the_browser_until_one_is_chosen(ada, accepted, asked, chosen):
    ada.client.headers["accept-language"] = accepted
    form = ada.read(await ada.get(f"/account/credit?to={asked}"))
    assert [each["value"] for each in form.of("option") if "selected" in each] == [chosen]


async def test_a_country_that_is_not_in_the_list_is_told_beside_its_field(ada):
    reply = await ada.get("/account/credit?to=XX")
    assert reply.status_code == 422
    page = ada.read(reply)
    assert "Choose a country from the list." in page.text
    (select,) = page.of("select")
    assert select["aria-describedby"] == "to-error"


async def test_without_a_rate_no_country_is_offered(ada):
    ada.rates.deck = ada.rates.empty
    text = await text_of(ada)
    assert "How long it lasts" not in text


async def test_lines_of_the_statement_add_up_to_the_last_digit(ada):
    """What single seconds cost is shown in full: rounded, three lines would not add up."""
    ada.books.statements.lines = [
        replace(line(f"r:{n}"), micros=-12_345, balance_micros=10**6 - (n + 1) * 12_345)
        for n in (2, 1, 0)
    ]
    shown = await text_of(ada, "/account/credit/statement")
    assert shown.count("-0.012345\u00a0USD") == 3
    for left in ("0.987655", "0.975310", "0.962965"):
        assert f"{left}\u00a0USD" in shown


async def test_the_statement_says_what_moved_the_credit(ada):
    ada.books.statements.lines = [
        line("r1", "call-refund", 90, reason="No sound came from the phone.", call_id="c1"),
        line("r2", "charge", -90, call_id="c1"),
        line("r0", "charge", -70, call_id="forgotten-call", is_forgotten=True),
        line("r3", reason="Automatic top-up."),
        line("r4", "grant", reason="Welcome."),
    ]
    text = await text_of(ada)
    assert "Call refunded 0.000090\u00a0USD" in text
    assert "No sound came from the phone. · $30.00 left" in text
    assert "Call -0.000090\u00a0USD" in text
    assert (await ada.get("/account/credit")).text.count('href="/account/calls/c1"') == 2
    assert "Call -0.000070\u00a0USD" in text
    assert "the number is no longer kept" in text
    assert "forgotten-call" not in (await ada.get("/account/credit")).text
    assert "Automatic top-up $25.00 2026-11-20 09:30 UTC · $30.00 left" in text
    assert "Free credit $25.00 2026-11-20 09:30 UTC · Welcome. · $30.00 left" in text
    assert "All entries" not in text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Disputed at your bank", "The card's holder does not recognise it.")),
        ("de", ("Bei Ihrer Bank angefochten", "Der Inhaber der Karte kennt die Zahlung nicht.")),
        ("es", ("Reclamado en su banco", "El titular de la tarjeta no reconoce el pago.")),
    ],
)
async def test_a_dispute_says_why_in_the_language_of_the_page(ada, language, words):
    ada.world.change(language=language)
    ada.world.epochs.epoch = "e2"
    reason, _ = dispute_reasons("unrecognized")
    plain, _ = dispute_reasons("general")
    ada.books.statements.lines = [
        line("r1", "dispute", -9, reason=reason),
        line("r2", "dispute", -9, reason=plain),
    ]
    text = await text_of(ada)
    assert text.count(words[0]) == 2
    assert text.count(words[1]) == 1
    assert "The payment was disputed" not in text


async def test_all_lines_come_in_pages(ada):
    assert "No entries yet." in await text_of(ada, "/account/credit/statement")
    ada.books.statements.lines = [line(f"r:{n}") for n in range(PAGE_ROWS + 1)]
    assert (await text_of(ada)).count("$30.00 left") == NEWEST_LINES
    reply = await ada.get("/account/credit/statement")
    hrefs = [each["href"] for each in ada.read(reply).of("a")]
    (older,) = [each for each in hrefs if "before" in each]
    assert older == f"/account/credit/statement?before=r%3A{PAGE_ROWS - 1}"
    text = await text_of(ada, older)
    assert text.count("$30.00 left") == 1
    assert "Older entries" not in text


async def test_a_payment_begins_once_for_each_form_and_leads_to_its_page(ada):
    form = ada.read(await ada.get("/account/credit"))
    once = form.input("once")["value"]
    reply = await ada.post(TOP_UP, once=once, amount="25.000000", save_card="true")
    assert place(reply) == f"{HOSTED}/cs_1"
    assert ada.till.begun == [("ada", 25 * UNIT, True, f"page:{once}", BACK)]
    # The form's answer may lead to this page only.
    policy = (await ada.get("/account/credit")).headers["content-security-policy"]
    assert f"form-action 'self' {HOSTED};" in policy
    assert ada.velocity.used
    # A repeat is not counted again.
    ada.till.payments[payment_id_of("ada", f"page:{once}")] = payment()
    ada.velocity.used.clear()
    await ada.post(TOP_UP, once=once, other="12,50")
    assert ada.till.begun[-1][:2] == ("ada", 12_500_000)
    assert not ada.velocity.used


async def test_a_page_that_no_form_may_lead_to_is_linked(ada):
    ada.till.url = "https://pay.example.org/cs_1"
    reply = await ada.post(TOP_UP, once=ONCE, amount="25")
    assert reply.status_code == 200
    form = ada.read(reply)
    assert "You pay $25.00 there" in form.text
    assert ada.till.url in [each["href"] for each in form.of("a")]


async def test_a_payment_that_is_made_already_leads_to_how_it_went(ada):
    ada.till.url = "https://calls.example.com/account/credit/payments/pay_1"
    assert place(await ada.post(TOP_UP, once=ONCE, amount="25")) == ada.till.url


@pytest.mark.parametrize("path", [TOP_UP, SAVED])
@pytest.mark.parametrize("amount", ["", "x", "-5", "1e3", "1,000.00", "9" * 40])
async def test_an_amount_that_is_none_is_told_beside_its_field(ada, path, amount):
    reply = await ada.post(path, once=ONCE, other=amount)
    assert reply.status_code == 422
    form = ada.read(reply)
    assert "Enter an amount, such as 25 or 12.50." in form.text
    assert form.input("other")["value"] == amount
    assert not ada.till.begun


@pytest.mark.parametrize("path", [TOP_UP, SAVED])
async def test_an_amount_out_of_range_is_told_beside_its_field(ada, path):
    ada.velocity.used.clear()
    reply = await ada.post(path, once=ONCE, other="1000")
    assert reply.status_code == 422
    assert "between the smallest and the largest" in reply.text
    # It counts as no start of a payment, and the payment service is not asked.
    assert not ada.velocity.used
    assert not ada.till.begun
    ada.till.failure = RequestRefusedError("no_saved_card")
    assert (await ada.post(path, once=ONCE, other="10")).status_code == 409


async def test_a_service_that_is_away_charges_nothing(ada):
    ada.till.failure = PaymentError("away", retryable=True)
    reply = await ada.post(TOP_UP, once=ONCE, other="10")
    assert reply.status_code == 503
    assert "Nothing was charged" in reply.text
    reply = await ada.post("/account/credit/forget-card")
    assert reply.status_code == 503


@pytest.mark.parametrize("once", ["", "short", "no spaces are in ours"])
async def test_a_form_that_is_not_ours_begins_nothing(ada, once):
    assert (await ada.post(TOP_UP, once=once, other="10")).status_code == 400
    assert not ada.till.begun


async def test_who_has_not_proven_the_address_pays_nothing(site):
    site.world.add(proven=False)
    await site.enter()
    for path in (TOP_UP, SAVED):
        assert place(await site.post(path, once=ONCE, other="10")) == "/account"
    assert place(await site.post(AUTO, enabled="true", threshold="5", amount="20")) == "/account"
    assert not site.till.begun
    assert not site.till.set_to


async def test_the_saved_card_pays_by_one_button(ada):
    with_card(ada)
    form = ada.read(await ada.get("/account/credit"))
    assert SAVED in [each.get("formaction") for each in form.of("button")]
    reply = await ada.post(SAVED, once=ONCE, other="10")
    assert place(reply) == "/account/credit/payments/pay_1"
    assert ada.till.charged == [("ada", 10 * UNIT, f"page:{ONCE}")]


async def test_the_saved_card_is_forgotten(ada):
    with_card(ada)
    assert place(await ada.post("/account/credit/forget-card")) == (
        "/account/credit?said=card_forgotten"
    )
    assert (ada.till.forgotten, ada.till.asked_again) == (["ada"], ["ada"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": PaymentState.PAID, "receipt_url": "https://r.example/1"}, "Paid"),
        ({"state": PaymentState.WON}, "Paid"),
        ({"state": PaymentState.EXPIRED}, "Not paid in time"),
        ({"state": PaymentState.FAILED, "failure": "expired_card"}, "saved card has expired"),
        ({"state": PaymentState.FAILED, "failure": "do_not_honor"}, "Your bank declined it."),
        ({"refunded_micros": UNIT, "state": PaymentState.PAID}, "$25.00 · $1.00 paid back"),
    ],
)
async def test_a_payment_says_how_it_went(ada, changes, said):
    ada.till.payments["pay_1"] = payment(**changes)
    reply = await ada.get("/account/credit/payments/pay_1")
    form = ada.read(reply)
    assert said in form.text
    assert "refresh" not in reply.headers
    receipts = [each["href"] for each in form.of("a") if "r.example" in each["href"]]
    assert receipts == [url for url in [changes.get("receipt_url")] if url]


async def test_a_pending_payment_looks_again_and_not_for_ever(ada):
    ada.till.payments["pay_1"] = payment()
    reply = await ada.get("/account/credit/payments/pay_1")
    assert reply.headers["refresh"] == "3; url=/account/credit/payments/pay_1?looks=1"
    assert ada.till.refreshed == ["pay_1"]
    for looks in (LOOKS_MAX, "x", "-1", "99999"):
        reply = await ada.get(f"/account/credit/payments/pay_1?looks={looks}")
        assert "refresh" not in reply.headers
        assert "You can leave this page" in reply.text


@pytest.mark.parametrize("payment_id", ["pay_2", "nothing", "%00"])
async def test_no_payment_of_somebody_else_is_shown(ada, payment_id):
    ada.till.payments["pay_2"] = payment("pay_2", account_id="bob")
    await text_of(ada, f"/account/credit/payments/{payment_id}", status=404)


async def test_payments_come_in_pages_with_their_receipts(ada):
    assert "You have not paid anything yet." in await text_of(ada, "/account/credit/payments")
    paid = {"state": PaymentState.PAID, "receipt_url": "https://r.example/1"}
    ada.till.payments = {f"pay_{n}": payment(f"pay_{n}", **paid) for n in range(PAGE_ROWS + 1)}
    reply = await ada.get("/account/credit/payments")
    hrefs = [each["href"] for each in ada.read(reply).of("a")]
    assert hrefs.count("https://r.example/1") == PAGE_ROWS
    (older,) = [each for each in hrefs if "before" in each]
    assert "By card $25.00" in await text_of(ada, older)


async def test_automatic_top_ups_are_set(ada):
    with_card(ada)
    text = await text_of(ada, AUTO)
    assert "At most $200.00 is charged to the card within 24 hours." in text
    reply = await ada.post(AUTO, enabled="true", threshold="5", amount="20,00")
    assert place(reply) == "/account/credit?said=auto_on"
    assert ada.till.set_to == [("ada", True, 5 * UNIT, 20 * UNIT)]
    assert ada.till.asked_again == ["ada"]
    with_card(ada, auto_enabled=True, auto_threshold_micros=5 * UNIT, auto_amount_micros=20_500_000)
    assert "below $5.00, $20.50 is charged" in await text_of(ada)
    form = ada.read(await ada.get(AUTO))
    assert (form.input("threshold")["value"], form.input("amount")["value"]) == ("5", "20.50")
    # Switched off, it keeps what was set.
    assert place(await ada.post(AUTO, threshold="", amount="x")) == "/account/credit?said=auto_off"
    assert ada.till.set_to[-1] == ("ada", False, 5 * UNIT, 20_500_000)


async def test_why_automatic_top_ups_are_off_is_told(ada):
    with_card(ada, auto_off_reason="card_gone")
    assert "The saved card is no longer there." in await text_of(ada)
    with_card(ada, auto_off_reason="generic_decline")
    assert "Your bank declined it." in await text_of(ada, AUTO)
    with_card(ada, auto_off_reason=ACCOUNT_LOCKED)
    for path in ("/account/credit", AUTO):
        text = await text_of(ada, path)
        assert "switched off when your account was locked" in text
        assert "could not be charged" not in text
    ada.till.profile = replace(ada.till.profile, customer_id=None, auto_off_reason="")
    assert "There is no saved card." in await text_of(ada, AUTO)


@pytest.mark.parametrize(
    ("state", "way_out"), [("leaving", "/account/delete"), ("restricted", "/account/restriction")]
)
async def test_an_account_that_takes_no_payment_says_why_and_keeps_its_card_in_hand(
    ada, state, way_out
):
    with_card(ada, **{state: True})
    page = ada.read(await ada.get("/account/credit"))
    assert "Until then you cannot buy credit." in page.text
    assert way_out in [each["href"] for each in page.of("a")]
    actions = {each.get("action") for each in page.of("form")}
    assert TOP_UP not in actions
    assert "/account/credit/forget-card" in actions


async def test_whoever_pays_for_an_account_that_is_frozen_reads_so_before(ada):
    said = "Your account cannot place calls. Ask the operator."
    assert said not in await text_of(ada, "/account/credit")
    with_card(ada, frozen=True)
    page = ada.read(await ada.get("/account/credit"))
    assert said in page.text
    assert TOP_UP in {each.get("action") for each in page.of("form")}


async def test_what_is_wrong_with_automatic_top_ups_stands_beside_its_field(ada):
    with_card(ada)
    reply = await ada.post(AUTO, enabled="true", threshold="", amount="20")
    assert reply.status_code == 422
    assert ada.read(reply).input("threshold")["aria-invalid"] == "true"
    ada.till.failure = RequestRefusedError("amount_out_of_range", field="amount")
    reply = await ada.post(AUTO, enabled="true", threshold="5", amount="20")
    assert ada.read(reply).input("amount")["aria-invalid"] == "true"
    ada.till.failure = RequestRefusedError("no_saved_card")
    assert (await ada.post(AUTO, enabled="true", threshold="5", amount="20")).status_code == 409


async def test_where_nothing_can_be_paid_all_is_read(ada):
    ada.credit_pages = replace(ada.credit_pages, cards=None)
    ada.rebuild()
    await ada.enter()
    ada.till.payments["pay_1"] = payment(state=PaymentState.PAID)
    assert "Top-ups by card are not set up here." in await text_of(ada)
    assert "Paid" in await text_of(ada, "/account/credit/payments/pay_1")
    for path in (TOP_UP, SAVED, "/account/credit/forget-card", AUTO):
        assert (await ada.post(path, once=ONCE, other="10")).status_code == 501
