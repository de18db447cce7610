"""Audits payments: each must be credited, refunded and disputed as its row says.

Compares the payment's row with its credits. The comparison with the payment service is made in
`gateway.payments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from billing.payments import SAVED_CARD_KINDS, TAKEN_BACK, TOP_UP_REASONS, PaymentState
from billing.stores import tables
from billing.stores.closed_books import is_hidden_of

_payments = tables.payments.c
_credits = tables.credits.c

CREDITED = [state.value for state in (PaymentState.PAID, PaymentState.WON, *TAKEN_BACK)]
"""States of a payment that has its top-up."""
_TAKEN = [state.value for state in TAKEN_BACK]
_WAS_DISPUTED = [*_TAKEN, PaymentState.WON.value]
_KINDS_BACK = ("refund", "dispute")

_TOP_UP = "pi:" + _payments.payment_intent_id
_IS_CLOSED = sa.or_(
    sa.exists(
        sa.select(tables.closed_credits.c.reference).where(
            tables.closed_credits.c.reference == _TOP_UP
        )
    ),
    # No database of ours computes a digest: what was hidden may be this one.
    is_hidden_of(_payments.account_id),
)
"""Whether a payment's top-up was carried forward: its row is here again for what came back later,
and says nothing of the entries that are gone."""
_ARE_KEPT = sa.exists(sa.select(_payments.id))
"""Whether there are payments at all: a book may get its credit by other means."""

_old = tables.credits.alias("old")
_UNNOTED = (
    sa.select(_old.c.account_id)
    .where(_old.c.kind.in_(_KINDS_BACK), _old.c.payment_id.is_(None))
    .distinct()
)
"""Accounts with entries that do not name their payment: only their sums can be judged."""


def _money_back(kind: str) -> sa.ColumnElement[int]:
    """Return what the entries of a kind have taken."""
    return -sa.func.coalesce(
        sa.func.sum(sa.case((_credits.kind == kind, _credits.micros), else_=0)), 0
    )


_OF_PAYMENT = (
    sa.select(
        _credits.payment_id,
        _money_back("refund").label("refunded"),
        _money_back("dispute").label("disputed"),
        sa.func.sum(sa.case((_credits.kind == "dispute", 1), else_=0)).label("disputes"),
    )
    .where(_credits.payment_id.is_not(None))
    .group_by(_credits.payment_id)
    .subquery()
)
_OF_ACCOUNT = (
    sa.select(
        _credits.account_id,
        _money_back("refund").label("refunded"),
        _money_back("dispute").label("disputed"),
    )
    .where(_credits.account_id.in_(_UNNOTED))
    .group_by(_credits.account_id)
    .subquery()
)
_WITH_ENTRIES = tables.payments.outerjoin(_OF_PAYMENT, _OF_PAYMENT.c.payment_id == _payments.id)


def _top_ups_without_payment() -> sa.Select[Any]:
    """Each top-up names a payment."""
    # Asked this way round it uses the index of intents; comparing references would try every
    # payment.
    paid = sa.select(_payments.id).where(
        _payments.payment_intent_id == sa.func.substr(_credits.reference, len("pi:") + 1),
        _begins(_credits.reference, sa.literal("pi:")),
    )
    return _shown_credit().where(
        _credits.kind == "top-up",
        _ARE_KEPT | _credits.payment_id.is_not(None),
        ~paid.exists(),
    )


def _entries_without_payment() -> sa.Select[Any]:
    """Each refund and each dispute is of a payment of its account."""
    mine = sa.select(_payments.id).where(_payments.account_id == _credits.account_id)
    named = mine.where(_begins(_credits.reference, "refund:" + _payments.id + ":"))
    paid = mine.where(_payments.state.in_(CREDITED))
    return _shown_credit().where(
        _credits.kind.in_(_KINDS_BACK),
        sa.case(
            (
                _credits.payment_id.is_not(None),
                ~mine.where(_payments.id == _credits.payment_id).exists(),
            ),
            # Refunds that we asked for carry their payment's id in the reference.
            (_begins(_credits.reference, sa.literal("refund:")), ~named.exists()),
            # Nothing names the payment: any credited one of the account will do.
            else_=_ARE_KEPT & ~paid.exists(),
        ),
    )


def _entries_of_other_payments() -> sa.Select[Any]:
    """A refund that we asked for names its payment twice; only money of payments names any."""
    is_refund = _begins(_credits.reference, sa.literal("refund:"))
    is_named = _begins(_credits.reference, "refund:" + _credits.payment_id + ":")
    is_payments = _credits.kind.in_(("top-up", *_KINDS_BACK))
    return _shown_credit().where(
        _credits.payment_id.is_not(None),
        ~is_payments | (is_refund & ~is_named),
    )


def _entries_that_name_none() -> sa.Select[Any]:
    """Money of payments names its payment, since the book began to note that."""
    noted = tables.credits.alias("noted")
    names_one = noted.c.payment_id.is_not(None)
    begun_at = sa.select(sa.func.min(noted.c.at)).where(names_one).scalar_subquery()
    before = sa.select(noted.c.sequence).where(
        names_one,
        noted.c.account_id == _credits.account_id,
        noted.c.sequence < _credits.sequence,
    )
    return _shown_credit().where(
        _credits.payment_id.is_(None),
        _credits.kind.in_(("top-up", *_KINDS_BACK)),
        # By the account's own numbers too: two credits may have the same date.
        (_credits.at > begun_at) | before.exists(),
    )


def _begins(
    text: sa.ColumnElement[str], beginning: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    """Return whether a text begins so; not by LIKE, to which the `_` of an id is any character."""
    return sa.func.substr(text, 1, sa.func.length(beginning)) == beginning


def _shown_credit() -> sa.Select[Any]:
    return sa.select(
        _credits.reference,
        _credits.account_id.label("account"),
        _credits.payment_id.label("payment"),
        _credits.micros.label("booked"),
    )


def _payments_without_top_up() -> sa.Select[Any]:
    """Each payment that was paid has its top-up: the state becomes paid after the booking only."""
    booked = sa.select(_credits.reference).where(_credits.reference == _TOP_UP)
    return _shown_payment().where(
        _payments.state.in_(CREDITED),
        _payments.payment_intent_id.is_(None) | ~(booked.exists() | _IS_CLOSED),
    )


def _shown_payment() -> sa.Select[Any]:
    return sa.select(
        _payments.id,
        _payments.account_id.label("account"),
        _payments.state.label("state"),
        _payments.micros.label("amount"),
    )


def _top_ups_unlike_their_payment() -> sa.Select[Any]:
    """A top-up is its payment's: of its account, its amount, its kind."""
    transfers = tables.transfers.c
    return (
        sa.select(
            _credits.reference,
            _credits.account_id.label("account"),
            _credits.micros.label("booked"),
            _payments.id.label("payment"),
            _payments.account_id.label("of account"),
            _payments.micros.label("of"),
            _payments.kind.label("by"),
        )
        .join_from(tables.credits, tables.payments, _credits.reference == _TOP_UP)
        # The reason that the customer reads is kept in the transfer alone.
        .outerjoin(tables.transfers, transfers.reference == "credit:" + _credits.reference)
        .where(
            sa.or_(
                _credits.account_id != _payments.account_id,
                _credits.micros != _payments.micros,
                _credits.kind != "top-up",
                _credits.payment_id != _payments.id,
                *(
                    (transfers.reason == reason) & (_payments.kind != kind)
                    for kind, reason in TOP_UP_REASONS.items()
                ),
            )
        )
    )


