"""Reads from Twilio what an account is and which numbers it may show. Never writes.

Knows no call, and no setting but the number that it is asked about.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from gateway.errors import CarrierError
from gateway.twilio.client import connect, translated

ATTEMPTS: Final = 3
BACKOFF_S: Final = 0.25
"""Pause before the second attempt; doubled before the third."""
_LISTED_MAX: Final = 20
"""Twilio's filter takes patterns; a whole number fits itself, and hardly another."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What Twilio says of an account."""

    status: str
    """`active`, `suspended` or `closed`; empty where the key may not read the account."""
    is_trial: bool


class Number(Enum):
    """What a number is to an account."""

    OWN = "own"
    MUTE = "mute"
    """The account's own, without the capability of voice."""
    VERIFIED = "verified"
    FOREIGN = "foreign"


class TwilioAccount:
    """One Twilio account, by one pair of credentials; made inside a running event loop."""

    def __init__(
        self, *, base_url: str, account_sid: str, username: str, password: str, timeout_s: float
    ) -> None:
        """Read this account; `username` is its own SID, or an API key's."""
        self._client = connect(base_url, account_sid, username, password, timeout_s)
        self._has_key = username != account_sid

    async def standing(self) -> Standing:
        """Check address and credentials; return what the account is. Raises CarrierError.

        A Standard API key may place calls but not read the account (Twilio error 20003); it may
        read its calls.
        """
        try:
            account = await _read(self._client.api.v2010.account.fetch_async)
        except CarrierError as error:
            if not (self._has_key and error.status in (401, 403)):
                raise
            # A Standard key is proved by reading calls, which an invalid one may not.
            with contextlib.suppress(CarrierError):
                await _read(lambda: self._client.calls.list_async(limit=1, page_size=1))
                return Standing("", is_trial=False)
            raise
        return Standing(str(account.status), is_trial=account.type == "Trial")

    async def number(self, number: str) -> Number:
        """Return what an E.164 number is to the account. Raises CarrierError.

        Twilio dials from numbers of the account that can do voice, and from verified caller ids.
        """
        own = await self._listed(self._client.incoming_phone_numbers, number)
        capable = [each for each in own if (each.capabilities or {}).get("voice")]
        if capable:
            return Number.OWN
        if await self._listed(self._client.outgoing_caller_ids, number):
            return Number.VERIFIED
        return Number.MUTE if own else Number.FOREIGN

    async def _listed(self, numbers: Any, number: str) -> list[Any]:
        found = await _read(
            lambda: numbers.list_async(
                phone_number=number, limit=_LISTED_MAX, page_size=_LISTED_MAX
            )
        )
        return [each for each in found if each.phone_number == number]

    async def close(self) -> None:
        """Close the HTTP session."""
        await self._client.http_client.close()


async def _read(request: Callable[[], Awaitable[Any]]) -> Any:
    """Read something, again while Twilio is busy or failing. Raises CarrierError.

    Reading changes nothing, so it may always be repeated. Silence is not waited for again: somebody
    sits before the terminal.
    """
    for attempt in range(ATTEMPTS):
        try:
            return await translated(request())
        except CarrierError as error:
            is_passing = error.retryable or error.status >= 500
            if not is_passing or attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(BACKOFF_S * 2**attempt)
    raise AssertionError
