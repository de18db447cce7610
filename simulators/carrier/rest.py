"""Serves Twilio's REST API, as far as a gateway uses it, over the exchange.

Checks credentials, reads form bodies, answers with Twilio's resources and error bodies. Holds no
call itself.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.carrier import errors, numbers, resources, tariff
from simulators.carrier.equipment import Equipment, new_sid
from simulators.carrier.errors import Refusal, RestError
from simulators.carrier.exchange import Exchange
from simulators.carrier.faults import Faults, RestFault
from simulators.carrier.listing import read_filter, read_page
from simulators.carrier.orders import Form, read_order, read_update
from simulators.carrier.resources import Json
from simulators.serving import Answer, broken_off

BODY_BYTES_MAX: Final = 64 * 1024
FIELDS_MAX: Final = 200
CALLER_IDS_MAX: Final = 1000
TOKEN_TTL_DEFAULT_S: Final = 86400
_ACCOUNT: Final = "/2010-04-01/Accounts/{account}"

_RIGHTS: Final = {
    "/Calls": "voice/calls",
    "/OutgoingCallerIds": "voice/outgoing-caller-ids",
    "/IncomingPhoneNumbers": "phone-numbers/incoming-phone-numbers",
}
"""Part of a path -> the resource, as Restricted API keys name it."""

_HOST: Final = re.compile(r"[a-z]+(\.[a-z-]+\.(?P<region>[a-z]{2}[0-9]))?\.twilio\.com")
"""A host of Twilio's: product, edge and region, the last two together or not at all."""
_REGION_DEFAULT: Final = "us1"
"""Serves the hosts that name no region (Twilio, "Using the Twilio REST API in a non-US Region")."""

