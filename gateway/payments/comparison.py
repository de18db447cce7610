"""Compares one payment of the payment service with the book.

Pure: takes both sides' data, and returns what is to be booked and where they differ. What the book
lacks is reported elsewhere, because it can be booked; what differs here needs a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from billing.errors import MoneyError
from billing.money import format_money, in_units, is_currency
from billing.payments import (
    PAID_STATES,
    BookedCredit,
    Intent,
    Payment,
    PaymentFact,
    PaymentState,
    amounts_of,
    disputed_micros,
    facts_of,
    from_minor,
    objects_of,
    refund_amounts,
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
ENTRY_DIFFERS: Final = "booked of another payment than the payment service names"
BOOKED_BEFORE: Final = "booked before it was made at the payment service"
OF_LISTS = frozenset({PAYMENT_DIFFERS, ENTRY_DIFFERS, BOOKED_BEFORE})
"""Found from lists alone, and not affected by anything in progress."""

CLOCKS_DIFFER_MAX: Final = timedelta(days=1)
"""How much earlier a credit may be dated than its object at the payment service. It may be much
later: what was lost is booked when it is found again."""

_ADVICE: Final = (
    "Look the payment up on the payment service's pages: they say what was paid, and by whom. Then"
    " correct the outcome by a credit with a reason (`caller accounts credit`), and the payment's"
    " row where that is wrong."
)
ADVICE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            AMOUNT_DIFFERS,
            ACCOUNT_DIFFERS,
            CURRENCY_DIFFERS,
            ENTRY_DIFFERS,
            BOOKED_BEFORE,
        ),
        _ADVICE,
    ),
    PAYMENT_DIFFERS: (
        "Where it says `none here`, `caller payments reconcile --since DATE` fills it in. Else:"
        f" {_ADVICE}"
    ),
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
    """Return whether a listed object differs from the book; `top_up` is its payment's credit."""
    # Refunds and disputes carry no account of ours; their payment's top-up has it.
    account_id = trace.account_id or (top_up.account_id if top_up is not None else "")
    for reference, minor in trace.amounts.items():
        credit = booked.get(reference)
        if credit is None:
            # Not booked, but nothing is missing where the object proves no amount.
            if minor:
                return True
        # Equal amounts are not enough: currency or account may differ.
        elif (
            credit.micros != _micros(minor, trace.currency)
            or credit.currency != trace.currency
            or account_id not in ("", credit.account_id)
        ):
            return True
    return False


def rows_that_differ(trace: PaymentTrace, payment: Payment) -> Iterator[Disagreement]:
    """Yield where a payment's row names other ids than the object, or page, with its id."""
    said = [
        f"{name} {here or 'none'} here, {there or 'none'} there"
        for name, here, there, is_due in (
            ("payment", payment.id, trace.payment_id, True),
            ("account", payment.account_id, trace.account_id, True),
            ("payment intent", payment.payment_intent_id, trace.intent_id, _is_due(trace, payment)),
            ("checkout", payment.checkout_id, trace.checkout_id, bool(trace.checkout_id)),
        )
        if is_due and (here or "") != there
    ]
    if said:
        figures = f"account {payment.account_id}: {', '.join(said)}"
        yield Disagreement(PAYMENT_DIFFERS, payment.id, figures)


def is_blank(trace: PaymentTrace, payment: Payment) -> bool:
    """Return whether a payment's row only lacks ids that the object names."""
    filled = replace(
        payment,
        checkout_id=payment.checkout_id or trace.checkout_id or None,
        payment_intent_id=payment.payment_intent_id or trace.intent_id or None,
    )
    # Only filled in if the object agrees with everything that the row does have.
    return any(rows_that_differ(trace, payment)) and not any(rows_that_differ(trace, filled))


def _is_due(trace: PaymentTrace, payment: Payment) -> bool:
    """Return whether the row must name the object's intent, or that it has none."""
    was_paid = payment.state in PAID_STATES
    # An unpaid page has no intent; it may be paid between the two readings.
    return was_paid if trace.intent_id else not was_paid


def entries_that_differ(
    trace: PaymentTrace, booked: Mapping[str, BookedCredit], payments: Mapping[str, Payment]
) -> Iterator[Disagreement]:
    """Yield the credits of a listed object booked for another payment, or before it."""
    for reference in trace.amounts:
        credit = booked.get(reference)
        if credit is None:
            continue
        payment = payments.get(credit.named_payment_id)
        here = payment.payment_intent_id if payment is not None else None
        if here and here != trace.intent_id:
            yield _of_another(credit, here, trace.intent_id)
        # Our own refunds are booked before they are requested from the service.
        is_first_there = credit.reference.startswith(("pi:", "re:", "du:"))
        at, created_at = credit.at, trace.created_at
        if is_first_there and at and created_at and at < created_at - CLOCKS_DIFFER_MAX:
            dates = f"{at:%Y-%m-%d} here, {created_at:%Y-%m-%d} there"
            yield Disagreement(BOOKED_BEFORE, reference, f"account {credit.account_id}: {dates}")


