"""Serves `/v1`: top-ups and payments of the API key's account.

It never handles card data: a person pays on the payment service's own page, or with a card saved
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.errors import MoneyError
from billing.money import AMOUNT_PATTERN, parse_money
from billing.payments import Payment, PaymentProfile, PaymentState
from gateway.browser import messages as wire
from gateway.browser.reports import money
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import PageAsked, page_asked_for, read_json
from gateway.http.idempotency import idempotency_key, needed_idempotency_key
from gateway.http.operation import Once, operation
from gateway.http.principal import Kind, Principal
from gateway.http.problems import Json, payment_errors
from gateway.http.velocity import address_of
from gateway.payments.amounts import chargeable
from gateway.payments.auto_top_up import AutoTopUps
from gateway.payments.ports import PaymentStore
from gateway.payments.service import Payments
from gateway.payments.starts import count_start
from gateway.ports import Velocity
from gateway.scopes import Scope
from gateway.settings import Settings

_PAYMENT: Final = "^pay_[a-z0-9]{1,24}$"
"""The form of a payment's id."""
_PAYING = ("payments_off", "address_unproven", "account_restricted", "amount_out_of_range")

Amount = Annotated[
    str, msgspec.Meta(max_length=32, pattern=f"^(?!-){AMOUNT_PATTERN}$", examples=["25.00"])
]


class TopUpRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/top-ups`."""

    amount: Amount
    """A plain decimal number of the account's currency, such as "25.00"."""
    save_card: bool = False


class SavedCardRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/saved-card-charges`."""

    amount: Amount


class AutoTopUpRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/auto-top-up`."""

    enabled: bool
    threshold: Amount = "0"
    amount: Amount = "0"


class AutoTopUpView(msgspec.Struct, kw_only=True):
    """An account's settings for automatic top-ups."""

    enabled: bool
    threshold: wire.Money
    amount: wire.Money
    maximum: wire.Money
    """The most that `amount` may be."""
    has_card: bool
    off_reason: str


class TopUpOffer(msgspec.Struct, kw_only=True):
    """What can be paid here."""

    enabled: bool
    currency: str
    amounts: list[wire.Money]
    minimum: wire.Money
    maximum: wire.Money
    auto: AutoTopUpView


class PaymentView(msgspec.Struct, kw_only=True):
    """One payment as the API shows it. Times are RFC 3339 in UTC."""

    id: str
    kind: str
    state: str
    amount: wire.Money
    refunded: wire.Money
    receipt_url: str
    failure: str
    created_at: datetime
    url: str = ""
    """Where to pay it; only in the reply to its creation."""


