"""Serves `/account/credit`: the balance, what changed it, and how to add to it.

A person pays on the payment service's own page, or with a card saved there: no card data come here.
The pages show and do the same as the API.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.call_refunds import RefundRule
from billing.money import format_exact, format_money, in_units
from billing.payments import (
    ACCOUNT_LOCKED,
    PENDING,
    REASON_KEYS,
    TOP_UP_REASONS,
    Payment,
    PaymentProfile,
    PaymentState,
)
from billing.rate_deck import RateGroup, lasting_minutes
from billing.statement import StatementLine, StatementStore
from database.errors import StoreUnavailableError
from gateway.calls.rate_table import Countries, RateTable
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.problems import payment_errors
from gateway.http.sessions import SignedIn
from gateway.http.site.amounts import parse_amount, typed
from gateway.http.site.countries import in_words, sort_key
from gateway.http.site.door import ACCOUNT, CREDIT, Door, cursor_in, language_of, said_in, see
from gateway.http.site.forms import Line, Nothing, read_form
from gateway.http.site.rendering import CONTENT_SECURITY_POLICY, HEADERS
from gateway.http.site.words import WORDS, best_country
from gateway.http.velocity import address_of
from gateway.payments.amounts import chargeable
from gateway.payments.api import CardPayments
from gateway.payments.ports import PaymentStore
from gateway.payments.service import ReturnPaths
from gateway.payments.starts import count_start
from gateway.ports import Account, Velocity
from gateway.settings import Settings

PAYMENTS, STATEMENT, AUTO = f"{CREDIT}/payments", f"{CREDIT}/statement", f"{CREDIT}/auto"
BACK: Final = ReturnPaths(f"{PAYMENTS}/{{}}", CREDIT)
NEWEST_LINES: Final = 5
PAGE_ROWS: Final = 25
LOOKS_MAX: Final = 20
"""How often the page of a pending payment reloads itself: for a minute."""
_LOOK_AGAIN_S: Final = 3
_LASTING_MAX: Final = 6
_HOSTED: Final = {"https://api.stripe.com": "https://checkout.stripe.com"}
"""Origin of the payment service's API -> that of the pages it hosts, if different."""
_WEB: Final = ("https://", "http://")
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_WHY: Final = {rule.value: rule.name.lower() for rule in RefundRule}
_HOW: Final = {reason: f"top_up_{kind}" for kind, reason in TOP_UP_REASONS.items()}

CreditOf = Callable[[str], Awaitable[int]]
"""Returns the micros that an account has left. Raises StoreUnavailableError."""
_T = TypeVar("_T")


class TopUpFields(msgspec.Struct):
    """The form that begins a payment, on a page or with the saved card."""

    once: Line = ""
    """Created with the form: the same form sent twice begins one payment."""
    amount: Line = ""
    """Of the button that was pressed; empty for the field beside it."""
    other: Line = ""
    save_card: bool = False


class AutoTopUpFields(msgspec.Struct):
    """The form of automatic top-ups."""

    enabled: bool = False
    threshold: Line = ""
    amount: Line = ""


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a balance lasts on one rate of a country."""

    description: str
    per_minute: str
    minutes: int


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A change of an account's credit."""

    at: datetime
    kind: str
    """A key of the words under `ledger.`."""
    why: str
    """A key of the words under `refund.`; empty for none."""
    payment_reason: str
    """A key of the words under `payment_reason.`; empty for none."""
    reason: str
    """The reason, if it has no words in our languages."""
    amount: str
    balance: str
    call_id: str
    """For a link to the call's page; empty for none."""
    is_forgotten: bool
    """Whether the details of the call are no longer stored."""


@dataclass(frozen=True, slots=True)
class PaymentOffer:
    """What can be paid here, and how."""

    amounts: Sequence[tuple[str, str]]
    """As a form sends it, and as money."""
    minimum: str
    maximum: str
    once: str
    has_card: bool


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """The settings of automatic top-ups."""

    is_on: bool
    threshold: str
    amount: str
    off_reason: str
    """`ACCOUNT_LOCKED`, or a key of the words under `decline.`; empty if the person did it."""