_FAULT_REFUSALS: Final[dict[int, Refusal]] = {
    401: errors.AUTHENTICATE,
    404: errors.NOT_FOUND,
    429: errors.TOO_MANY_REQUESTS,
    500: errors.INTERNAL_ERROR,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A handler's answer."""

    body: Json | None
    status: int = 200
    fault: RestFault | None = None
    """A disturbance that the script asks for, beside those injected."""


Handler = Callable[[Request, Form], Reply]


class RestApi:
    """The routes of one account."""

    def __init__(self, equipment: Equipment, exchange: Exchange, faults: Faults) -> None:
        self._equipment = equipment
        self._settings = equipment.settings
        self._exchange = exchange
        self._faults = faults
        self._active = 0
        self._started_ns = equipment.clock.epoch_ns()
        self._caller_ids: dict[str, tuple[str, int]] = {
            number: (numbers.formatted(number), equipment.clock.epoch_ns())
            for number in self._settings.caller_ids
        }
        self.stopping = asyncio.Event()
        """Set at shutdown: replies that are held back are let go."""

    def routes(self) -> list[Route]:
        """Return everything this API answers."""
        calls, one = f"{_ACCOUNT}/Calls.json", f"{_ACCOUNT}/Calls/{{sid}}.json"
        caller_ids = f"{_ACCOUNT}/OutgoingCallerIds.json"
        countries = "/v1/DialingPermissions/Countries"
        return [
            self._route(calls, "POST", "create", self._create_call),
            self._route(calls, "GET", "list", self._list_calls),
            self._route(one, "GET", "fetch", self._fetch_call),
            self._route(one, "POST", "update", self._update_call),
            self._route(one, "DELETE", "delete", self._delete_call),
            self._route(
                f"{_ACCOUNT}/Calls/{{sid}}/Notifications.json", "GET", "list", self._list_notes
            ),
            self._route(f"{_ACCOUNT}.json", "GET", "account", self._fetch_account),
            self._route(f"{_ACCOUNT}/Tokens.json", "POST", "token", self._create_token),
            self._route(caller_ids, "GET", "list", self._list_caller_ids),
            self._route(caller_ids, "POST", "validate", self._validate_caller_id),
            self._route(
                f"{_ACCOUNT}/IncomingPhoneNumbers.json", "GET", "list", self._list_own_numbers
            ),
            self._route("/v2/Voice/Numbers/{number}", "GET", "quote", self._quote),
            self._route(countries, "GET", "list", self._list_countries),
            self._route(f"{countries}/{{iso}}", "GET", "fetch", self._fetch_country),
            self._route(
                f"{countries}/{{iso}}/HighRiskSpecialPrefixes",
                "GET",
                "list",
                self._list_special_prefixes,
            ),
        ]

    # --- calls -----------------------------------------------------------------------------

    def _create_call(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        self._require_voice()
        settings = self._settings
        assigned = dict(settings.trial_numbers)
        own = (*self._caller_ids, *settings.own_numbers, *filter(None, assigned.values()))
        order = read_order(form, frozenset(own))
        refusal = numbers.refusal_on_trial(order.to, order.from_, assigned) if assigned else None
        if refusal is not None:
            is_of_sender = refusal is errors.FROM_NOT_ASSIGNED
            raise RestError(refusal, order.from_ if is_of_sender else order.to)
        # After the order was read: a malformed request uses up no attempt of the number's script.
        fault = self._exchange.create_fault(order.to)
        if fault is not None and fault.status:
            raise RestError(_fault_refusal(fault.status))
        line = self._exchange.place(order)
        return Reply(self._call_json(line.call.sid), 201, fault)

    def _require_voice(self) -> None:
        if self._settings.account_status != "active":
            raise RestError(errors.ACCOUNT_NOT_ACTIVE)
        if self._settings.voice_disabled:
            raise RestError(errors.VOICE_DISABLED)

    def _list_calls(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        query = dict(request.query_params)
        wanted = read_filter(query)
        calls = [line.call for line in self._exchange.lines() if wanted.admits(line.call)]
        now_ns, delay_s = self._equipment.clock.epoch_ns(), self._settings.price_delay_s
        items = [resources.call(call, now_ns, delay_s) for call in calls]
        filters: Json = dict(wanted.query)
        return Reply(resources.page(request.url.path, "calls", items, read_page(query), filters))

    def _fetch_call(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        return Reply(self._call_json(request.path_params["sid"]))

    def _update_call(self, request: Request, form: Form) -> Reply:
        sid = request.path_params["sid"]
        change = read_update(form)
        self._exchange.update(sid, change)
        return Reply(self._call_json(sid))

    def _delete_call(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        self._exchange.remove(request.path_params["sid"])
        return Reply(None, 204)

    def _list_notes(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        call = self._exchange.find(request.path_params["sid"]).call
        query = request.query_params
        items = [
            resources.notification(call.account_sid, each)
            for each in self._equipment.debugger.of_call(call.sid)
            if query.get("Log", resources.log_level(each)) == resources.log_level(each)
        ]
        filters: Json = {k: query[k] for k in ("Log",) if k in query}
        page = read_page(dict(query))
        return Reply(resources.page(request.url.path, "notifications", items, page, filters))

    def _call_json(self, sid: str) -> Json:
        return resources.call(
            self._exchange.find(sid).call,
            self._equipment.clock.epoch_ns(),
            self._settings.price_delay_s,
        )

    # --- the small APIs --------------------------------------------------------------------

    def _fetch_account(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        settings = self._settings
        body = resources.account(
            settings.account_sid,
            self._started_ns,
            status=settings.account_status,
            kind=settings.account_type,
        )
        return Reply(body)

    def _create_token(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        ttl = (form.get("Ttl") or [str(TOKEN_TTL_DEFAULT_S)])[0]
        if not (ttl.isascii() and ttl.isdigit() and len(ttl) < 9):
            raise RestError(errors.INVALID_PARAMETER, "Ttl")
        body = resources.token(
            self._settings.account_sid,
            int(ttl),
            secrets.token_hex(32),
            secrets.token_urlsafe(32),
            self._equipment.clock.epoch_ns(),
        )
        return Reply(body, 201)

    def _list_caller_ids(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        query = request.query_params
        items = [
            resources.caller_id(self._settings.account_sid, number, name, at_ns)
            for number, (name, at_ns) in self._caller_ids.items()
            if query.get("PhoneNumber", number) == number
            and query.get("FriendlyName", name) == name
        ]
        filters: Json = {k: query[k] for k in ("PhoneNumber", "FriendlyName") if k in query}
        page = read_page(dict(query))
        body = resources.page(request.url.path, "outgoing_caller_ids", items, page, filters)
        return Reply(body)

    def _list_own_numbers(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        settings, query = self._settings, request.query_params
        items = [
            resources.own_number(
                settings.account_sid,
                number,
                self._started_ns,
                has_voice=number in settings.own_numbers,
            )
            for number in (*settings.own_numbers, *settings.mute_numbers)
            if query.get("PhoneNumber", number) == number
        ]
        filters: Json = {k: query[k] for k in ("PhoneNumber",) if k in query}
        page = read_page(dict(query))
        body = resources.page(request.url.path, "incoming_phone_numbers", items, page, filters)
        return Reply(body)

    def _validate_caller_id(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        """Verify a number at once: nobody answers Twilio's validation call here."""
        number = (form.get("PhoneNumber") or [""])[0]
        if (refusal := numbers.refusal_to(number)) is not None:
            raise RestError(refusal, number)
        if number in self._caller_ids:
            raise RestError(errors.CALLER_ID_KNOWN)
        if len(self._caller_ids) >= CALLER_IDS_MAX:
            raise RestError(errors.TOO_MANY_REQUESTS)
        name = (form.get("FriendlyName") or [numbers.formatted(number)])[0]
        self._caller_ids[number] = (name, self._equipment.clock.epoch_ns())
        return Reply(
            {
                "account_sid": self._settings.account_sid,
                "call_sid": new_sid("CA"),
                "friendly_name": name,
                "phone_number": number,
                "validation_code": f"{secrets.randbelow(1_000_000):06d}",
            }
        )

    def _quote(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        number = request.path_params["number"]
        if not numbers.is_dialable(number):
            raise RestError(errors.NOT_FOUND, request.url.path)
        origin = request.query_params.get("OriginationNumber")
        return Reply(resources.quote(number, origin, _base(request)))

    def _list_countries(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        base = _base(request)
        query = dict(request.query_params)
        items = [
            self._permission(record, base)
            for record in tariff.COUNTRIES
            if query.get("IsoCode", record.iso) == record.iso
            and query.get("Continent", record.continent) == record.continent
            and query.get("CountryCode", record.prefix).lstrip("+") == record.prefix.lstrip("+")
        ]
        filters: Json = {k: query[k] for k in ("IsoCode", "Continent", "CountryCode") if k in query}
        url = f"{base}{request.url.path}"
        return Reply(resources.page_v1(url, items, read_page(query), filters))

    def _fetch_country(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        return Reply(self._permission(_country(request), _base(request)))

    def _permission(self, record: tariff.Country, base: str) -> Json:
        settings = self._settings
        is_off = not {record.iso, "*"}.isdisjoint(settings.countries_off)
        is_risky = record.iso in settings.high_risk_on
        return resources.country(record, base, is_off=is_off, is_risky=is_risky)

    def _list_special_prefixes(self, request: Request, form: Form) -> Reply:  # noqa: ARG002 - handler shape
        items: list[Json] = [{"prefix": prefix} for prefix in _country(request).special]
        url = f"{_base(request)}{request.url.path}"
        return Reply(resources.page_v1(url, items, read_page(dict(request.query_params)), {}))

    # --- around every request --------------------------------------------------------------

    def _route(self, path: str, method: str, operation: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, operation, handler)

        return Route(path, endpoint, methods=[method], name=f"{operation} {path}")

    async def _answer(self, request: Request, operation: str, handler: Handler) -> Response:
        self._active += 1
        try:
            injected = self._admit(request, operation)
            reply = handler(request, await _read_form(request))
            # Only now, when the work is done: the call exists, and its reply does not come.
            for fault in (injected, reply.fault):
                await self._hold(fault)
            response = (
                Response(status_code=reply.status)
                if reply.body is None
                else JSONResponse(reply.body, reply.status)
            )
        except RestError as problem:
            response = JSONResponse(resources.error(problem), problem.refusal.status)
        finally:
            self._active -= 1
        response.headers["Twilio-Request-Id"] = new_sid("RQ")
        # This request counts, and has just been taken off.
        response.headers["Twilio-Concurrent-Requests"] = str(self._active + 1)
        return response

    def _admit(self, request: Request, operation: str) -> RestFault | None:
        """Refuse a request, or return the fault that disturbs it later."""
        # This request is counted already, so that as many as the bound are served.
        if self._active > self._settings.rest_concurrency_max:
            raise RestError(errors.TOO_MANY_REQUESTS)
        self._authenticate(request, operation)
        injected = self._faults.rest(operation)
        if injected is not None and injected.status:
            raise RestError(_fault_refusal(injected.status), request.url.path)
        return injected

    def _authenticate(self, request: Request, operation: str) -> None:
        """Know the account's token, and its API key: a Standard or Restricted one.

        Neither key reads the account. Both token and key are of one region.
        """
        username, password = _basic(request.headers.get("Authorization", ""))
        settings = self._settings
        pairs = [(settings.account_sid, settings.auth_token)]
        if settings.api_key_sid:
            pairs.append((settings.api_key_sid, settings.api_key_secret))
        known = any(
            hmac.compare_digest(username.encode(), sid.encode())
            and hmac.compare_digest(password.encode(), secret.encode())
            for sid, secret in pairs
        )
        # The Voice and Pricing APIs name no account in their paths.
        own = request.path_params.get("account", settings.account_sid) == settings.account_sid
        is_key = username != settings.account_sid
        rights = settings.api_key_rights
        known = known and own and self._is_here(request)
        if not known or (is_key and operation == "account" and rights is None):
            raise RestError(errors.AUTHENTICATE)
        if is_key and rights is not None:
            right = _right(request.url.path, operation)
            if right not in rights:
                raise RestError(errors.NOT_AUTHORISED, right)

    def _is_here(self, request: Request) -> bool:
        """Return whether a request is for the region that the credentials are of."""
        own, asked = self._settings.region, _region(request)
        return not own or not asked or asked == own

    async def _hold(self, fault: RestFault | None) -> None:
        if fault is None or not fault.hold_s:
            return
        try:
            # A wait for the shutdown rather than a sleep: the server must not stand for minutes.
            async with asyncio.timeout(fault.hold_s):
                await self.stopping.wait()
        except TimeoutError:
            pass


def _fault_refusal(status: int) -> Refusal:
    return _FAULT_REFUSALS.get(status) or Refusal(status, 20000 + status, "Service unavailable")


def _region(request: Request) -> str:
    """Return the region that a request is for; empty where its host is none of Twilio's."""
    host = _HOST.fullmatch(request.url.hostname or "")
    return "" if host is None else host["region"] or _REGION_DEFAULT


def _right(path: str, operation: str) -> str:
    """Return the right of a Restricted API key that an operation needs."""
    action = {"fetch": "read", "validate": "create"}.get(operation, operation)
    for part, resource in _RIGHTS.items():
        if part in path:
            return f"/twilio/{resource}/{action}"
    return f"/twilio/other/{action}"


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _country(request: Request) -> tariff.Country:
    record = tariff.BY_ISO.get(request.path_params["iso"])
    if record is None:
        raise RestError(errors.NOT_FOUND, request.url.path)
    return record


def _basic(header: str) -> tuple[str, str]:
    """Return user name and password of a Basic header (RFC 7617); empty when it is not one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        # The first colon ends the user name; a password may hold more of them (RFC 7617, 2).
        username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return username, password


async def _read_form(request: Request) -> Form:
    if request.method != "POST":
        return {}
    body = bytearray()
    async for part in request.stream():
        body += part
        # Looked at as it arrives: a length in the header may be absent or wrong.
        if len(body) > BODY_BYTES_MAX:
            raise RestError(errors.INVALID_PARAMETER, "body")
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise RestError(errors.INVALID_PARAMETER, "body") from error


async def not_found(request: Request, exc: Exception) -> Response:  # noqa: ARG001 - handler shape
    """Answer a path that is not Twilio's, or not simulated."""
    problem = RestError(errors.NOT_FOUND, request.url.path)
    return JSONResponse(resources.error(problem), 404)


async def method_not_allowed(request: Request, exc: Exception) -> Response:  # noqa: ARG001
    """Answer a method that the resource does not have."""
    return JSONResponse(resources.error(RestError(errors.METHOD_NOT_ALLOWED)), 405)


EXCEPTION_HANDLERS: Final[dict[int | type[Exception], Answer]] = {
    404: not_found,
    405: method_not_allowed,
    ClientDisconnect: broken_off,
}
