"""Judges a code of the second factor: one from the app, or a recovery code.

Each code is accepted once at most, even if it is typed twice at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts import second_factor, totp
from accounts.holder import Holder
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.ports import People, SecondFactors
from accounts.sign_in import SignInEvent
from billing.clock import Clock
from gateway.http.visitor import Visitor, recognised
from gateway.limits.velocity import code_uses, refuse
from gateway.ports import Velocity


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a code."""

    event: SignInEvent
    minutes_fast: int = 0
    """How far the app's clock is off, if that is the problem; negative: slow."""


@dataclass(frozen=True, slots=True)
class Codes:
    """Judges codes. Raises TooFastError, StoreUnavailableError."""

    people: People
    factors: SecondFactors
    velocity: Velocity
    clock: Clock

    async def count(
        self,
        account_id: str,
        visitor: Visitor,
        *,
        since: datetime | None = None,
        by_link: bool = False,
    ) -> None:
        """Count a try for account and place, or for a device that was signed in before.

        `since` is when the app was added: a device that has not been signed in since then has
        proven nothing about it. `by_link` says that a link came before it instead of the password.
        """
        devices = await self.people.devices(account_id)
        proven = [each for each in devices if since is None or each.last_seen_at >= since]
        own = recognised(visitor, proven)
        uses = code_uses(account_id, own, visitor.address, by_link=by_link)
        refuse(await self.velocity.hit(uses))

    async def judge(
        self,
        holder: Holder,
        typed: str,
        visitor: Visitor,
        *,
        reach: datetime | None = None,
        by_link: bool = False,
    ) -> Judged:
        """Return the verdict on a code; a right one is used up by this.

        `reach` is when the session began in which it is typed; None: it is to begin one. `by_link`
        is as in `count`.
        """
        account_id, epoch = holder.account_id, holder.credentials_epoch
        factor = await self.factors.find(account_id)
        since = None if factor is None else factor.added_at
        await self.count(account_id, visitor, since=since, by_link=by_link)
        if digest := second_factor.code_digest(typed):
            notice = Notice("recovery_code_used", holder.email, link=Purpose.NOT_ME, reach=reach)
            is_used = await self.factors.use_recovery_code(account_id, epoch, digest, notice)
            return Judged(SignInEvent.RECOVERY_CODE_RIGHT if is_used else SignInEvent.CODE_WRONG)
        if factor is None:
            return Judged(SignInEvent.CODE_WRONG)
        now_s = int(self.clock().timestamp())
        match totp.check(factor.secret, typed, now_s, factor.last_step):
            case totp.RightCode(step):
                is_first = await self.factors.use_step(account_id, epoch, step)
                return Judged(SignInEvent.CODE_RIGHT if is_first else SignInEvent.CODE_USED)
            case totp.Used():
                return Judged(SignInEvent.CODE_USED)
            case totp.ClockOff(minutes):
                return Judged(SignInEvent.CLOCK_OFF, minutes)
        return Judged(SignInEvent.CODE_WRONG)