@dataclass(frozen=True, slots=True)
class CreditPage:
    """The balance, how to add to it, and its latest changes."""

    template: ClassVar[str] = "credit.html"
    balance: str
    """As money; empty if it is unavailable."""
    countries: Sequence[str]
    """ISO 3166 alpha-2 codes that can be chosen."""
    country: str
    lasting: Sequence[Lasting]
    offer: PaymentOffer | None
    """None if nothing can be paid."""
    closed: str
    """Why the account takes no payments, "leaving" or "restricted"; empty if it does."""
    is_frozen: bool
    """By someone other than its holder: debts can be paid, but no calls placed."""
    auto: AutoTopUp
    lines: Sequence[StatementRow]
    has_more: bool
    said: str = ""
    other: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatementPage:
    """All changes of an account's credit, a page at a time."""

    template: ClassVar[str] = "statement.html"
    lines: Sequence[StatementRow]
    is_first: bool
    following: str
    """URL query of the next, older lines; empty for none."""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One payment."""

    id: str
    at: datetime
    kind: str
    """A key of the words under `payment_kind.`."""
    state: str
    """A key of the words under `payment.`."""
    amount: str
    refunded: str
    """As money; empty for nothing."""
    receipt_url: str
    """At the payment service; empty for none."""
    decline: str
    """A key of the words under `decline.`; empty for none."""


@dataclass(frozen=True, slots=True)
class PaymentsPage:
    """All payments of an account, a page at a time."""

    template: ClassVar[str] = "payments.html"
    payments: Sequence[PaymentRow]
    is_first: bool
    following: str
    """URL query of the next, older payments; empty for none."""


@dataclass(frozen=True, slots=True)
class PaymentStatePage:
    """The state of one payment."""

    template: ClassVar[str] = "payment.html"
    payment: PaymentRow
    is_pending: bool
    looks_again: bool
    """Whether the page reloads itself."""


@dataclass(frozen=True, slots=True)
class GoToPaymentPage:
    """The way to a payment page that no redirect may lead to."""

    template: ClassVar[str] = "go_to_payment.html"
    url: str
    amount: str


@dataclass(frozen=True, slots=True)
class AutoTopUpPage:
    """The form of automatic top-ups."""

    template: ClassVar[str] = "auto_top_up.html"
    is_on: bool
    threshold: str
    amount: str
    maximum: str
    day_maximum: str
    has_card: bool
    off_reason: str
    """As in `AutoTopUp`."""
    errors: Mapping[str, str] = field(default_factory=dict)


PAGES: Final = (
    CreditPage,
    StatementPage,
    PaymentsPage,
    PaymentStatePage,
    GoToPaymentPage,
    AutoTopUpPage,
)


@dataclass(frozen=True, slots=True)
class CreditPages:
    """Handlers of the pages of money."""

    door: Door
    settings: Settings
    credit_of: CreditOf
    rate_table: RateTable
    statements: StatementStore
    store: PaymentStore
    velocity: Velocity
    cards: CardPayments | None
    """None if no payment service is set up: then nothing can be paid, but everything read."""
    new_once: Callable[[], str]

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(CREDIT, self.show),
            own(STATEMENT, self.show_statement),
            own(PAYMENTS, self.list_payments),
            own(f"{PAYMENTS}/{{payment_id}}", self.show_payment, page=PAYMENTS),
            own(f"{CREDIT}/top-up", self.top_up, method="POST", page=CREDIT),
            own(f"{CREDIT}/saved-card", self.charge_saved_card, method="POST", page=CREDIT),
            own(f"{CREDIT}/forget-card", self.forget_card, method="POST", page=CREDIT),
            own(AUTO, self.show_auto, step_up=True),
            own(AUTO, self.set_auto, method="POST", step_up=True),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show the balance, the ways to pay and the newest lines of the statement."""
        asked = request.query_params.get("to", "")
        countries = await self.rate_table.countries()
        is_unknown = bool(countries and asked and asked not in countries)
        return await self._show(
            request, who, errors={"to": "country_unknown"} if is_unknown else {}
        )

    async def _show(
        self,
        request: Request,
        who: SignedIn,
        other: str = "",
        errors: Mapping[str, str] | None = None,
    ) -> Response:
        account, language = who.account, language_of(request)
        try:
            micros = await self.credit_of(account.id)
            balance = format_exact(micros, account.currency)
        except StoreUnavailableError:
            micros, balance = 0, ""
        countries = await self.rate_table.countries()
        country = _country(request, countries)
        profile = await self.store.profile(account.id)
        found = await self.statements.page(account.id, limit=NEWEST_LINES + 1)
        page = CreditPage(
            balance=balance,
            countries=_by_name(countries, language),
            country=country,
            lasting=[
                _lasting(group, in_words(group.description, country, language), micros, account)
                for group in _open(countries.get(country, ()))
                if balance
            ],
            offer=self._offer(profile),
            closed=_closed(profile),
            is_frozen=profile.frozen,
            auto=_auto(profile),
            lines=[_row(each) for each in found[:NEWEST_LINES]],
            has_more=len(found) > NEWEST_LINES,
            said=said_in(request),
            other=other,
            errors=errors or {},
        )
        return self.door.show(
            request,
            page,
            status=422 if errors else 200,
            headers={"Content-Security-Policy": self._policy},
        )

    @property
    def _policy(self) -> str:
        # A form's redirects must be allowed as well (CSP 3, 6.4.2), and its answer leads there.
        return CONTENT_SECURITY_POLICY.replace(
            "form-action 'self'", f"form-action 'self' {self._hosted}"
        )

    @property
    def _hosted(self) -> str:
        return _HOSTED.get(self.settings.stripe_url, self.settings.stripe_url)

    def _offer(self, profile: PaymentProfile) -> PaymentOffer | None:
        if self.cards is None or profile.deleted:
            return None
        settings, currency = self.settings, profile.currency
        return PaymentOffer(
            amounts=[
                (in_units(micros), format_money(micros, currency))
                for micros in settings.top_up_amounts
            ],
            minimum=format_money(settings.top_up_min, currency),
            maximum=format_money(settings.top_up_max, currency),
            once=self.new_once(),
            has_card=profile.has_card,
        )

    async def top_up(self, request: Request, who: SignedIn) -> Response:
        """Begin a payment, and redirect to the page where the person pays."""
        cards = self._cards()
        fields = await read_form(request, TopUpFields)
        begun = await self._begin(request, who, fields)
        if isinstance(begun, Response):
            return begun
        micros, key = begun
        try:
            with payment_errors():
                payment, url = await cards.payments.start_checkout(
                    who.account.id, micros, save_card=fields.save_card, key=key, back=BACK
                )
        except RequestRefusedError as error:
            return await self._amount_refused(request, who, fields, error)
        target = urlsplit(url)
        if f"{target.scheme}://{target.netloc}" in (self._hosted, self.settings.origin):
            return RedirectResponse(url, 303, HEADERS)
        page = GoToPaymentPage(url, format_money(payment.micros, payment.currency))
        return self.door.show(request, page)

    async def charge_saved_card(self, request: Request, who: SignedIn) -> Response:
        """Charge the saved card at once, and redirect to the result."""
        cards = self._cards()
        fields = await read_form(request, TopUpFields)
        begun = await self._begin(request, who, fields)
        if isinstance(begun, Response):
            return begun
        micros, key = begun
        try:
            payment = await cards.auto.charge_now(who.account.id, micros, key)
        except RequestRefusedError as error:
            return await self._amount_refused(request, who, fields, error)
        return see(f"{PAYMENTS}/{payment.id}")

    async def _begin(
        self, request: Request, who: SignedIn, fields: TopUpFields
    ) -> tuple[int, str] | Response:
        """Return the micros and the idempotency key of a payment, or the response instead."""
        if not who.holder.is_proven:
            # The page says what to do about it.
            return see(ACCOUNT)
        micros = parse_amount(fields.amount or fields.other)
        if micros is None:
            return await self._show(request, who, fields.other, {"other": "amount_invalid"})
        if not _ONCE.fullmatch(fields.once):
            raise RequestRefusedError("bad_request", field="once")
        try:
            # Before it is counted: a wrong amount begins nothing.
            chargeable(self.settings, micros, who.account.currency)
        except RequestRefusedError as error:
            return await self._amount_refused(request, who, fields, error)
        key = f"page:{fields.once}"
        await count_start(self.velocity, self.store, who.account.id, address_of(request), key)
        return micros, key

    async def _amount_refused(
        self, request: Request, who: SignedIn, fields: TopUpFields, error: RequestRefusedError
    ) -> Response:
        if error.code != "amount_out_of_range":
            raise error
        other = fields.amount or fields.other
        return await self._show(request, who, other, {"other": "amount_range"})

    async def forget_card(self, request: Request, who: SignedIn) -> Response:
        """Forget the saved card, here and at the payment service."""
        cards = self._cards()
        await read_form(request, Nothing)
        with payment_errors():
            await cards.payments.forget_card(who.account.id)
        cards.auto.forget(who.account.id)
        return see(CREDIT, said="card_forgotten")

    async def show_statement(self, request: Request, who: SignedIn) -> Response:
        """Show a page of what changed the credit, newest first."""
        before = cursor_in(request)
        found = await self.statements.page(who.account.id, limit=PAGE_ROWS + 1, before=before)
        shown, following = _cut(found, lambda line: line.reference)
        page = StatementPage([_row(each) for each in shown], before is None, following)
        return self.door.show(request, page)

    async def list_payments(self, request: Request, who: SignedIn) -> Response:
        """Show a page of payments, newest first."""
        before = cursor_in(request)
        found = await self.store.page(who.account.id, limit=PAGE_ROWS + 1, before=before)
        shown, following = _cut(found, lambda payment: payment.id)
        page = PaymentsPage([_payment(each) for each in shown], before is None, following)
        return self.door.show(request, page)

    async def show_payment(self, request: Request, who: SignedIn) -> Response:
        """Show the state of a payment.

        A pending one is looked up, and the page reloads itself some times.
        """
        payment_id = request.path_params["payment_id"]
        payment = None if "\0" in payment_id else await self.store.find(payment_id)
        # The same answer for both, so that other accounts' ids cannot be probed.
        if payment is None or payment.account_id != who.account.id:
            raise RequestRefusedError("payment_not_found")
        if self.cards is not None:
            payment = await self.cards.payments.refresh(payment)
        is_pending = payment.state in PENDING
        looks = _looks(request)
        looks_again = is_pending and looks < LOOKS_MAX
        page = PaymentStatePage(_payment(payment), is_pending, looks_again)
        again = f"{PAYMENTS}/{payment_id}?looks={looks + 1}"
        return self.door.show(
            request,
            page,
            # As a header, not in the page: HTML, "shared declarative refresh steps".
            headers={"Refresh": f"{_LOOK_AGAIN_S}; url={again}"} if looks_again else None,
        )

    async def show_auto(self, request: Request, who: SignedIn) -> Response:
        """Show the settings of automatic top-ups."""
        self._cards()
        profile = await self.store.profile(who.account.id)
        fields = AutoTopUpFields(
            profile.auto_enabled,
            typed(profile.auto_threshold_micros),
            typed(profile.auto_amount_micros),
        )
        return self._auto_page(request, profile, fields, {})

    async def set_auto(self, request: Request, who: SignedIn) -> Response:
        """Switch automatic top-ups on or off."""
        cards = self._cards()
        fields = await read_form(request, AutoTopUpFields)
        if not who.holder.is_proven:
            return see(ACCOUNT)
        profile = await self.store.profile(who.account.id)
        threshold, amount = parse_amount(fields.threshold), parse_amount(fields.amount)
        if not fields.enabled:
            # Off is off, and the rest of the form is ignored: the settings stay for the next time.
            threshold = profile.auto_threshold_micros if threshold is None else threshold
            amount = profile.auto_amount_micros if amount is None else amount
        given = {"threshold": threshold, "amount": amount}
        if errors := {name: "amount_invalid" for name, micros in given.items() if micros is None}:
            return self._auto_page(request, profile, fields, errors)
        assert threshold is not None
        assert amount is not None
        try:
            await cards.payments.set_auto(
                who.account.id,
                enabled=fields.enabled,
                threshold_micros=threshold,
                amount_micros=amount,
            )
        except RequestRefusedError as error:
            if error.code != "amount_out_of_range":
                raise
            return self._auto_page(request, profile, fields, {error.field: "amount_range"})
        # Otherwise this node would use the old threshold until its cache expires.
        cards.auto.forget(who.account.id)
        return see(CREDIT, said="auto_on" if fields.enabled else "auto_off")

    def _auto_page(
        self,
        request: Request,
        profile: PaymentProfile,
        fields: AutoTopUpFields,
        errors: Mapping[str, str],
    ) -> Response:
        settings, currency = self.settings, profile.currency
        # A larger amount could never be charged within the daily limit.
        maximum = min(settings.top_up_max, settings.auto_top_up_day_max)
        page = AutoTopUpPage(
            is_on=fields.enabled,
            threshold=fields.threshold,
            amount=fields.amount,
            maximum=format_money(maximum, currency),
            day_maximum=format_money(settings.auto_top_up_day_max, currency),
            has_card=profile.has_card,
            off_reason=_off_reason(profile.auto_off_reason),
            errors=errors,
        )
        return self.door.show(request, page, status=422 if errors else 200)

    def _cards(self) -> CardPayments:
        if self.cards is None:
            raise RequestRefusedError("payments_off")
        return self.cards


