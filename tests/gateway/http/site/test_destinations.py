"""The page of proven numbers: a call, a code, and what is told of each."""

import pytest

from gateway.buttons.ports import ButtonChange, CodeTry, NewButton, ProofStart, ProvenDestination
from gateway.errors import RequestRefusedError, TooFastError
from tests.gateway.buttons.button_books import AT, CODE, NUMBER, button_of, rules
from tests.gateway.http.site.conftest import place

PAGE = "/account/destinations"


@pytest.fixture
async def ada(site):
    """The site with somebody signed in."""
    site.world.add()
    await site.enter()
    return site


async def test_a_number_is_called_and_its_code_typed_back(ada):
    assert "We call the number and read out a six-digit code" in ada.read(await ada.get(PAGE)).text
    reply = await ada.post(PAGE, number=f" {NUMBER} ")
    assert reply.status_code == 200
    assert not reply.history
    page = ada.read(reply)
    assert f"We are calling {NUMBER}." in page.text
    assert page.input("code")["autocomplete"] == "one-time-code"
    assert [each["value"] for each in page.of("input") if each["name"] == "number"] == [NUMBER] * 2
    ((caller, number),) = ada.proofs.called
    assert (caller.account_id, caller.language, number) == ("ada", "en", NUMBER)
    assert caller.address
    reply = await ada.post(f"{PAGE}/code", number=NUMBER, code="000000")
    assert reply.status_code == 422
    assert ada.read(reply).input("code")["aria-invalid"] == "true"
    reply = await ada.post(f"{PAGE}/code", number=NUMBER, code=CODE)
    assert place(reply) == f"{PAGE}?said=destination_proven"
    page = ada.read(await ada.get(f"{PAGE}?said=destination_proven"))
    assert f"{NUMBER} proven 2026-11-20 09:30 UTC" in page.text
    assert "/account/buttons/new" in [each["href"] for each in page.of("a")]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (ProofStart.ALREADY_PROVEN, "This number is already proven"),
        (ProofStart.TOO_MANY, "You have already proven 20 numbers"),
        (ProofStart.NEVER_PAID, "Top up first."),
        (ProofStart.NOT_REACHED, "The call could not be placed."),
        (RequestRefusedError("number_premium"), "Premium-rate and special-cost numbers"),
        (
            TooFastError("rate_limited", retry_after_s=120),
            "Too many attempts in a short time. Try again in 2 min.",
        ),
    ],
)
async def test_why_a_number_is_not_called_is_told_beside_it(ada, outcome, said):
    ada.proofs.start_is = outcome
    reply = await ada.post(PAGE, number=NUMBER)
    assert reply.status_code == 422
    page = ada.read(reply)
    assert said in page.text
    assert page.input("number")["value"] == NUMBER


async def test_a_refusal_without_words_of_a_page_is_the_gateways_own(ada):
    ada.proofs.start_is = RequestRefusedError("internal_error")
    assert (await ada.post(PAGE, number=NUMBER)).status_code >= 500


async def test_no_number_is_no_call(ada):
    reply = await ada.post(PAGE, number="  ")
    assert "Enter the number that should ring." in ada.read(reply).text
    assert not ada.proofs.called


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (CodeTry.OVER, "This code is no longer valid"),
        (CodeTry.TOO_MANY, "You have already proven 20 numbers"),
    ],
)
async def test_a_code_that_is_over_leads_to_another_call(ada, outcome, said):
    ada.proofs.try_is = outcome
    reply = await ada.post(f"{PAGE}/code", number=NUMBER, code=CODE)
    assert reply.status_code == 422
    page = ada.read(reply)
    assert said in page.text
    assert page.input("number")["type"] == "tel"


async def test_a_session_that_is_over_proves_nothing(ada):
    ada.proofs.try_is = CodeTry.SESSION_OVER
    reply = await ada.post(f"{PAGE}/code", number=NUMBER, code=CODE)
    assert place(reply) == "/sign-in?next=%2Faccount%2Fdestinations&said=session_over"


async def test_proven_numbers_are_listed_whatever_is_asked(ada):
    ada.buttons.proven.append(ProvenDestination(NUMBER, AT))
    assert NUMBER in (await ada.get(PAGE)).text


async def test_a_number_is_taken_back_and_says_which_buttons_stop(ada):
    ada.buttons.proven.append(ProvenDestination(NUMBER, AT))
    assert "No button calls it." in ada.read(await ada.get(PAGE)).text
    new = NewButton("b1", "shop", rules(), "pk_live_" + "a" * 24, "pk_test_" + "b" * 24)
    ada.buttons.kept["b1"] = button_of(new)
    page = ada.read(await ada.get(PAGE))
    assert "Called by: shop. These buttons will be paused, and their calls ended." in page.text
    reply = await ada.post(f"{PAGE}/take-back", number=NUMBER)
    assert place(reply) == f"{PAGE}?said=destination_taken_back"
    assert ada.buttons.proven == []
    assert ada.buttons.kept["b1"].paused_at == AT
    assert ada.eras.ended == ["b1"]
    for number in (NUMBER, "", "a\0b"):
        assert place(await ada.post(f"{PAGE}/take-back", number=number)) == PAGE


async def test_a_session_that_is_over_takes_nothing_back(ada):
    ada.buttons.proven.append(ProvenDestination(NUMBER, AT))
    ada.buttons.outcome = ButtonChange.SESSION_OVER
    reply = await ada.post(f"{PAGE}/take-back", number=NUMBER)
    assert place(reply).startswith("/sign-in")
    assert len(ada.buttons.proven) == 1
