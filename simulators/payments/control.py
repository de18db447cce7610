"""Serves the control API under `/simulator/v1/`: acts as payer, bank, dashboard; injects faults.

For tests and demonstrations; it takes the same key as the API, and JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.payments.access import authenticate, read_body
from simulators.payments.account import MerchantAccount
from simulators.payments.cards import DECLINES, Behaviour
from simulators.payments.clock import Clock
from simulators.payments.errors import ApiError
from simulators.payments.faults import Faults, parse_plan
from simulators.payments.refunds import find_charge
from simulators.payments.resources import (
    BalanceTransaction,
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

PATH: Final = "/simulator/v1"
SHOWN_MAX: Final = 200
_KINDS: Final[dict[str, type[Resource]]] = {
    f"{kind.KIND}s": kind
    for kind in (
        CheckoutSession,
        PaymentIntent,
        Charge,
        Refund,
        Dispute,
        Customer,
        PaymentMethod,
        BalanceTransaction,
        Event,
    )
}
_BEHAVIOURS: Final[dict[str, Behaviour]] = {
    # The later entries win: `authentication_required` asks the payer here, and declines only where
    # nobody can be asked.
    **{name: Behaviour(decline) for name, decline in DECLINES.items()},
    "works": Behaviour(),
    "authentication_required": Behaviour(authenticates=True),
    "bank": Behaviour(delayed=True),
    "bank_fails": Behaviour(delayed=True, fails_later=True),
}


class ControlBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that names only what its route needs; the defaults are what happens without."""

    method: str = "card"
    """Button of the hosted page: card, authentication, declined, bank, bank_fails."""
    email: str | None = None
    succeed: bool = True
    payment_intent: str | None = None
    charge: str | None = None
    amount: int | None = None
    """In the currency's smallest unit; all that is left when absent."""
    reason: str = "fraudulent"
    """Of a dispute."""
    inquiry: bool = False
    """A dispute that only asks: no money is taken."""
    status: str = "under_review"
    """What a dispute comes to: under_review, won, lost, warning_closed."""
    behaviour: str = "works"
    offset_s: float = 0.0


Handler = Callable[[ControlBody, str, int], Resource | Json]
"""The body, the identifier in the path, the time; returns what is to be answered."""
T = TypeVar("T")