def _unpaid_that_are_credited() -> sa.Select[Any]:
    """What is credited was paid, and its payment says so."""
    return (
        _shown_payment()
        .add_columns(_credits.micros.label("credited"))
        .join_from(tables.payments, tables.credits, _credits.reference == _TOP_UP)
        .where(_payments.state.not_in(CREDITED))
    )


def _sums_that_disagree(
    noted: sa.ColumnElement[int], booked: sa.ColumnElement[int], name: str
) -> sa.Select[Any]:
    """What a payment says of its refunds, or disputes, is what its entries come to."""
    entries = sa.func.coalesce(booked, 0)
    return (
        _shown_payment()
        .add_columns(noted.label(name), entries.label("entries"))
        .select_from(_WITH_ENTRIES)
        # NULL in `noted`, where what disputes took was never recorded, is unequal to nothing and
        # passes.
        .where(_payments.account_id.not_in(_UNNOTED), noted != entries, ~_IS_CLOSED)
    )


def _sums_of_accounts_that_disagree() -> sa.Select[Any]:
    """The same of all payments of an account together, where entries do not name theirs."""
    refunded = sa.func.sum(_payments.refunded_micros)
    disputed = sa.func.sum(_payments.disputed_micros)
    entries = _OF_ACCOUNT.c
    return (
        sa.select(
            _payments.account_id,
            refunded.label("refunded"),
            entries.refunded.label("refund entries"),
            disputed.label("disputed"),
            entries.disputed.label("dispute entries"),
        )
        .join_from(tables.payments, _OF_ACCOUNT, entries.account_id == _payments.account_id)
        .group_by(_payments.account_id, entries.refunded, entries.disputed)
        .having(
            sa.or_(
                refunded != entries.refunded,
                # Only if all payments of the account know what disputes have taken.
                (sa.func.count(_payments.disputed_micros) == sa.func.count())
                & (disputed != entries.disputed),
            )
        )
    )


