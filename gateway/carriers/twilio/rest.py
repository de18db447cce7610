"""Places and ends calls through Twilio's REST API.

Works with any service that has the same API: only the base URL differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.carriers.twilio.client import connect, no_answer, translated
from gateway.carriers.twilio.hooks import CallHooks
from gateway.carriers.twilio.markup import WEBHOOK_OVERRIDES, connect_twiml, say_twiml
from gateway.carriers.twilio.refusals import of_notes
from gateway.carriers.twilio.status import from_reply
from gateway.cause import CarrierRefusal
from gateway.errors import CarrierError
from gateway.ports import DialOrder

log = structlog.get_logger(__name__)

STATUS_EVENTS = ["initiated", "ringing", "answered", "completed"]
ANNOUNCEMENT_RING_S = 30
ANNOUNCEMENT_S_MAX = 60
"""Three times as long as what is said takes."""
_PLACE_ATTEMPTS = 4
_END_ATTEMPTS = 5
_BACKOFF_S = 0.25

_ERRORS = 0
"""The level of notifications that are errors; 1 are warnings."""
_NOTES_MAX = 20
"""Notifications that are read of one call, in one page."""

_NOT_TO_BE_ENDED = frozenset({20404, 21220})
"""Refusals to end a call that may have ended already: then its state is fetched."""


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
        # Never retries automatically: the Calls API has no idempotency key.
        self._client = connect(base_url, account_sid, username, password, timeout_s)
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
        call = await _asked(
            "to place a call",
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
            ),
            call_id=order.call_id,
        )
        # Accepted, but by whom? Without an id the outcome is unknown, as without an answer.
        if not call.sid:
            raise no_answer()
        return str(call.sid)

    async def announce(self, number: str, text: str, language: str) -> None:
        """Call a number and say a text, once. Raises CarrierError.

        Without media and without reports, because no call here waits for the phone.
        """
        await _asked(
            "to say something",
            self._client.calls.create_async(
                to=number,
                from_=self._caller_id,
                twiml=say_twiml(text, language),
                timeout=ANNOUNCEMENT_RING_S,
                time_limit=ANNOUNCEMENT_S_MAX,
            ),
        )

    async def hang_up(self, carrier_call_id: str) -> CarrierStatus:
        """End the call; return its state, UNKNOWN where the reply does not show it."""
        context = self._client.calls(carrier_call_id)

        async def end() -> CarrierStatus:
            try:
                # Ends a call in any state; `canceled` would not end one that was answered
                # meanwhile.
                call = await _asked(
                    "to end a call",
                    context.update_async(status="completed"),
                    carrier_call_id=carrier_call_id,
                )
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
            call = await _asked(
                "for a call",
                self._client.calls(carrier_call_id).fetch_async(),
                carrier_call_id=carrier_call_id,
            )
        except CarrierError as error:
            if error.status == 404:
                return CarrierStatus(carrier_call_id, CarrierState.UNKNOWN)
            raise
        return _status(carrier_call_id, call)

    async def why_failed(self, carrier_call_id: str) -> CarrierRefusal | None:
        """Return what Twilio's debugger has noted of a call, as far as it is an error."""
        notes = await _asked(
            "why a call failed",
            self._client.calls(carrier_call_id).notifications.list_async(
                log=_ERRORS, limit=_NOTES_MAX, page_size=_NOTES_MAX
            ),
            carrier_call_id=carrier_call_id,
        )
        return of_notes((each.log, each.error_code, each.message_text) for each in notes)

    async def close(self) -> None:
        """Close the HTTP session."""
        await self._client.http_client.close()


async def _asked(
    what: str, request: Awaitable[Any], *, call_id: str = "", carrier_call_id: str = ""
) -> Any:
    """Return the answer to one request, and log at debug level how it went. Raises CarrierError."""
    clock = asyncio.get_running_loop().time
    begun_s = clock()
    failed: CarrierError | None = None
    try:
        return await translated(request)
    except CarrierError as error:
        failed = error
        raise
    finally:
        log.debug(
            "carrier asked",
            what=what,
            after_s=round(clock() - begun_s, 3),
            failure="" if failed is None else str(failed),
            carrier_code=0 if failed is None else failed.carrier_code,
            call_id=call_id,
            carrier_call_id=carrier_call_id,
        )


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
