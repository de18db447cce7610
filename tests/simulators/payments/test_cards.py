"""Test cards: which there are, and how they are described."""

from __future__ import annotations

from simulators.payments.cards import (
    BY_BUTTON,
    BY_TOKEN,
    DECLINES,
    describe_account,
    describe_card,
    describe_payment,
)


def test_each_decline_is_known_by_its_code() -> None:
    assert all(code == decline.decline_code for code, decline in DECLINES.items())
    assert DECLINES["lost_card"].advice_code == "do_not_try_again"
    assert DECLINES["insufficient_funds"].advice_code == "try_again_later"


def test_nothing_but_the_last_digits_of_a_number_is_known() -> None:
    for instrument in (*BY_TOKEN.values(), *BY_BUTTON.values()):
        assert len(instrument.last4) == 4


def test_a_payment_says_how_it_was_made() -> None:
    card = describe_card(BY_BUTTON["authentication"], 2030)
    plain = describe_payment("card", card, authenticated=False)["card"]
    proven = describe_payment("card", card, authenticated=True)["card"]
    assert isinstance(plain, dict)
    assert isinstance(proven, dict)
    assert (plain["last4"], plain["three_d_secure"]) == ("3184", None)
    assert proven["three_d_secure"]["result"] == "authenticated"
    account = describe_payment(
        "sepa_debit", describe_account(BY_BUTTON["bank"]), authenticated=False
    )
    assert account["type"] == "sepa_debit"
