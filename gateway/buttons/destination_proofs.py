"""Proves that a number belongs to an account: a call speaks a code, which is typed back.

The operator pays for these calls. They are therefore few, go only where admission lets the account
call, and are only for accounts that have paid before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.buttons.ports import (
    CODE_DIGITS,
    DESTINATIONS_MAX,
    CodeTry,
    Comparison,
    ProofCaller,
    ProofCodes,
    ProofStart,
    ProvenDestination,
)
from gateway.buttons.proof import code_of, digest_of, spoken, tidied_code
from gateway.call.number import destination
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.calls.risk import Risk
from gateway.charging.current_rates import CurrentRates
from gateway.errors import CarrierError, RequestRefusedError, frozen_account
from gateway.limits.velocity import proof_call_uses, refuse
from gateway.ports import Account, Announcer, Velocity

log = structlog.get_logger(__name__)


class AccountLookup(Protocol):
    """Finds accounts. Raises StoreUnavailableError."""

    async def account(self, account_id: str) -> Account | None:
        """Return an account by its id."""


class ProvenNumbers(Protocol):
    """Stores the numbers that are proven. Raises StoreUnavailableError."""

    async def destinations(self, account_id: str) -> Sequence[ProvenDestination]:
        """Return an account's numbers."""

    async def note_proven(
        self, account_id: str, credentials_epoch: int | None, number: str
    ) -> CodeTry:
        """Note that a number was proven."""


@dataclass(frozen=True, slots=True)
class DestinationProofs:
    """`buttons.ports.Proofs`."""

    accounts: AccountLookup
    numbers: ProvenNumbers
    codes: ProofCodes
    announcer: Announcer
    velocity: Velocity
    rates: CurrentRates
    closed_destinations: ClosedDestinations
    risk: Risk
    new_number: Callable[[int], int]
    """Returns a random number below this one."""
    secret: str
    """Shared by all nodes."""
    service: str
    """Name of the caller, as spoken on the phone."""

    async def start(self, caller: ProofCaller, number: str) -> ProofStart:
        """Call a number, as typed by a person, and speak a code."""
        account = await self.accounts.account(caller.account_id)
        if account is None or account.frozen:
            raise frozen_account(restricted=account is not None and account.is_restricted)
        dialled = destination(number, self.closed_destinations.closed)
        await self.risk.check_country(account, "", dialled.country)
        if self.rates.lookup(dialled.number) is None:
            raise RequestRefusedError("destination_not_priced", field="destination")
        known = {each.number for each in await self.numbers.destinations(account.id)}
        if dialled.number in known:
            return ProofStart.ALREADY_PROVEN
        if len(known) >= DESTINATIONS_MAX:
            return ProofStart.TOO_MANY
        if not await self.risk.has_paid(account):
            return ProofStart.NEVER_PAID
        # Spent last, as it is scarce, and before the call.
        uses = proof_call_uses(account.id, dialled.number, caller.address)
        refuse(await self.velocity.hit(uses))
        return await self._call(account.id, dialled.number, caller.language)

    async def _call(self, account_id: str, number: str, language: str) -> ProofStart:
        code = code_of(self.new_number(10**CODE_DIGITS))
        place = self._place(account_id, number)
        # Before the call: the code may be typed while the voice is still speaking.
        await self.codes.keep(place, self._digest(place, code))
        tag, text = spoken(code, language, self.service)
        try:
            await self.announcer.announce(number, text, tag)
        except CarrierError as error:
            if not error.ambiguous:
                log.warning(
                    "proof call not placed",
                    carrier_code=error.carrier_code,
                    carrier_text=error.carrier_text,
                )
                await self.codes.forget(place)
                return ProofStart.NOT_REACHED
            # It may ring: the code stays valid.
        return ProofStart.CALLED

    async def try_code(
        self, account_id: str, credentials_epoch: int | None, number: str, code: str
    ) -> CodeTry:
        """Compare a code; if it is right, the number belongs to the account from then on."""
        dialled = destination(number, self.closed_destinations.closed).number
        place = self._place(account_id, dialled)
        typed = self._digest(place, tidied_code(code))
        match await self.codes.compare(place, typed):
            case Comparison.WRONG:
                return CodeTry.WRONG
            case Comparison.OVER:
                return CodeTry.OVER
        noted = await self.numbers.note_proven(account_id, credentials_epoch, dialled)
        # Afterwards: if the process dies in between, the code can simply be typed again.
        if noted is CodeTry.PROVEN:
            await self.codes.forget(place)
        return noted

    def _place(self, account_id: str, number: str) -> str:
        return digest_of(self.secret, "place of a code", account_id, number)

    def _digest(self, place: str, code: str) -> str:
        return digest_of(self.secret, "code", place, code)
