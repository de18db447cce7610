"""Writes the mails to account holders: which events are worth one, subjects and texts.

Plain text, without tracking and without phone numbers. Knows no address, server or clock.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from billing.money import format_money
from billing.payments import PaymentProfile

WIDTH: Final = 72
"""Longest line of prose; the address of a page is never broken."""

Data = Mapping[str, Any]
"""The fields of an event."""


@dataclass(frozen=True, slots=True)
class MailText:
    """A mail without its envelope."""

    subject: str
    body: str


def is_mailed(name: str, data: Data) -> bool:
    """Return whether the account holder gets mail about an event."""
    if name not in _NOTICES:
        return False
    condition, _ = _NOTICES[name]
    return all(data.get(key) == value for key, value in condition.items())


def text_of(name: str, data: Data, profile: PaymentProfile, origin: str) -> MailText:
    """Return the mail about an event for which `is_mailed` holds.

    Args:
        name: The event's name.
        data: Its fields; amounts are micros.
        profile: The account as it is now.
        origin: Origin of the phone page.

    Raises:
        MoneyError: An amount in a currency that cannot be shown.

    """
    _, write = _NOTICES[name]
    subject, *paragraphs = write(data, profile, origin)
    paragraphs.append(
        # Explained in every mail: the address may be somebody else's, mistyped at a payment page.
        f"You get this mail because this address was given for your account at {origin}. It is "
        "only used to tell you of your own payments, credit and calls."
    )
    return MailText(subject, "\n\n".join(_wrapped(each) for each in paragraphs) + "\n")


def _wrapped(paragraph: str) -> str:
    # A link broken over two lines cannot be clicked, and payment pages have long addresses.
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)


_Lines = tuple[str, ...]
"""A subject, then paragraphs."""

_DECLINES: Final = {
    "authentication_required": "your bank asks you to confirm the payment yourself",
    "card_gone": "the saved card is no longer there",
    "expired_card": "the saved card has expired",
}
"""Declines that a person may be told about; of all others only that there was one, as Stripe
asks."""


def _auto_off(data: Data, _profile: PaymentProfile, origin: str) -> _Lines:
    amount = format_money(data["micros"], data["currency"])
    why = _DECLINES.get(data["reason"], "your bank declined it")
    lines = (
        "Automatic top-up is switched off",
        f"An automatic top-up of {amount} could not be charged: {why}.",
        "Automatic top-ups are now switched off. Calls go on until the credit is used up.",
    )
    again = f"switch automatic top-ups on again at {origin}"
    # Empty if the payment service could not open a page; see `AutoTopUps`.
    if not data["url"]:
        return (*lines, f"Please top up by hand with a card that may be saved, then {again}.")
    return (
        *lines,
        f"To pay {amount} yourself and save your card again, open this page:",
        data["url"],
        f"It closes after a while; you can always top up at {origin} instead.",
        f"Once you have paid, {again}.",
    )


def _auto_charged(data: Data, profile: PaymentProfile, origin: str) -> _Lines:
    amount = format_money(data["micros"], data["currency"])
    # The profile is current: the holder may have switched them off since the charge.
    outlook = f"Automatic top-ups are switched off now; you can change that at {origin}."
    if profile.auto_enabled:
        outlook = (
            f"The next one, of {format_money(profile.auto_amount_micros, profile.currency)}, is "
            "made when your credit falls below "
            f"{format_money(profile.auto_threshold_micros, profile.currency)}. "
            f"You can change that, or switch it off, at {origin}."
        )
    return (
        f"Automatic top-up of {amount}",
        f"Your saved card was charged {amount}, which was added to your credit.",
        outlook,
        f"Payment: {data['payment_id']}",
    )


def _disputed(data: Data, profile: PaymentProfile, _origin: str) -> _Lines:
    amount = format_money(data["micros"], data["currency"])
    # An operator may have unfrozen the account during the dispute.
    frozen = ("Your account is frozen meanwhile: it cannot place calls.",) if profile.frozen else ()
    return (
        f"A payment is disputed: {amount}",
        "A payment for your account was disputed at the card's bank. The bank has taken back "
        f"{amount}, and your credit was reduced by as much.",
        *frozen,
        "If this is a mistake, ask the bank to withdraw the dispute. Once it is decided in favour "
        "of the payment, your credit is restored.",
        f"Payment: {data['payment_id']}",
    )


def _dispute_won(data: Data, profile: PaymentProfile, _origin: str) -> _Lines:
    amount = format_money(data["micros"], data["currency"])
    outlook = "Your account can place calls."
    if profile.frozen:
        outlook = "Your account is still frozen for another reason, and cannot place calls."
    return (
        f"A dispute was decided: {amount}",
        "The dispute over a payment was decided in favour of the payment. "
        f"{amount} was added to your credit again.",
        outlook,
        f"Payment: {data['payment_id']}",
    )


def _refunded(data: Data, _profile: PaymentProfile, _origin: str) -> _Lines:
    amount = format_money(data["micros"], data["currency"])
    return (
        f"A payment was refunded: {amount}",
        f"{amount} of a payment goes back to the card it was paid with, and was taken from your "
        "credit. It may take the bank some days to show it.",
        f"Payment: {data['payment_id']}",
    )


def _refund_failed(data: Data, _profile: PaymentProfile, _origin: str) -> _Lines:
    amount = format_money(data["micros"], data["currency"])
    return (
        f"A refund failed: {amount}",
        f"{amount} of a payment could not be sent back to the card it was paid with, and was added "
        "to your credit again.",
        f"Payment: {data['payment_id']}",
    )


def _out_of_credit(_data: Data, _profile: PaymentProfile, origin: str) -> _Lines:
    return (
        "Your credit is used up",
        "A call was ended because the credit of your account was used up.",
        f"You can top up at {origin}.",
        "You are told of this at most once a day.",
    )


def _call_refunded(data: Data, profile: PaymentProfile, _origin: str) -> _Lines:
    amount = format_money(data["micros"], profile.currency)
    return (
        f"A call was refunded: {amount}",
        f"{amount} was given back to your credit for a call that went wrong. {data['reason']}",
        f"Call: {data['call_id']}",
    )


_Write = Callable[[Data, PaymentProfile, str], _Lines]

_NOTICES: Final[Mapping[str, tuple[Data, _Write]]] = {
    "auto_top_up.off": ({}, _auto_off),
    # Payments on a page or by a tap need no mail: the holder was there.
    "payment.received": ({"kind": "auto"}, _auto_charged),
    "payment.refunded": ({}, _refunded),
    "payment.refund_failed": ({}, _refund_failed),
    "payment.disputed": ({}, _disputed),
    "payment.dispute_won": ({}, _dispute_won),
    "call.cut_off": ({"cause": "credit"}, _out_of_credit),
    "call.refunded": ({}, _call_refunded),
}
"""Event -> the fields it must have to be mailed, and the function that writes the mail."""