def _of_another(credit: BookedCredit, here: str, there: str) -> Disagreement:
    figures = f"account {credit.account_id}: payment intent {here} here, {there} there"
    return Disagreement(ENTRY_DIFFERS, credit.reference, figures)


def differences(
    intent: Intent, booked: Mapping[str, BookedCredit], payment: Payment | None
) -> Iterator[Disagreement]:
    """Yield where the book and a payment differ in what both have.

    `booked` are the credits of all references that the intent may prove, and all that name its
    payment.
    """
    amounts, objects = amounts_of(intent), objects_of(intent)
    for reference, credit in sorted(booked.items()):
        if reference in amounts:
            currency, of = objects.get(reference, (intent.currency, intent.id))
            yield from _credit_that_differs(credit, intent, amounts[reference], currency)
            if of != intent.id:
                yield _of_another(credit, intent.id, of)
        # A failed refund of ours leaves two entries that cancel out, and no object at the service.
        elif not _is_undone(credit, booked):
            shown = money(credit.micros, credit.currency)
            yield Disagreement(
                UNPROVEN, reference, f"account {credit.account_id}: {shown} here, nothing there"
            )
    # The row is updated after its entries, so it may lag while one of them is missing.
    if payment is not None and all(name in booked for name, minor in amounts.items() if minor):
        yield from _row_that_differs(payment, intent)


def _credit_that_differs(
    credit: BookedCredit, intent: Intent, minor: int, currency: str
) -> Iterator[Disagreement]:
    whose, reference = f"account {credit.account_id}", credit.reference
    here, there = money(credit.micros, credit.currency), minor_money(minor, currency)
    figures = f"{whose}: {here} here, {there} there"
    if credit.currency != currency:
        yield Disagreement(CURRENCY_DIFFERS, reference, figures)
    # The service has the object but moved no money: a failed refund, or an inquiry.
    elif not minor:
        yield Disagreement(UNPROVEN, reference, figures)
    elif credit.micros != _micros(minor, currency):
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
    # An appeal may be won after all; here a lost payment stays lost.
    is_won = due is PaymentState.WON and payment.state is PaymentState.LOST
    was_paid = due in PAID_STATES or payment.state in PAID_STATES
    if was_paid and payment.state is not due and not is_won:
        figures = f"{whose}: {payment.state.value} here, {due.value} there"
        yield Disagreement(STATE_DIFFERS, payment.id, figures)
    # Nothing was received before it was paid, and other currencies cannot be compared.
    if due not in PAID_STATES or payment.currency != intent.currency:
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


def facts_to_book(
    intent: Intent, payment: Payment, entries: Sequence[BookedCredit]
) -> list[PaymentFact]:
    """Return what an intent proves of its payment, except refunds that are already booked.

    `entries` are the payment's credits. A refund carries its name in our notes at the service,
    where people can change it: under another name it is still the same refund, recognised by an
    entry of its amount that no refund of the service carries the name of. An audit reports it.
    Raises MoneyError for a currency other than the payment's.
    """
    facts, renamed = facts_of(intent, payment.currency, payment.kind), _renamed(intent, entries)
    return [fact for fact in facts if fact.reference not in renamed]


def _renamed(intent: Intent, entries: Sequence[BookedCredit]) -> frozenset[str]:
    known, booked = amounts_of(intent), {entry.reference for entry in entries}
    nameless = Counter(
        entry.micros
        for entry in entries
        if entry.reference.startswith(("refund:", "re:"))
        and entry.reference not in known
        # An entry that was undone represents no refund at the service.
        and undone(entry.reference) not in booked
        and entry.micros < 0
    )
    found: set[str] = set()
    for refund in reversed(intent.refunds):  # the newest is the likeliest to be a different one
        names = refund_amounts(refund)
        micros = -from_minor(refund.minor, intent.currency)
        # Each entry is one refund: two refunds of one amount need two entries.
        if booked.isdisjoint(names) and nameless[micros] > 0:
            nameless[micros] -= 1
            found.update(names)
    return frozenset(found)


def _is_undone(credit: BookedCredit, booked: Mapping[str, BookedCredit]) -> bool:
    """Return whether a refund that the service never made was given back."""
    name = credit.reference.removesuffix(undone(""))
    pair = [booked.get(name), booked.get(undone(name))]
    return sum(one.micros if one is not None else 0 for one in pair) == 0


def _micros(minor: int, currency: str) -> int | None:
    """Return micros; None in an unknown currency, which equals nothing."""
    try:
        return from_minor(minor, currency)
    except MoneyError:
        return None


def minor_money(minor: int, currency: str) -> str:
    """Format an amount of the payment service."""
    micros = _micros(minor, currency)
    return f"{minor} {currency}" if micros is None else money(micros, currency)


def money(micros: int, currency: str) -> str:
    """Format an amount, with all digits if it is not a whole number of minor units."""
    # Rounded to cents, two different amounts could look equal.
    if is_currency(currency) and not micros % 10_000:
        return format_money(micros, currency)
    return f"{in_units(micros)} {currency}"