def _country(request: Request, countries: Countries) -> str:
    """Return the requested country, or else the one in the browser's language setting."""
    asked = request.query_params.get("to", "")
    if asked in countries:
        return asked
    home = best_country(request.headers.get("accept-language", ""))
    return home if home in countries else next(iter(sorted(countries)), "")


def _by_name(countries: Countries, language: str) -> Sequence[str]:
    return sorted(countries, key=lambda code: sort_key(code, language))


def _open(groups: Sequence[RateGroup]) -> Sequence[RateGroup]:
    return [each for each in groups if not each.is_closed][:_LASTING_MAX]


def _lasting(group: RateGroup, description: str, micros: int, account: Account) -> Lasting:
    price = format_money(group.rate.per_minute_micros, account.currency)
    return Lasting(description, price, lasting_minutes(group.rate, micros))


def _closed(profile: PaymentProfile) -> str:
    if profile.leaving:
        return "leaving"
    return "restricted" if profile.restricted else ""


def _auto(profile: PaymentProfile) -> AutoTopUp:
    return AutoTopUp(
        is_on=profile.auto_enabled,
        threshold=format_money(profile.auto_threshold_micros, profile.currency),
        amount=format_money(profile.auto_amount_micros, profile.currency),
        off_reason=_off_reason(profile.auto_off_reason),
    )


