"""Adds and removes a second factor: an app that shows codes, and recovery codes.

The app's secret and the recovery codes are created when a person begins, and take effect once the
person has typed a first code, which proves that the app has the secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from accounts import second_factor, totp
from accounts.ceremony import Ceremony, CeremonyPurpose
from accounts.holder import Holder
from accounts.link import Purpose as LinkPurpose
from accounts.notice import Notice
from accounts.ports import Ceremonies, NewSecondFactor, SecondFactors, Sessions
from accounts.second_factor import SecondFactor
from accounts.session import is_stepped_up
from accounts.sign_in import METHODS, SignInEvent
from billing.clock import Clock
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn, go_on
from gateway.http.visitor import Visitor
from gateway.limits.velocity import epoch_uses, refuse
from gateway.people.codes import Codes
from gateway.ports import Velocity

CODE_WRONG, CODE_CLOCK_OFF = "code_wrong", "code_clock_off"
_PAYLOAD_BYTES: Final = totp.SECRET_BYTES + second_factor.CHANCE_BYTES


@dataclass(frozen=True, slots=True)
class ToAdd:
    """What the person enters into the app."""

    secret: bytes = field(repr=False)
    uri: str = field(repr=False)
    """The content of the QR code."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A ceremony that the browser continues."""

    ceremony_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """The second factor was added, replaced or removed."""

    session_secret: str = field(repr=False)
    """Of the session that goes on."""
    ceremony_secret: str = field(default="", repr=False)
    """Gives access to the new recovery codes; empty if there are none."""


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """There is a second factor already, or there is none, or it was begun too long ago."""


