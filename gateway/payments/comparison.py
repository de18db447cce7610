"""Compares one payment of the payment service with what the book has of it.

Pure: takes what both sides say, and says where they differ. What the book lacks is named elsewhere,
for it can be booked; what differs here is for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from billing.errors import MoneyError
from billing.money import format_money, in_units, is_currency
from billing.payments import (
    BookedCredit,
    Intent,
    Payment,
    PaymentState,
    amounts_of,
    disputed_micros,
    from_minor,
    refunded_micros,
    state_of,
    undone,
)
from billing.reconcile import Disagreement
from gateway.payments.ports import PaymentTrace

AMOUNT_DIFFERS: Final = "amount booked is not the payment service's"
ACCOUNT_DIFFERS: Final = "booked on another account than the payment service names"
CURRENCY_DIFFERS: Final = "booked in another currency than the payment service's"
UNPROVEN: Final = "booked here, and not so at the payment service"
UNKNOWN: Final = "booked here, and unknown to the payment service"
STATE_DIFFERS: Final = "payment's state is not the payment service's"
PAYMENT_DIFFERS: Final = "payment is another one by its notes at the payment service"

_SETTLED = frozenset(
    {PaymentState.PAID, PaymentState.DISPUTED, PaymentState.WON, PaymentState.LOST}
)

_ADVICE: Final = (
    "Look the payment up on the payment service's pages: they say what was paid, and by whom. Then"
    " correct the outcome by a credit with a reason (`caller accounts credit`), and the payment's"
    " row where that is wrong."
)
ADVICE: Final[Mapping[str, str]] = {
    **dict.fromkeys((AMOUNT_DIFFERS, ACCOUNT_DIFFERS, CURRENCY_DIFFERS, PAYMENT_DIFFERS), _ADVICE),
    UNPROVEN: (
        "A refund that broke off is finished by the same `caller payments refund` with its"
        f" --reference. Else: {_ADVICE}"
    ),
    UNKNOWN: (
        "Is CALLER_STRIPE_API_KEY that of the account that took the payment? If it is, nobody paid:"
        " take the credit back with a reason (`caller accounts credit`)."
    ),
    STATE_DIFFERS: (
        "`caller payments reconcile --since DATE` books what is lacking. What stays is a payment's"
        " row that somebody has changed: correct it to what the payment service says."
    ),
}
"""Rule -> what to do about its findings."""


def is_suspect(
    trace: PaymentTrace, booked: Mapping[str, BookedCredit], top_up: BookedCredit | None
) -> bool:
    """Whether one object of a list is not what the book has; `top_up` is its payment's credit."""
    account_id = trace.account_id or (top_up.account_id if top_up is not None else "")
    for reference, minor in trace.amounts.items():
        credit = booked.get(reference)
        if credit is None:
            if minor:
                return True
        elif (
            credit.micros != _micros(minor, trace.currency)
            or credit.currency != trace.currency
            or account_id not in ("", credit.account_id)
        ):
            return True
    return False


def rows_that_differ(trace: PaymentTrace, payment: Payment) -> Iterator[Disagreement]:
    """Yield where a payment's row names others than the object that bears its id."""
    pairs = {
        "account": (payment.account_id, trace.account_id),
        "payment intent": (payment.payment_intent_id, trace.intent_id),
        "checkout": (payment.checkout_id, trace.checkout_id),
    }
    said = [
        f"{name} {here} here, {there} there"
        for name, (here, there) in pairs.items()
        if here and there and here != there
    ]
    if said:
        figures = f"account {payment.account_id}: {', '.join(said)}"
        yield Disagreement(PAYMENT_DIFFERS, payment.id, figures)


def differences(
    intent: Intent, booked: Mapping[str, BookedCredit], payment: Payment | None
) -> Iterator[Disagreement]:
    """Yield where the book and a payment differ in what both have.

    `booked` are the credits of all references that the intent may prove, and all that say they are
    of its payment.
    """
    amounts = amounts_of(intent)
    for reference, credit in sorted(booked.items()):
        if reference in amounts:
            yield from _credit_that_differs(credit, intent, amounts[reference])
        elif not _is_undone(credit, booked):
            shown = money(credit.micros, credit.currency)
            yield Disagreement(
                UNPROVEN, reference, f"account {credit.account_id}: {shown} here, nothing there"
            )
    if payment is not None and all(name in booked for name, minor in amounts.items() if minor):
        yield from _row_that_differs(payment, intent)


def _credit_that_differs(
    credit: BookedCredit, intent: Intent, minor: int
) -> Iterator[Disagreement]:
    whose, reference = f"account {credit.account_id}", credit.reference
    here, there = money(credit.micros, credit.currency), minor_money(minor, intent.currency)
    figures = f"{whose}: {here} here, {there} there"
    if credit.currency != intent.currency:
        yield Disagreement(CURRENCY_DIFFERS, reference, figures)
    elif not minor:
        yield Disagreement(UNPROVEN, reference, figures)
    elif credit.micros != _micros(minor, intent.currency):
        yield Disagreement(AMOUNT_DIFFERS, reference, figures)
    if intent.account_id and credit.account_id != intent.account_id:
        figures = f"{whose} here, account {intent.account_id} there: {here} here, {there} there"
        yield Disagreement(ACCOUNT_DIFFERS, reference, figures)


def _row_that_differs(payment: Payment, intent: Intent) -> Iterator[Disagreement]:
    whose = f"account {payment.account_id}"
    if intent.payment_id and payment.id != intent.payment_id:
        figures = f"{whose}: {payment.id} here, {intent.payment_id} there"
        yield Disagreement(PAYMENT_DIFFERS, payment.id, figures)
    due = state_of(None, intent)
    # An appeal may be won: what was lost stays so here.
    is_won = due is PaymentState.WON and payment.state is PaymentState.LOST
    is_settled = due in _SETTLED or payment.state in _SETTLED
    if is_settled and payment.state is not due and not is_won:
        figures = f"{whose}: {payment.state.value} here, {due.value} there"
        yield Disagreement(STATE_DIFFERS, payment.id, figures)
    if due not in _SETTLED or payment.currency != intent.currency:
        return
    currency = intent.currency
    for name, here, there in (
        ("paid", payment.micros, from_minor(intent.received_minor, currency)),
        ("refunded", payment.refunded_micros, refunded_micros(intent, currency)),
        ("disputed", payment.disputed_micros, disputed_micros(intent, currency)),
    ):
        if here is not None and here != there:
            figures = (
                f"{whose}: {name} {money(here, currency)} here, {money(there, currency)} there"
            )
            yield Disagreement(AMOUNT_DIFFERS, payment.id, figures)


def _is_undone(credit: BookedCredit, booked: Mapping[str, BookedCredit]) -> bool:
    """Whether a refund that the service has never made was given back."""
    name = credit.reference.removesuffix(undone(""))
    pair = [booked.get(name), booked.get(undone(name))]
    return sum(one.micros if one is not None else 0 for one in pair) == 0


def _micros(minor: int, currency: str) -> int | None:
    """Return micros; None in a currency that we do not know, which nothing equals."""
    try:
        return from_minor(minor, currency)
    except MoneyError:
        return None


def minor_money(minor: int, currency: str) -> str:
    """Show an amount of the payment service."""
    micros = _micros(minor, currency)
    return f"{minor} {currency}" if micros is None else money(micros, currency)


def money(micros: int, currency: str) -> str:
    """Show an amount, to the last digit where it is no whole number of minor units."""
    if is_currency(currency) and not micros % 10_000:
        return format_money(micros, currency)
    return f"{in_units(micros)} {currency}"
