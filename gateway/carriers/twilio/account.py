"""Reads from Twilio what an account is and which numbers it may show.

Asks for nothing that could be carried out: what tries a right to write names no number and no call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from gateway.carriers.twilio.client import connect, translated
from gateway.errors import CarrierError

ATTEMPTS: Final = 3
BACKOFF_S: Final = 0.25
"""Pause before the second attempt; doubled before the third."""
CALL_RIGHTS: Final = tuple(f"/twilio/voice/calls/{each}" for each in ("create", "read", "update"))
"""What a Restricted API key must be allowed, to place, follow and end calls."""
NUMBER_RIGHTS: Final = (
    "/twilio/phone-numbers/incoming-phone-numbers/list",
    "/twilio/voice/outgoing-caller-ids/list",
)
"""What it must be allowed so that the number can be checked."""
_NOBODY: Final = "+15005550001"
"""Invalid, as From and as To (Twilio, "Test credentials")."""
_NO_CALL: Final = "CA" + "0" * 32
_LISTED_MAX: Final = 20
"""Twilio's filter takes patterns; a whole number fits itself, and hardly another."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """What Twilio says of an account."""

    status: str
    """`active`, `suspended` or `closed`; empty if the key may not read the account."""
    is_trial: bool
    missing: tuple[str, ...] = ()
    """Rights that an API key lacks and calls need, by Twilio's names."""


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

    async def standing(self) -> AccountStatus:
        """Check address and credentials; return what the account is. Raises CarrierError.

        A Standard API key may place calls but not read the account (Twilio error 20003), and a
        Restricted one may do what its rights name; both are proved by what calls need.
        """
        try:
            account = await _read(self._client.api.v2010.account.fetch_async)
        except CarrierError as error:
            if not (self._has_key and error.status in (401, 403)):
                raise
            missing = await self._missing()
            # An invalid key may do nothing at all.
            if len(missing) == len(CALL_RIGHTS):
                raise
            return AccountStatus("", is_trial=False, missing=missing)
        return AccountStatus(str(account.status), is_trial=account.type == "Trial")

    async def _missing(self) -> tuple[str, ...]:
        """Try what calls need, on nothing; return the rights that the key lacks."""
        no_call = self._client.calls(_NO_CALL)
        tries = (
            # Neither number is anybody's, and nothing says what the call is to do.
            lambda: self._client.calls.create_async(to=_NOBODY, from_=_NOBODY),
            no_call.fetch_async,
            lambda: no_call.update_async(status="completed"),
        )
        missing = []
        for right, request in zip(CALL_RIGHTS, tries, strict=True):
            try:
                await _read(request)
            except CarrierError as error:
                # Any other refusal comes after the right was found.
                if error.status in (401, 403):
                    missing.append(right)
                elif error.status == 0 or error.status >= 500:
                    raise
        return tuple(missing)

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