def _row(line: StatementLine) -> StatementRow:
    why, how = _WHY.get(line.reason, ""), _HOW.get(line.reason, "")
    has_words = line.reason in _WHY or line.reason in _HOW or line.reason in REASON_KEYS
    return StatementRow(
        at=line.at,
        kind=how or line.kind.replace("-", "_"),
        why=why,
        payment_reason=REASON_KEYS.get(line.reason, ""),
        reason="" if has_words else line.reason,
        # All digits: people add lines up.
        amount=format_exact(line.micros, line.currency),
        balance=format_exact(line.balance_micros, line.currency),
        call_id="" if line.is_forgotten else line.call_id or "",
        is_forgotten=line.is_forgotten,
    )


def _payment(payment: Payment) -> PaymentRow:
    # Only the operator cares that a paid one was disputed in vain.
    state = PaymentState.PAID if payment.state is PaymentState.WON else payment.state
    refunded = payment.refunded_micros
    return PaymentRow(
        id=payment.id,
        at=payment.created_at,
        kind=payment.kind,
        state=state.value,
        amount=format_money(payment.micros, payment.currency),
        refunded=format_money(refunded, payment.currency) if refunded else "",
        receipt_url=payment.receipt_url if payment.receipt_url.startswith(_WEB) else "",
        decline=_decline(payment.failure) if state is PaymentState.FAILED else "",
    )


def _off_reason(code: str) -> str:
    return code if code == ACCOUNT_LOCKED else _decline(code)


def _decline(code: str) -> str:
    """Return the words for a decline: most are only reported as such, as Stripe asks."""
    if not code:
        return ""
    return code if f"decline.{code}" in WORDS["en"] else "other"


def _cut(found: Sequence[_T], cursor_of: Callable[[_T], str]) -> tuple[Sequence[_T], str]:
    """Return a page's rows, and the query of the next page; empty after the last one.

    One row more than is shown tells that another page follows.
    """
    shown = found[:PAGE_ROWS]
    if len(found) == len(shown):
        return shown, ""
    return shown, urlencode({"before": cursor_of(shown[-1])})


def _looks(request: Request) -> int:
    text = request.query_params.get("looks", "")
    # Anything but a small number stops the reloading.
    return int(text or 0) if re.fullmatch(r"[0-9]{0,3}", text, re.ASCII) else LOOKS_MAX