@dataclass(frozen=True, slots=True)
class WrongCode:
    """The code from the app is not the expected one."""

    faults: Faults
    minutes_fast: int = 0
    """How far the app's clock is off; negative: slow, 0: unknown."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Changes second factors. Raises TooFastError, StoreUnavailableError."""

    factors: SecondFactors
    ceremonies: Ceremonies
    sessions: Sessions
    codes: Codes
    velocity: Velocity
    clock: Clock
    chance: Callable[[int], bytes]
    service: str
    """The service's name, which an app shows with the address."""

    async def current(self, who: SignedIn) -> SecondFactor | None:
        """Return the second factor of the signed-in person."""
        return await self.factors.find(who.session.account_id)

    async def begin(self, who: SignedIn) -> Begun | NothingToDo | StepUpNeeded:
        """Create the secret for a new app."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        if await self.current(who) is not None:
            return NothingToDo()
        payload = self.chance(_PAYLOAD_BYTES)
        return Begun(await self.ceremonies.begin(_of(who, CeremonyPurpose.SECOND_FACTOR, payload)))

    async def to_add(self, who: SignedIn, ceremony_secret: str) -> ToAdd | None:
        """Return what is entered into the app, as often as it is requested."""
        ceremony = await self._begun(who, ceremony_secret)
        if ceremony is None:
            return None
        secret = ceremony.payload[: totp.SECRET_BYTES]
        return ToAdd(secret, totp.otpauth_uri(secret, who.holder.email, self.service))

    async def add(
        self, who: SignedIn, ceremony_secret: str, typed: str, visitor: Visitor
    ) -> Changed | NothingToDo | WrongCode | SessionOver | StepUpNeeded:
        """Add the app that shows this code, and end all other sessions."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        ceremony = await self._begun(who, ceremony_secret)
        if ceremony is None:
            return NothingToDo()
        await self.codes.count(who.session.account_id, visitor)
        secret = ceremony.payload[: totp.SECRET_BYTES]
        match totp.check(secret, typed, int(self.clock().timestamp()), last_step=-1):
            case totp.RightCode(step):
                new = NewSecondFactor(secret, step, _digests(_codes_of(ceremony)))
                return await self._add(who, ceremony_secret, new)
            case totp.ClockOff(minutes):
                return WrongCode(Faults({"code": CODE_CLOCK_OFF}), minutes)
        return WrongCode(Faults({"code": CODE_WRONG}))

    async def _add(
        self, who: SignedIn, ceremony_secret: str, new: NewSecondFactor
    ) -> Changed | SessionOver:
        refuse(await self.velocity.hit(epoch_uses(who.session.account_id, who.session.device_id)))
        holder = await self.factors.add(
            who.session.account_id,
            who.session.credentials_epoch,
            new,
            _changed(who, "on"),
        )
        # The code is a proof too: the session has now passed both factors.
        return await self._go_on(who, holder, ceremony_secret, METHODS[SignInEvent.CODE_RIGHT])

    async def new_codes(self, who: SignedIn) -> Changed | NothingToDo | SessionOver | StepUpNeeded:
        """Replace the recovery codes, and end all other sessions."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        if await self.current(who) is None:
            return NothingToDo()
        refuse(await self.velocity.hit(epoch_uses(who.session.account_id, who.session.device_id)))
        payload = self.chance(second_factor.CHANCE_BYTES)
        ceremony = _of(who, CeremonyPurpose.RECOVERY_CODES, payload)
        # Before they take effect: a crash in between at worst leaves codes that are shown but
        # invalid.
        ceremony_secret = await self.ceremonies.begin(ceremony)
        holder = await self.factors.renew_codes(
            who.session.account_id,
            who.session.credentials_epoch,
            _digests(_codes_of(ceremony)),
            _changed(who, "codes"),
        )
        return await self._go_on(who, holder, ceremony_secret)

    async def codes_to_keep(self, who: SignedIn, ceremony_secret: str) -> Sequence[str]:
        """Return new recovery codes for some minutes; empty if none were just created."""
        factor = await self.current(who)
        if factor is None:
            return ()
        for purpose in (CeremonyPurpose.SECOND_FACTOR, CeremonyPurpose.RECOVERY_CODES):
            ceremony = await self.ceremonies.find(ceremony_secret, purpose)
            # Only in the epoch in which they were created: codes of a replaced app are invalid.
            is_own = (
                ceremony is not None
                and ceremony.account_id == who.session.account_id
                and ceremony.credentials_epoch + 1 == who.session.credentials_epoch
            )
            if ceremony is not None and is_own:
                return _codes_of(ceremony)
        return ()

    async def forget_codes(self, ceremony_secret: str) -> None:
        """Stop showing new recovery codes, because they are written down."""
        await self.ceremonies.end(ceremony_secret)

    async def remove(self, who: SignedIn) -> Changed | NothingToDo | SessionOver | StepUpNeeded:
        """Remove the second factor, and end all other sessions."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        if await self.current(who) is None:
            return NothingToDo()
        refuse(await self.velocity.hit(epoch_uses(who.session.account_id, who.session.device_id)))
        holder = await self.factors.remove(
            who.session.account_id,
            who.session.credentials_epoch,
            _changed(who, "off"),
        )
        return await self._go_on(who, holder)

    async def _begun(self, who: SignedIn, ceremony_secret: str) -> Ceremony | None:
        ceremony = await self.ceremonies.find(ceremony_secret, CeremonyPurpose.SECOND_FACTOR)
        own = who.session.account_id, who.session.credentials_epoch
        if ceremony is None or (ceremony.account_id, ceremony.credentials_epoch) != own:
            return None
        return ceremony

    async def _go_on(
        self,
        who: SignedIn,
        holder: Holder | None,
        ceremony_secret: str = "",
        methods: frozenset[str] = frozenset(),
    ) -> Changed | SessionOver:
        if holder is None:
            return SessionOver()
        proven = replace(who.session, methods=who.session.methods | methods)
        secret = await go_on(self.sessions, replace(who, session=proven), holder)
        return Changed(secret, ceremony_secret) if secret else SessionOver()


def _changed(who: SignedIn, change: str) -> Notice:
    return second_factor_changed(who.holder.email, change, reach=who.session.began_at)


def second_factor_changed(email: str, change: str, *, reach: datetime | None = None) -> Notice:
    """Return the mail about the change; `change` is `on`, `off`, `codes` or `reset`."""
    return Notice(
        "second_factor_changed",
        email,
        {"change": change},
        link=LinkPurpose.NOT_ME,
        reach=reach,
    )


def _of(who: SignedIn, purpose: CeremonyPurpose, payload: bytes) -> Ceremony:
    return Ceremony(purpose, who.session.account_id, who.session.credentials_epoch, payload)


def _codes_of(ceremony: Ceremony) -> Sequence[str]:
    return second_factor.make_codes(ceremony.payload[-second_factor.CHANCE_BYTES :])


def _digests(codes: Sequence[str]) -> Sequence[str]:
    return [second_factor.code_digest(code) for code in codes]
