"""Serves Stripe's API over the simulated account: keys, forms, errors, idempotency, lists.

Holds no object itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.payments import listing
from simulators.payments.access import authenticate, read_text
from simulators.payments.account import MerchantAccount
from simulators.payments.checkout import STATUSES, payer_email
from simulators.payments.clock import Clock
from simulators.payments.errors import API_ERROR, ApiError
from simulators.payments.expansion import expand
from simulators.payments.form import Form, parse
from simulators.payments.idempotency import KeptReplies, KeptReply
from simulators.payments.intents import CONFIRM_FIELDS
from simulators.payments.listing import PAGE_FIELDS
from simulators.payments.resources import (
    API_VERSION,
    Cause,
    Charge,
    CheckoutSession,
    Customer,
    Dispute,
    Event,
    Json,
    PaymentIntent,
    PaymentMethod,
    Refund,
    Resource,
    to_json,
)
from simulators.payments.world import encode
from simulators.serving import Answer, broken_off

_VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?")
Handler = Callable[[Form, Mapping[str, str], int], Resource | Json]
"""Fields of the request, parts of its path, the time; returns what is to be answered."""


class RestApi:
    """The routes of one account."""

    def __init__(self, account: MerchantAccount, clock: Clock, wake: Callable[[], None]) -> None:
        self._account = account
        self._world = account.world
        self._registry = account.world.registry
        self._clock = clock
        self._wake = wake
        self._kept = KeptReplies(account.world.settings.keys_kept)

    def routes(self) -> list[Route]:
        """Return everything this API answers."""
        account = self._account
        checkout, intents, refunds = account.checkout, account.intents, account.refunds
        customers, disputes = account.customers, account.disputes
        sessions = "/v1/checkout/sessions"
        handlers: list[tuple[str, str, Handler]] = [
            ("POST", sessions, lambda form, _, now: checkout.create(form, now)),
            ("GET", sessions, self._list_sessions),
            ("GET", f"{sessions}/{{id}}", self._fetch(CheckoutSession)),
            ("POST", f"{sessions}/{{id}}/expire", self._expire),
            ("POST", "/v1/payment_intents", lambda form, _, now: intents.create(form, now)),
            ("GET", "/v1/payment_intents", self._list(PaymentIntent, "customer")),
            ("GET", "/v1/payment_intents/{id}", self._fetch(PaymentIntent)),
            ("POST", "/v1/payment_intents/{id}", _by_id(intents.update)),
            ("POST", "/v1/payment_intents/{id}/confirm", self._confirm),
            ("POST", "/v1/payment_intents/{id}/cancel", _by_id(intents.cancel)),
            ("POST", "/v1/customers", lambda form, _, now: customers.create(form, now)),
            ("GET", "/v1/customers", self._list(Customer, "email")),
            ("GET", "/v1/customers/{id}", self._fetch_customer),
            ("POST", "/v1/customers/{id}", _by_id(customers.update)),
            ("DELETE", "/v1/customers/{id}", lambda _, at, now: customers.delete(at["id"], now)),
            ("GET", "/v1/payment_methods", self._list(PaymentMethod, "customer", "type")),
            ("GET", "/v1/payment_methods/{id}", self._fetch(PaymentMethod)),
            ("POST", "/v1/payment_methods/{id}/attach", self._attach),
            ("POST", "/v1/payment_methods/{id}/detach", self._detach),
            ("GET", "/v1/charges", self._list(Charge, "payment_intent", "customer")),
            ("GET", "/v1/charges/{id}", self._fetch(Charge)),
            ("POST", "/v1/refunds", lambda form, _, now: refunds.create(form, now)),
            ("GET", "/v1/refunds", self._list(Refund, "payment_intent", "charge")),
            ("GET", "/v1/refunds/{id}", self._fetch(Refund)),
            ("POST", "/v1/refunds/{id}", _by_id(refunds.update)),
            ("GET", "/v1/disputes", self._list(Dispute, "payment_intent", "charge")),
            ("GET", "/v1/disputes/{id}", self._fetch(Dispute)),
            ("POST", "/v1/disputes/{id}", _by_id(disputes.update)),
            ("POST", "/v1/disputes/{id}/close", self._close),
            ("GET", "/v1/events", self._list_events),
            ("GET", "/v1/events/{id}", self._fetch(Event)),
            ("GET", "/v1/balance", lambda form, _at, _now: account.balance(form)),
        ]
        return [self._route(method, path, handler) for method, path, handler in handlers]

    # --- handlers that are more than a call --------------------------------------------------

    def _fetch(self, kind: type[Resource]) -> Handler:
        def handler(form: Form, at: Mapping[str, str], now_ns: int) -> Resource:  # noqa: ARG001
            form.only({"expand"})
            return self._registry.find(kind, at["id"])

        return handler

    def _fetch_customer(self, form: Form, at: Mapping[str, str], now_ns: int) -> Resource | Json:
        # A deleted customer can still be fetched, as a stub; for anything else it does not exist.
        gone = self._account.customers.deleted(at["id"])
        return gone or self._fetch(Customer)(form, at, now_ns)

    def _list(self, kind: type[Resource], *filters: str) -> Handler:
        def handler(form: Form, at: Mapping[str, str], now_ns: int) -> Json:  # noqa: ARG001
            form.only(PAGE_FIELDS.union(filters))
            wanted = {name: form.text(name) for name in filters if name in form}

            def admits(known: Resource) -> bool:
                return all(getattr(known, name) == value for name, value in wanted.items())

            return self._page(kind, form, f"/v1/{kind.KIND}s", admits)

        return handler

    def _list_sessions(self, form: Form, at: Mapping[str, str], now_ns: int) -> Json:  # noqa: ARG002
        filters = ("payment_intent", "customer")
        form.only(PAGE_FIELDS.union(filters, ("status", "customer_details")))
        wanted = {name: form.text(name) for name in filters if name in form}
        status = form.choice("status", STATUSES)
        email = form.below("customer_details").text("email")

        def admits(session: CheckoutSession) -> bool:
            return (
                all(getattr(session, name) == value for name, value in wanted.items())
                and status in (None, session.status)
                and email in (None, payer_email(session))
            )

        return self._page(CheckoutSession, form, "/v1/checkout/sessions", admits)

    def _list_events(self, form: Form, at: Mapping[str, str], now_ns: int) -> Json:  # noqa: ARG002
        form.only(PAGE_FIELDS | {"type", "types", "delivery_success"})
        types = set(form.texts("types"))
        # Both spellings exist in Stripe's API.
        if (one := form.text("type")) is not None:
            types.add(one)
        delivered = form.flag("delivery_success") if "delivery_success" in form else None

        def admits(event: Event) -> bool:
            return (not types or _matches(event.type, types)) and (
                delivered is None or delivered == event.is_finished
            )

        return self._page(Event, form, "/v1/events", admits)

    def _page(
        self,
        kind: type[listing.T],
        form: Form,
        url: str,
        admits: Callable[[listing.T], bool],
    ) -> Json:
        return listing.page(self._registry.newest(kind), form, url, admits)

    def _expire(self, form: Form, at: Mapping[str, str], now_ns: int) -> Resource:
        form.only({"expand"})
        return self._account.checkout.expire(at["id"], now_ns)

    def _confirm(self, form: Form, at: Mapping[str, str], now_ns: int) -> Resource:
        form.only(CONFIRM_FIELDS)
        return self._account.intents.confirm(at["id"], form, now_ns)

    def _attach(self, form: Form, at: Mapping[str, str], now_ns: int) -> Resource:
        form.only({"customer", "expand"})
        method = self._account.customers.find_method(at["id"], now_ns)
        self._account.customers.attach(method, form.required("customer"), now_ns)
        return method

    def _detach(self, form: Form, at: Mapping[str, str], now_ns: int) -> Resource:
        form.only({"expand"})
        return self._account.customers.detach(at["id"], now_ns)

    def _close(self, form: Form, at: Mapping[str, str], now_ns: int) -> Resource:
        form.only({"expand"})
        return self._account.disputes.close(at["id"], now_ns)

    # --- around every request ----------------------------------------------------------------

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, handler)

        return Route(path, endpoint, methods=[method], name=f"{method} {path}")

    async def _answer(self, request: Request, handler: Handler) -> Response:
        # For refused requests as well: each reply bears one.
        request_id = self._registry.new_id("req", 14)
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        # Stripe ignores the key of other methods, which are idempotent by themselves.
        key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
        try:
            authenticate(request, self._world.settings.api_key)
            headers["Stripe-Version"] = _read_version(request)
            # Reserved until the reply leaves, so that one that is held back answers a repetition
            # with 409.
            with self._kept.using(key):
                reply = await self._answer_in_time(request, handler, key, request_id)
        except ApiError as error:
            reply = _refuse(error, request_id)
        # A kept reply bears the identifier of the request that it first answered.
        if reply.request_id != request_id:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": reply.request_id}
        if key and len(key) < 256:
            headers["Idempotency-Key"] = key
        return Response(reply.body, reply.status, headers, "application/json")

    async def _answer_in_time(
        self, request: Request, handler: Handler, key: str, request_id: str
    ) -> KeptReply:
        """Return the reply, or the fault in its place, held back as long as was ordered."""
        fault = self._world.faults.request(request.method, request.url.path)
        # Taken at once: a plan that replaces this one ends the wait.
        over = self._world.faults.over
        try:
            failure = fault.status if fault is not None else 0
            if fault is not None and failure and not fault.is_kept:
                # Nothing was carried out, and nothing is kept: a repetition with the same key
                # works.
                raise _injected(failure)
            reply = await self._perform(request, handler, key, request_id, failure)
        except ApiError as error:
            reply = _refuse(error, request_id)
        if fault is not None and fault.hold_s:
            await _wait(over, fault.hold_s)
        return reply

    async def _perform(
        self, request: Request, handler: Handler, key: str, request_id: str, failure: int
    ) -> KeptReply:
        text = request.url.query if request.method == "GET" else await read_text(request)
        tree, path = parse(text), request.url.path
        # Sorted: the same parameters in another order are the same request.
        fingerprint = (path, msgspec.json.encode(tree, order="sorted").decode())
        # After the last await: everything from here to the reply happens at one moment.
        now_ns = self._clock.now_ns()
        if key and (kept := self._kept.find(key, fingerprint, now_ns)) is not None:
            return kept
        form = Form(tree)
        # No await until it is reset, so that no other request's events can bear this cause.
        self._world.cause = Cause(request_id, key or None)
        try:
            found = handler(form, request.path_params, now_ns)
            # Expanded in a snapshot, not in the object itself.
            body = to_json(found) if isinstance(found, Resource) else found
            body = expand(body, form.texts("expand"), self._registry)
            reply = KeptReply(fingerprint, 200, encode(body), request_id, now_ns)
        except ApiError as error:
            # Only what was carried out is kept: a request that was refused can be corrected.
            if error.status != 402:
                raise
            refused = _refuse(error, request_id)
            reply = KeptReply(fingerprint, 402, refused.body, request_id, now_ns)
        finally:
            self._world.cause = Cause()
            # Also after a refusal: a decline has caused events.
            self._wake()
        if failure:
            failed = _refuse(_injected(failure), request_id)
            reply = KeptReply(fingerprint, failure, failed.body, request_id, now_ns)
        if key:
            self._kept.keep(key, reply)
        return reply


async def _wait(event: asyncio.Event, delay_s: float) -> None:
    try:
        async with asyncio.timeout(delay_s):
            await event.wait()
    except TimeoutError:
        pass


def _by_id(act: Callable[[str, Form, int], Resource]) -> Handler:
    return lambda form, at, now_ns: act(at["id"], form, now_ns)


def _matches(event_type: str, wanted: set[str]) -> bool:
    """Return whether a type is wanted by name or by a group such as `charge.*`."""
    parts = event_type.split(".")
    # `a.b.c` belongs to `a.*` and `a.b.*`.
    groups = {f"{'.'.join(parts[:length])}.*" for length in range(1, len(parts))}
    return bool({event_type, "*", *groups} & wanted)


def _read_version(request: Request) -> str:
    version = request.headers.get("Stripe-Version", API_VERSION)
    if not _VERSION.fullmatch(version):
        raise ApiError("Invalid Stripe API version", param="Stripe-Version")
    return version


def _injected(status: int) -> ApiError:
    if status == 429:
        return ApiError("Too many requests.", status=429, code="rate_limit")
    kind = {"type": API_ERROR} if status >= 500 else {}
    return ApiError("An injected failure.", status=status, **kind)


def _refuse(error: ApiError, request_id: str) -> KeptReply:
    # Never kept: without fingerprint and time it only carries the reply.
    return KeptReply(("", ""), error.status, encode(error.envelope()), request_id, 0)


async def not_found(request: Request, exc: Exception) -> Response:  # noqa: ARG001 - handler shape
    """Answer a path that is not Stripe's, or not simulated."""
    message = f"Unrecognized request URL ({request.method}: {request.url.path[:200]})."
    return Response(encode(ApiError(message).envelope()), 404, media_type="application/json")


EXCEPTION_HANDLERS: Final[dict[int | type[Exception], Answer]] = {
    404: not_found,
    # A wrong method is answered like an unknown path.
    405: not_found,
    ClientDisconnect: broken_off,
}
