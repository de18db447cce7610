"""Lists the test cards and accounts, and what a payment with each leads to. Pure.

Knows the numbers' last digits, brands and declines; charges nothing.
https://docs.stripe.com/testing, https://docs.stripe.com/declines/codes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators.payments.resources import Json


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a bank refuses, in Stripe's words."""

    decline_code: str
    code: str = "card_declined"
    message: str = "Your card was declined."
    advice_code: str | None = None
    """`try_again_later`, `do_not_try_again` or `confirm_card_data`."""


_DECLINES: Final = (
    Decline("generic_decline", advice_code="try_again_later"),
    Decline("do_not_honor", advice_code="try_again_later"),
    Decline(
        "insufficient_funds",
        message="Your card has insufficient funds.",
        advice_code="try_again_later",
    ),
    Decline("lost_card", advice_code="do_not_try_again"),
    Decline("stolen_card", advice_code="do_not_try_again"),
    Decline("fraudulent", advice_code="do_not_try_again"),
    Decline("expired_card", "expired_card", "Your card has expired.", "confirm_card_data"),
    Decline(
        "incorrect_cvc",
        "incorrect_cvc",
        "Your card's security code is incorrect.",
        "confirm_card_data",
    ),
    Decline(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
        "try_again_later",
    ),
    Decline(
        "authentication_required",
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
)
# By the bank's code: several share the code `card_declined`.
DECLINES: Final[dict[str, Decline]] = {decline.decline_code: decline for decline in _DECLINES}
AUTHENTICATION_REQUIRED: Final = DECLINES["authentication_required"]
AUTHENTICATION_FAILED: Final = Decline(
    "",
    "payment_intent_authentication_failure",
    "We are unable to authenticate your payment method. Please choose a different payment method"
    " and try again.",
)
BANK_REFUSED: Final = Decline(
    "", "payment_method_provider_decline", "The customer's bank account could not be debited."
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a payment method does when it is charged."""

    decline: Decline | None = None
    authenticates: bool = False
    """The payer must be there to confirm; without one the charge is declined."""
    delayed: bool = False
    """Whether the payment succeeded is known only later."""
    fails_later: bool = False


@dataclass(frozen=True, slots=True)
class Instrument:
    """A test card or bank account."""

    last4: str
    behaviour: Behaviour = Behaviour()
    brand: str = "visa"
    """Empty for a bank account."""


def _declining(last4: str, decline_code: str) -> Instrument:
    return Instrument(last4, Behaviour(DECLINES[decline_code]))


_WORKING: Final = Instrument("4242")
# Numbers and outcomes are those of Stripe's test cards, so that its documentation applies.
_AUTHENTICATING: Final = Instrument("3184", Behaviour(authenticates=True))
_DECLINING: Final = _declining("0002", "generic_decline")

BY_TOKEN: Final[dict[str, Instrument]] = {
    "pm_card_visa": _WORKING,
    "pm_card_mastercard": Instrument("4444", brand="mastercard"),
    "pm_card_amex": Instrument("8431", brand="amex"),
    "pm_card_authenticationRequired": _AUTHENTICATING,
    "pm_card_visa_chargeDeclined": _DECLINING,
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declining("9995", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": _declining("9987", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": _declining("9979", "stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": _declining("0069", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": _declining("0127", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": _declining("0119", "processing_error"),
    # Stripe's can be saved and fails when it is charged; here nothing is charged on saving.
    "pm_card_chargeCustomerFail": _declining("0341", "generic_decline"),
}
"""Stripe's payment method tokens: each use makes a new payment method."""

BY_BUTTON: Final[dict[str, Instrument]] = {
    "card": _WORKING,
    "authentication": _AUTHENTICATING,
    "declined": _DECLINING,
    "bank": Instrument("3000", Behaviour(delayed=True), brand=""),
    "bank_fails": Instrument("3001", Behaviour(delayed=True, fails_later=True), brand=""),
}
"""What the buttons of the hosted page stand for."""


_CARD_KEPT: Final = (
    "brand",
    "checks",
    "country",
    "exp_month",
    "exp_year",
    "fingerprint",
    "funding",
    "last4",
)
_ACCOUNT_KEPT: Final = ("bank_code", "branch_code", "country", "fingerprint", "last4")


def describe_card(instrument: Instrument, expires_year: int) -> Json:
    """Return the `card` of a payment method."""
    return {
        "brand": instrument.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": "US",
        "display_brand": instrument.brand,
        "exp_month": 12,
        "exp_year": expires_year,
        # The same for the same card: that is how a merchant recognises one that returns.
        "fingerprint": f"simulated{instrument.last4}",
        "funding": "credit",
        "generated_from": None,
        "last4": instrument.last4,
        "networks": {"available": [instrument.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def describe_account(instrument: Instrument) -> Json:
    """Return the `sepa_debit` of a payment method."""
    return {
        "bank_code": "37040044",
        "branch_code": "",
        "country": "DE",
        "fingerprint": f"simulated{instrument.last4}",
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": instrument.last4,
    }


def describe_payment(kind: str, described: Json, *, authenticated: bool) -> Json:
    """Return a charge's `payment_method_details`.

    Args:
        kind: `card` or `sepa_debit`.
        described: the payment method's field of that name.
        authenticated: whether the payer confirmed with the bank.
    """
    # A charge repeats part of its method: it must still say what it was paid with when that is
    # gone.
    if kind == "sepa_debit":
        account: Json = {name: described[name] for name in _ACCOUNT_KEPT}
        return {"type": kind, kind: {**account, "expected_debit_date": None, "mandate": None}}
    card: Json = {name: described[name] for name in _CARD_KEPT}
    three_d_secure: Json = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": None,
        "version": "2.2.0",
    }
    return {
        "type": kind,
        kind: {
            **card,
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": described["brand"],
            "network_token": {"used": False},
            "regulated_status": "unregulated",
            "three_d_secure": three_d_secure if authenticated else None,
            "wallet": None,
        },
    }