def _states_unlike_disputes() -> sa.Select[Any]:
    """A payment that is disputed, lost or won has its entries, and one that has them says so."""
    count = sa.func.coalesce(_OF_PAYMENT.c.disputes, 0)
    takes = _payments.disputed_micros > 0
    return (
        _shown_payment()
        .add_columns(_payments.disputed_micros.label("disputed"))
        .select_from(_WITH_ENTRIES)
        .where(
            _payments.account_id.not_in(_UNNOTED),
            ~_IS_CLOSED,
            sa.or_(
                (count > 0) != _payments.state.in_(_WAS_DISPUTED),
                takes & _payments.state.not_in(_TAKEN),
                # A lost dispute may be won on appeal: the state stays lost, and nothing is taken.
                ~takes & (_payments.state == PaymentState.DISPUTED.value),
            ),
        )
    )


def _impossible_payments() -> sa.Select[Any]:
    """A payment is of its account's currency, above zero, and refunded within its amount."""
    accounts = tables.accounts.c
    return (
        _shown_payment()
        .add_columns(_payments.refunded_micros.label("refunded"))
        .join_from(tables.payments, tables.accounts)
        .where(
            sa.or_(
                _payments.micros <= 0,
                _payments.refunded_micros < 0,
                _payments.refunded_micros > _payments.micros,
                _payments.disputed_micros < 0,
                _payments.currency != accounts.currency,
                _payments.state.not_in([state.value for state in PaymentState]),
                _payments.kind.not_in(TOP_UP_REASONS),
                # A charge of a saved card has no page.
                _payments.kind.in_(SAVED_CARD_KINDS) & _payments.checkout_id.is_not(None),
            )
        )
    )


_COMPARE = (
    "Compare with the payment service's pages; `caller payments reconcile --since DATE` books what"
    " is lacking."
)
_ROW = (
    "Compare with the payment service's pages (`caller ledger audit --since DATE` does): if they"
    " say what the entries say, correct the payment's row; if not, correct the outcome by a credit"
    " with a reason (`caller accounts credit`)."
)
RULES: Mapping[str, tuple[sa.Select[Any], str]] = {
    "top-up without a payment": (_top_ups_without_payment(), _COMPARE),
    "payment without its top-up": (_payments_without_top_up(), _COMPARE),
    "top-up unlike its payment": (_top_ups_unlike_their_payment(), _ROW),
    "payment with impossible figures": (_impossible_payments(), _ROW),
    "refund or dispute without its payment": (_entries_without_payment(), _ROW),
    "entry of another payment": (_entries_of_other_payments(), _ROW),
    "entry that does not name its payment": (_entries_that_name_none(), _ROW),
    "payment credited, but not paid by its state": (_unpaid_that_are_credited(), _ROW),
    "payment's refunds are not what its entries come to": (
        _sums_that_disagree(_payments.refunded_micros, _OF_PAYMENT.c.refunded, "refunded"),
        _ROW,
    ),
    "payment's disputes are not what its entries come to": (
        _sums_that_disagree(_payments.disputed_micros, _OF_PAYMENT.c.disputed, "disputed"),
        _ROW,
    ),
    "account's refunds and disputes are not what its entries come to": (
        _sums_of_accounts_that_disagree(),
        _ROW,
    ),
    "payment's state is not that of its disputes": (_states_unlike_disputes(), _ROW),
}
"""Rule -> what breaks it, subject first, and what to do. An entry is booked, then the payment's
state follows: what is found must be found again a moment later."""