class ControlApi:
    """The routes that do what no API request can."""

    def __init__(self, account: MerchantAccount, clock: Clock, wake: Callable[[], None]) -> None:
        self._account = account
        self._world = account.world
        self._registry = account.world.registry
        self._clock = clock
        self._wake = wake

    def routes(self) -> list[Route]:
        """Return everything this API answers."""
        refunds, intents = self._account.refunds, self._account.intents
        handlers: list[tuple[str, str, Handler]] = [
            ("GET", "/state", lambda _order, _id, _now: self._state()),
            ("GET", "/objects/{id}", lambda _order, kind, _now: self._objects(kind)),
            ("POST", "/sessions/{id}/pay", self._pay),
            ("POST", "/payment_intents/{id}/authenticate", self._authenticate),
            (
                "POST",
                "/payment_intents/{id}/conclude",
                lambda body, of, now: intents.conclude(of, now, is_paid=body.succeed),
            ),
            ("POST", "/refunds", self._refund),
            ("POST", "/refunds/{id}/fail", lambda _order, of, now: refunds.fail(of, now)),
            ("POST", "/disputes", self._dispute),
            (
                "POST",
                "/disputes/{id}",
                lambda body, of, now: self._account.disputes.decide(of, body.status, now),
            ),
            ("PUT", "/payment_methods/{id}", self._behave),
            ("GET", "/deliveries", lambda _order, _id, _now: self._deliveries()),
            ("DELETE", "/deliveries", lambda _order, _id, _now: self._clear()),
            ("POST", "/events/{id}/deliver", self._deliver),
            ("PUT", "/clock", self._shift),
        ]
        return [
            *(self._route(method, path, handler) for method, path, handler in handlers),
            Route(f"{PATH}/faults", self._fault_plan, methods=["GET", "PUT", "DELETE"]),
        ]

    # --- what there is -----------------------------------------------------------------------

    def _state(self) -> Json:
        return {
            "counts": self._registry.counts(),
            "balance": dict(self._world.balance),
            "offset_s": self._clock.offset_s,
            # With no receiver configured nothing waits, and all count as delivered.
            "undelivered": sum(not event.is_finished for event in self._registry.newest(Event)),
        }

    def _objects(self, name: str) -> Json:
        kind = _KINDS.get(name)
        if kind is None:
            raise ApiError(f"kind must be one of {', '.join(_KINDS)}")
        newest = list(self._registry.newest(kind))[:SHOWN_MAX]
        return {"data": [to_json(known) for known in newest]}

    def _deliveries(self) -> Json:
        return {"data": self._world.outbox.log()}

    def _clear(self) -> Json:
        self._world.outbox.clear_log()
        return {}

    # --- the payer, the bank, the dashboard --------------------------------------------------

    def _pay(self, body: ControlBody, session_id: str, now_ns: int) -> Resource:
        return self._account.checkout.pay(session_id, body.method, body.email, now_ns)

    def _authenticate(self, body: ControlBody, intent_id: str, now_ns: int) -> Resource:
        return self._account.intents.authenticate(intent_id, now_ns, is_proven=body.succeed)

    def _refund(self, body: ControlBody, _: str, now_ns: int) -> Resource:
        charge = find_charge(self._world, body.charge, body.payment_intent)
        return self._account.refunds.give_back(
            charge, body.amount, now_ns, reason="requested_by_customer"
        )

    def _dispute(self, body: ControlBody, _: str, now_ns: int) -> Resource:
        charge = find_charge(self._world, body.charge, body.payment_intent)
        return self._account.disputes.open(
            charge,
            now_ns,
            amount=body.amount,
            reason=body.reason,
            is_inquiry=body.inquiry,
        )

    def _behave(self, body: ControlBody, method_id: str, _: int) -> Resource:
        method = self._registry.find(PaymentMethod, method_id, "payment_method")
        behaviour = _BEHAVIOURS.get(body.behaviour)
        if behaviour is None:
            raise ApiError(f"behaviour must be one of {', '.join(_BEHAVIOURS)}")
        # A card that worked when it was saved may fail later: this is how a test gets there.
        self._world.method_states[method.id].behaviour = behaviour
        return method

    def _deliver(self, _: ControlBody, event_id: str, now_ns: int) -> Resource:
        event = self._registry.find(Event, event_id)
        # Whatever became of it: a receiver has to take an event a second time.
        self._world.outbox.redeliver(event, now_ns)
        return event

    def _shift(self, body: ControlBody, _: str, __: int) -> Json:
        try:
            # Replaces the offset, and does not add to it; the loop wakes after this, and does what
            # fell due.
            self._clock.shift(body.offset_s)
        except ValueError as error:
            raise ApiError(str(error)) from error
        return self._state()

    # --- around every request ----------------------------------------------------------------

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                authenticate(request, self._world.settings.api_key)
                body = _decode(await read_body(request), ControlBody)
                named = request.path_params.get("id", "")
                found = handler(body, named, self._clock.now_ns())
            except ApiError as error:
                return _respond(error.envelope(), error.status)
            finally:
                self._wake()
            return _respond(found)

        return Route(f"{PATH}{path}", endpoint, methods=[method], name=f"{method} {path}")

    async def _fault_plan(self, request: Request) -> Response:
        faults: Faults = self._world.faults
        try:
            authenticate(request, self._world.settings.api_key)
            if request.method != "GET":
                body = b"{}" if request.method == "DELETE" else await read_body(request)
                faults.replace(parse_plan(body))
        except ApiError as error:
            return _respond(error.envelope(), error.status)
        except ValueError as error:
            return _respond(ApiError(str(error)).envelope(), 400)
        return Response(msgspec.json.encode(faults.plan), media_type="application/json")


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.MsgspecError as error:
        raise ApiError(str(error)) from error


def _respond(body: Resource | Json, status: int = 200) -> Response:
    return Response(encode(body), status, media_type="application/json")
