"""Connects to Twilio's REST API, and turns every failure of a request into one error.

The code that requests a resource defines it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

import aiohttp
import msgspec
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from gateway.carriers.twilio.refusals import meaning_of, refusal
from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.unreadable import UNREADABLE

TOO_MANY_REQUESTS = 429
"""Never processed, and always safe to retry (Twilio error 20429)."""


_OPENING = re.compile(r"Unable to \w+ record: ")
"""What the client puts in front of Twilio's words."""


class _HttpClient(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Twilio's client, with the timeout that it accepts but does not apply."""

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        # Without this a request has aiohttp's default of five minutes.
        kwargs["timeout"] = kwargs.get("timeout") or self.timeout
        return await super().request(*args, **kwargs)


def connect(
    base_url: str, account_sid: str, username: str, password: str, timeout_s: float
) -> Client:
    """Return a client of an account, to be closed by its `http_client`.

    Must be called inside a running event loop. No request is repeated: `max_retries` of the
    library would also repeat an order that may have been carried out.
    """
    client = Client(username, password, account_sid, http_client=_HttpClient(timeout=timeout_s))
    # Its `region` and `edge` rewrite the host, and cannot name another service.
    client.api.base_url = base_url
    return client


async def translated(request: Awaitable[Any]) -> Any:
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
    except TwilioException as error:
        raise _of_list(error) from error
    except (TimeoutError, aiohttp.ClientError, OSError, *_NONSENSE) as error:
        raise no_answer() from error


def _of_list(error: TwilioException) -> CarrierError:
    """Return the error of a list that was not shown: the client hands on the reply as it is."""
    reply = error.args[1] if len(error.args) > 1 else None
    status, text = getattr(reply, "status_code", 0), getattr(reply, "text", "")
    if not isinstance(status, int) or status < 400:
        return no_answer()
    try:
        body = msgspec.json.decode(text)
    except UNREADABLE:
        body = {}
    fields = body if isinstance(body, dict) else {}
    return _refusal(TwilioRestException(status, "", fields.get("message"), fields.get("code")))


_NONSENSE = (ValueError, AttributeError, TypeError, LookupError)
"""What the client raises for a reply of an unexpected shape."""


def no_answer() -> CarrierError:
    """Return the error for a request whose outcome is unknown."""
    return CarrierError(
        "The carrier gave no answer.", cause=Cause.RECOVERY_ON_TIMER_EXPIRE, ambiguous=True
    )


def _refusal(error: TwilioRestException) -> CarrierError:
    code = error.code if isinstance(error.code, int) else 0
    meaning = meaning_of(code, error.status)
    refused = refusal(code, _OPENING.sub("", str(error.msg or "")), error.status)
    said = f" (Twilio {code}: {refused.text})" if code else ""
    return CarrierError(
        f"The carrier refused the request. {meaning.what} {meaning.do}{said}",
        cause=meaning.cause,
        retryable=error.status == TOO_MANY_REQUESTS,
        # A 5xx may come after the call was placed: never repeated, but looked for.
        ambiguous=error.status >= 500,
        refusal=refused,
        status=error.status,
    )
