"""Serves the hosted page, on which anyone with a session's address can pay, as on Stripe's.

Reads what a browser sends and redirects it; what paying leads to is in `checkout` and `intents`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from simulators.documents import Page
from simulators.payments import pages
from simulators.payments.access import read_text
from simulators.payments.account import MerchantAccount
from simulators.payments.checkout import return_url
from simulators.payments.clock import Clock
from simulators.payments.customers import EMAIL_MAX
from simulators.payments.errors import ApiError
from simulators.payments.form import Form, parse
from simulators.payments.resources import Charge, CheckoutSession, PaymentIntent

_DECLINED = 402
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class HostedPages:
    """The pages that a payer sees."""

    def __init__(self, account: MerchantAccount, clock: Clock, wake: Callable[[], None]) -> None:
        self._account = account
        self._checkout = account.checkout
        self._registry = account.world.registry
        self._clock = clock
        self._wake = wake

    def routes(self) -> list[Route]:
        """Return every page."""
        return [
            _route("/pay/{id}", "GET", self._show),
            _route("/pay/{id}", "POST", self._pay),
            _route("/authenticate/{id}", "GET", self._ask),
            _route("/authenticate/{id}", "POST", self._authenticate),
            _route("/receipts/{id}", "GET", self._receipt),
        ]

    async def _show(self, request: Request) -> Response:
        session = self._checkout.find(request.path_params["id"])
        return _respond(self._checkout_page(session, self._problem(session)))

    async def _pay(self, request: Request) -> Response:
        session = self._checkout.find(request.path_params["id"])
        form = Form(parse(await read_text(request)))
        email = form.text("email", EMAIL_MAX)
        try:
            self._checkout.pay(session.id, form.required("method"), email, self._clock.now_ns())
        except ApiError as error:
            # A declined card is an ordinary answer to a person, who is shown the form again.
            status = 200 if error.status == _DECLINED else error.status
            return _respond(self._checkout_page(session, error.message), status)
        finally:
            # Also after a decline: it has caused events, and these are to leave at once.
            self._wake()
        return _redirect(self._next(session))

    async def _ask(self, request: Request) -> Response:
        intent = self._registry.find(PaymentIntent, request.path_params["id"])
        if intent.status != "requires_action":
            return _respond(pages.message("Nothing to confirm", "This payment asks for nothing."))
        return _respond(pages.authentication(intent, _target(intent)))

    async def _authenticate(self, request: Request) -> Response:
        intent = self._registry.find(PaymentIntent, request.path_params["id"])
        # Before the authentication, which clears it.
        target = _target(intent)
        form = Form(parse(await read_text(request)))
        is_proven = form.choice("result", ("proven", "failed")) == "proven"
        session = self._checkout.session_of(intent.id)
        try:
            self._account.intents.authenticate(intent.id, self._clock.now_ns(), is_proven=is_proven)
        except ApiError as error:
            # Nowhere to go back to: the payer is told here. Otherwise the page that follows tells.
            if session is None and target is None:
                return _respond(pages.message("Not paid", error.message), error.status)
        finally:
            self._wake()
        if session is not None:
            return _redirect(self._next(session))
        if target is None:
            return _respond(pages.message("Paid", "You can close this page."))
        # A hint for the page that follows: a client has to ask for the intent itself.
        outcome = "succeeded" if intent.status == "succeeded" else "failed"
        query = urlencode({"payment_intent": intent.id, "redirect_status": outcome})
        return _redirect(f"{target}{'&' if '?' in target else '?'}{query}")

    async def _receipt(self, request: Request) -> Response:
        return _respond(pages.receipt(self._registry.find(Charge, request.path_params["id"])))

    def _checkout_page(self, session: CheckoutSession, problem: str | None) -> Page:
        return pages.checkout(session, self._checkout.basket(session.id), problem)

    def _intent(self, session: CheckoutSession) -> PaymentIntent | None:
        if session.payment_intent is None:
            return None
        return self._registry.find(PaymentIntent, session.payment_intent)

    def _problem(self, session: CheckoutSession) -> str | None:
        """Return why the last attempt to pay failed."""
        intent = self._intent(session)
        if intent is None or intent.last_payment_error is None:
            return None
        return str(intent.last_payment_error["message"])

    def _next(self, session: CheckoutSession) -> str:
        """Return where the payer goes now."""
        intent = self._intent(session)
        # Whether the money is there or still comes: the merchant's page finds out.
        if session.status == "complete":
            return return_url(session)
        if intent is not None and intent.status == "requires_action":
            return f"/authenticate/{intent.id}"
        return f"/pay/{session.id}"


def _route(path: str, method: str, page: Callable[[Request], Awaitable[Response]]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return await page(request)
        except ApiError as error:
            return _respond(pages.message("This page does not work", error.message), error.status)

    return Route(path, endpoint, methods=[method], name=f"{method} {path}")


def _target(intent: PaymentIntent) -> str | None:
    """Return where the payer goes after authenticating."""
    redirect = (intent.next_action or {}).get("redirect_to_url")
    return redirect.get("return_url") if isinstance(redirect, dict) else None


def _respond(page: Page, status: int = 200) -> Response:
    headers = {**_HEADERS, "Content-Security-Policy": page.policy}
    return Response(page.html, status, headers, "text/html")


def _redirect(url: str) -> Response:
    # 303: the next page is fetched with GET, and reloading it pays nothing again.
    return RedirectResponse(url, HTTPStatus.SEE_OTHER, _HEADERS)