class PaymentPage(msgspec.Struct, kw_only=True):
    """A page of payments, newest first."""

    payments: list[PaymentView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


@dataclass(frozen=True, slots=True)
class CardPayments:
    """What takes payments, if a payment service is set up."""

    payments: Payments
    auto: AutoTopUps


class PaymentsAsked(PageAsked, kw_only=True):
    """Which part of the payments."""

    before: Annotated[str, msgspec.Meta(pattern=_PAYMENT)] | None = None


@dataclass(frozen=True, slots=True)
class PaymentsApi:
    """Handlers of the payments' resources."""

    settings: Settings
    auth: Authenticator
    velocity: Velocity
    store: PaymentStore
    cards: CardPayments | None
    """None if no payment service is set up: then nothing can be paid, but everything read."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        return self.auth.serve(self)

    @operation("GET /v1/top-ups", Scope.PAYMENTS, TopUpOffer)
    async def show_top_up_offer(self, _request: Request, principal: Principal) -> Response:
        """Return the offered amounts, and the settings for automatic top-ups."""
        profile = await self.store.profile(principal.account.id)
        # The account's currency, which need not be the deployment's present one.
        settings, currency = self.settings, profile.currency
        return Json(
            TopUpOffer(
                enabled=self.cards is not None,
                currency=currency,
                amounts=[money(micros, currency) for micros in settings.top_up_amounts],
                minimum=money(settings.top_up_min, currency),
                maximum=money(settings.top_up_max, currency),
                auto=self._auto_view(profile),
            )
        )

    @operation(
        "POST /v1/top-ups",
        Scope.PAYMENTS,
        PaymentView,
        status=201,
        body=TopUpRequest,
        problems=(*_PAYING, "payment_key_reused", "payment_unavailable"),
        once=Once.OPTIONAL,
        gives={"payment_id": "/id"},
    )
    async def start_top_up(self, request: Request, principal: Principal) -> Response:
        """Begin a payment; the person makes it on the payment service's own page.

        Without an idempotency key the same amount within 30 seconds is the same payment.
        """
        cards = self._cards()
        _refuse_unproven(principal)
        key = idempotency_key(request)
        body = await read_json(request, TopUpRequest)
        account_id = principal.account.id
        micros = _amount(body.amount, "amount")
        chargeable(self.settings, micros, principal.account.currency)
        # After the request has been validated, so that typing errors and amounts that cannot be
        # charged do not count.
        await count_start(self.velocity, self.store, account_id, address_of(request), key)
        with payment_errors():
            payment, url = await cards.payments.start_checkout(
                account_id, micros, save_card=body.save_card, key=key
            )
        return Json(_view(payment, url), 201)

    @operation(
        "POST /v1/saved-card-charges",
        Scope.PAYMENTS,
        PaymentView,
        status=201,
        body=SavedCardRequest,
        problems=(
            *_PAYING,
            "payment_key_reused",
            "payment_unavailable",
            "no_saved_card",
            "charge_in_flight",
            "card_limit_reached",
        ),
        once=Once.REQUIRED,
        gives={"payment_id": "/id"},
    )
    async def charge_saved_card(self, request: Request, principal: Principal) -> Response:
        """Charge the saved card at once; each tap has an idempotency key of its own.

        The payment is paid, failed with the card's code as `failure`, or not settled yet: repeating
        the key asks again, and pays only once. It counts against the daily limit of automatic
        top-ups.
        """
        cards = self._cards()
        _refuse_unproven(principal)
        key = needed_idempotency_key(request)
        body = await read_json(request, SavedCardRequest)
        account_id = principal.account.id
        micros = _amount(body.amount, "amount")
        chargeable(self.settings, micros, principal.account.currency)
        await count_start(self.velocity, self.store, account_id, address_of(request), key)
        return Json(_view(await cards.auto.charge_now(account_id, micros, key)), 201)

    @operation(
        "GET /v1/top-ups/{payment_id}",
        Scope.PAYMENTS,
        PaymentView,
        problems=("payment_not_found",),
    )
    async def show_top_up(self, request: Request, principal: Principal) -> Response:
        """Return a payment; a pending one is looked up at the payment service.

        Its state is `created`, `open`, `processing` (the bank takes its time), `paid`, `failed`,
        `expired`, `disputed` or `lost`. It does not wait for a webhook.
        """
        payment = await self.store.find(request.path_params["payment_id"])
        # The same answer for both, so that other accounts' ids cannot be probed.
        if payment is None or payment.account_id != principal.account.id:
            raise RequestRefusedError("payment_not_found")
        if self.cards is not None:
            # The return page polls this, so top-ups are credited even if webhooks cannot reach us.
            payment = await self.cards.payments.refresh(payment)
        return Json(_view(payment))

    @operation(
        "GET /v1/payments",
        Scope.PAYMENTS,
        PaymentPage,
        query=PaymentsAsked,
        gives={"payment_id": "/payments/0/id"},
    )
    async def list_payments(self, request: Request, principal: Principal) -> Response:
        """Return a page of the account's payments, newest first.

        With receipts, and what was refunded.
        """
        limit, before = page_asked_for(request, _PAYMENT)
        # One extra row tells whether another page follows.
        found = await self.store.page(principal.account.id, limit=limit + 1, before=before)
        following = found[limit - 1].id if len(found) > limit else None
        return Json(PaymentPage(payments=[_view(each) for each in found[:limit]], next=following))

    @operation(
        "PUT /v1/auto-top-up",
        Scope.PAYMENTS,
        AutoTopUpView,
        body=AutoTopUpRequest,
        problems=(*_PAYING, "no_saved_card"),
        step_up=True,
    )
    async def set_auto_top_up(self, request: Request, principal: Principal) -> Response:
        """Switch automatic top-ups on or off.

        The saved card is charged when the credit falls below the threshold, during a call too; the
        operator limits how much a day. A frozen account can switch them off, but not on; a lock
        switches them off.
        """
        cards = self._cards()
        _refuse_unproven(principal)
        body = await read_json(request, AutoTopUpRequest)
        profile = await cards.payments.set_auto(
            principal.account.id,
            enabled=body.enabled,
            threshold_micros=_amount(body.threshold, "threshold"),
            amount_micros=_amount(body.amount, "amount"),
            key_id=principal.account.key_id if principal.kind is Kind.PROGRAM else "",
        )
        # Otherwise this node would use the old threshold until its cache expires, as other nodes
        # do.
        cards.auto.forget(principal.account.id)
        return Json(self._auto_view(profile))

    def _auto_view(self, profile: PaymentProfile) -> AutoTopUpView:
        # A larger amount could never be charged within the daily limit.
        maximum = min(self.settings.top_up_max, self.settings.auto_top_up_day_max)
        return AutoTopUpView(
            enabled=profile.auto_enabled,
            threshold=money(profile.auto_threshold_micros, profile.currency),
            amount=money(profile.auto_amount_micros, profile.currency),
            maximum=money(maximum, profile.currency),
            has_card=profile.has_card,
            off_reason=profile.auto_off_reason,
        )

    def _cards(self) -> CardPayments:
        if self.cards is None:
            raise RequestRefusedError("payments_off")
        return self.cards


def _view(payment: Payment, url: str = "") -> PaymentView:
    # Only the operator cares that a paid one was disputed in vain.
    state = PaymentState.PAID if payment.state is PaymentState.WON else payment.state
    return PaymentView(
        id=payment.id,
        kind=payment.kind,
        state=state.value,
        amount=money(payment.micros, payment.currency),
        refunded=money(payment.refunded_micros, payment.currency),
        receipt_url=payment.receipt_url,
        failure=payment.failure,
        created_at=payment.created_at,
        url=url,
    )


def _refuse_unproven(principal: Principal) -> None:
    # Stolen cards are tested with accounts that no one answers for.
    if not principal.is_proven:
        raise RequestRefusedError("address_unproven")


def _amount(text: str, field: str) -> int:
    try:
        micros = parse_money(text)
    except MoneyError:
        micros = -1
    if micros < 0:
        raise RequestRefusedError("bad_request", field=field)
    return micros
