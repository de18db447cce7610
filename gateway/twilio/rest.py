"""Places and ends calls through Twilio's REST API.

Works with any service that has the same API: only the base URL differs. Knows nothing of a call but
its id at the carrier.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import structlog
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.ports import DialOrder
from gateway.twilio.hooks import CallHooks
from gateway.twilio.markup import WEBHOOK_OVERRIDES, connect_twiml, say_twiml
from gateway.twilio.status import from_reply

log = structlog.get_logger(__name__)

STATUS_EVENTS = ["initiated", "ringing", "answered", "completed"]
TRIAL = ", on trial"
"""Added to the status of an account that is on trial (the `type` of Twilio's Account resource)."""
TOO_MANY_REQUESTS = 429
"""Never processed, and always safe to retry (Twilio error 20429)."""
ANNOUNCEMENT_RING_S = 30
ANNOUNCEMENT_S_MAX = 60
"""Three times as long as what is said takes."""
QUEUE_S_MAX = 86_400
"""How long Twilio may queue a call before it dials or cancels it."""
_PLACE_ATTEMPTS = 4
_END_ATTEMPTS = 5
_BACKOFF_S = 0.25

_NOT_TO_BE_ENDED = frozenset({20404, 21220})
"""Refusals to end a call that may have ended already: then its state is fetched."""

_CALLER_ID = "CALLER_CALLER_ID must be a number of this Twilio account, or verified there"
_REFUSALS: dict[int, tuple[Cause, str]] = {
    13224: (Cause.UNALLOCATED_NUMBER, ""),
    20429: (Cause.SWITCH_CONGESTION, ""),
    21210: (Cause.FACILITY_NOT_SUBSCRIBED, f"{_CALLER_ID}: it is neither."),
    21211: (Cause.INVALID_NUMBER_FORMAT, ""),
    21212: (Cause.FACILITY_NOT_SUBSCRIBED, f"{_CALLER_ID}: it is not a valid number."),
    21213: (Cause.FACILITY_NOT_SUBSCRIBED, f"{_CALLER_ID}: it is missing."),
    21214: (Cause.UNALLOCATED_NUMBER, ""),
    21215: (
        Cause.OUTGOING_CALL_BARRED,
        "Calls to this country are not enabled in Twilio's geographic permissions.",
    ),
    21216: (Cause.OUTGOING_CALL_BARRED, "Twilio blocks this number."),
    21217: (Cause.INVALID_NUMBER_FORMAT, ""),
    21219: (
        Cause.OUTGOING_CALL_BARRED,
        "A trial account calls verified numbers only; verify the number at Twilio, or upgrade.",
    ),
    21606: (Cause.FACILITY_NOT_SUBSCRIBED, f"{_CALLER_ID}, and able to place calls."),
}
"""Twilio's error code -> the cause, and a hint for the operator."""


class _HttpClient(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Twilio's client, with the timeout that it accepts but does not apply."""

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        # Without this a request has aiohttp's default of five minutes.
        kwargs["timeout"] = kwargs.get("timeout") or self.timeout
        return await super().request(*args, **kwargs)


class TwilioCarrier:
    """A Twilio account; must be created inside a running event loop."""

    def __init__(
        self,
        *,
        base_url: str,
        account_sid: str,
        username: str,
        password: str,
        caller_id: str,
        timeout_s: float,
        hooks: Callable[[str], CallHooks],
    ) -> None:
        """Place calls for this account; `hooks` returns the addresses of a call, by our id."""
        # Without the `max_retries` of the client, which would also repeat an order that may have
        # been carried out: the Calls API has no idempotency key.
        self._http = _HttpClient(timeout=timeout_s)
        self._client = Client(username, password, account_sid, http_client=self._http)
        # Its `region` and `edge` rewrite the host, and cannot name another service.
        self._client.api.base_url = base_url
        self._account_sid = account_sid
        self._username = username
        self._caller_id = caller_id
        self._timeout_s = timeout_s
        self._hooks = hooks

    async def place(self, order: DialOrder) -> str:
        """Place the call. Retried only if Twilio has certainly not carried it out.

        No attempt begins after the timeout of one request, so that the caller gets a definite
        answer within two of them.
        """
        clock = asyncio.get_running_loop().time
        last_s = clock() + self._timeout_s
        for attempt in range(_PLACE_ATTEMPTS):
            try:
                return str(await self._create(order))
            except CarrierError as error:
                pause_s = _BACKOFF_S * 2**attempt
                is_last = attempt == _PLACE_ATTEMPTS - 1 or clock() + pause_s > last_s
                # An ambiguous failure is never repeated here: a second phone might ring.
                if not error.retryable or is_last:
                    raise
                await asyncio.sleep(pause_s)
        raise AssertionError

    async def _create(self, order: DialOrder) -> str:
        hooks = self._hooks(order.call_id)
        call = await _translated(
            self._client.calls.create_async(
                to=order.destination,
                from_=self._caller_id,
                # In the order, so that nothing is fetched from us when the phone is answered.
                twiml=connect_twiml(hooks),
                status_callback=hooks.status_url + WEBHOOK_OVERRIDES,
                status_callback_event=STATUS_EVENTS,
                status_callback_method="POST",
                timeout=order.ring_timeout_s,
                # Twilio's own bound, for a node that has died and cannot end the call.
                time_limit=order.time_limit_s,
            )
        )
        # Accepted, but by whom? Without an id the outcome is unknown, as without an answer.
        if not call.sid:
            raise _no_answer()
        return str(call.sid)

    async def announce(self, number: str, text: str, language: str) -> None:
        """Call a number and say a text, once. Raises CarrierError.

        Without media and without reports: nobody here waits for the phone.
        """
        await _translated(
            self._client.calls.create_async(
                to=number,
                from_=self._caller_id,
                twiml=say_twiml(text, language),
                timeout=ANNOUNCEMENT_RING_S,
                time_limit=ANNOUNCEMENT_S_MAX,
            )
        )

    async def hang_up(self, carrier_call_id: str) -> CarrierStatus:
        """End the call; return its state, UNKNOWN where the reply does not show it."""
        context = self._client.calls(carrier_call_id)

        async def end() -> CarrierStatus:
            try:
                # Ends a call in any state; `canceled` would not end one that was answered
                # meanwhile.
                call = await _translated(context.update_async(status="completed"))
            except CarrierError as error:
                if error.carrier_code in _NOT_TO_BE_ENDED:
                    # Read for its final state and duration, which the refusal does not tell.
                    return await self.fetch(carrier_call_id)
                raise
            return _status(carrier_call_id, call)

        return await _persistently(end)

    async def fetch(self, carrier_call_id: str) -> CarrierStatus:
        """Fetch the call's state; UNKNOWN for a call that Twilio does not show.

        Reads are eventually consistent: a call placed just now may be answered by 404.
        """
        try:
            call = await _translated(self._client.calls(carrier_call_id).fetch_async())
        except CarrierError as error:
            if error.status == 404:
                return CarrierStatus(carrier_call_id, CarrierState.UNKNOWN)
            raise
        return _status(carrier_call_id, call)

    async def reach(self) -> str:
        """Check address and credentials; return the account's status.

        Empty if the account may not be read; TRIAL is appended for a trial account.

        A Standard API key may place calls but not read the account (Twilio error 20003); it may
        read its calls.
        """
        try:
            account = await _translated(self._client.api.v2010.account.fetch_async())
        except CarrierError as error:
            has_key = self._username != self._account_sid
            if not (has_key and error.status in (401, 403)):
                raise
            # A Standard key is proved by reading calls, which an invalid one may not.
            with contextlib.suppress(CarrierError):
                await _translated(self._client.calls.list_async(limit=1, page_size=1))
                return ""
            raise
        return f"{account.status}{TRIAL}" if account.type == "Trial" else str(account.status)

    async def close(self) -> None:
        """Close the HTTP session."""
        await self._http.close()


def _status(carrier_call_id: str, call: Any) -> CarrierStatus:
    """Read a reply about a call; UNKNOWN where it shows another one."""
    # It would pass for the proof that this one is over.
    if call.sid != carrier_call_id:
        log.warning("carrier replied about another call", carrier_call_id=carrier_call_id)
        return CarrierStatus(carrier_call_id, CarrierState.UNKNOWN)
    return from_reply(carrier_call_id, call.status, call.duration, call.end_time)


async def _persistently(action: Callable[[], Awaitable[CarrierStatus]]) -> CarrierStatus:
    """Repeat an idempotent action until it succeeds, a bounded number of times."""
    for attempt in range(_END_ATTEMPTS):
        try:
            return await action()
        except CarrierError as error:
            # Ending and fetching are idempotent, so an ambiguous failure may be repeated; placing
            # may not.
            hopeless = not (error.retryable or error.ambiguous)
            if hopeless or attempt == _END_ATTEMPTS - 1:
                raise
            await asyncio.sleep(_BACKOFF_S * 2**attempt)
    raise AssertionError


async def _translated(request: Awaitable[Any]) -> Any:
    """Await a request of the client; turn every way it can fail into a CarrierError."""
    try:
        return await request
    except TwilioRestException as error:
        raise _refusal(error) from error
    # No connection, so nothing was sent: safe to repeat, unlike all that follows.
    except aiohttp.ClientConnectorError as error:
        raise CarrierError(
            "The carrier could not be connected.", cause=Cause.NETWORK_OUT_OF_ORDER, retryable=True
        ) from error
    except (TimeoutError, aiohttp.ClientError, OSError, TwilioException, *_NONSENSE) as error:
        raise _no_answer() from error


_NONSENSE = (ValueError, AttributeError, TypeError, LookupError)
"""What the client raises for a reply of an unexpected shape."""


def _no_answer() -> CarrierError:
    return CarrierError(
        "The carrier gave no answer.", cause=Cause.RECOVERY_ON_TIMER_EXPIRE, ambiguous=True
    )


def _refusal(error: TwilioRestException) -> CarrierError:
    code = error.code if isinstance(error.code, int) else 0
    # Codes that are not listed are refusals all the same.
    cause, words = _REFUSALS.get(code, (Cause.CALL_REJECTED, ""))
    if error.status >= 500:
        cause = Cause.NETWORK_OUT_OF_ORDER
    # The credentials are wrong, not the number: the cause must not blame what was dialled.
    elif error.status in (401, 403) and code not in _REFUSALS:
        cause, words = Cause.NETWORK_OUT_OF_ORDER, "It does not accept the Twilio credentials."
    return CarrierError(
        f"The carrier refused the request. {words}".rstrip(),
        cause=cause,
        retryable=error.status == TOO_MANY_REQUESTS,
        # A 5xx may come after the call was placed: never repeated, but looked for.
        ambiguous=error.status >= 500,
        carrier_code=code,
        status=error.status,
    )
