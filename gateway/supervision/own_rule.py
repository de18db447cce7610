"""Lets a signed-in person decide what supervisors may do in their live calls.

Allowing more needs a recent step-up, and is confirmed by mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accounts.link import Purpose
from accounts.notice import Notice
from accounts.session import is_stepped_up
from billing.clock import Clock
from gateway.call.supervision import SILENT_REASON_MAX, Deed, Mode, Rule, readable
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.limits.velocity import refuse, supervision_uses
from gateway.ports import Velocity

OFF = "off"
"""The rule that allows nothing."""


class HolderSupervision(Protocol):
    """What a person's account allows supervisors to do. Raises StoreUnavailableError."""

    async def rule(self, account_id: str) -> Rule:
        """Return the rule."""

    async def choose(
        self,
        account_id: str,
        credentials_epoch: int,
        rule: Rule,
        *,
        may_widen: bool,
        notice: Notice,
    ) -> bool | None:
        """Set it; None if the session is over, False if it may not allow more than before."""

    async def deeds(self, account_id: str, limit: int) -> Sequence[Deed]:
        """Return what was done in live calls, the newest first."""


@dataclass(frozen=True, slots=True)
class RuleForm:
    """What a person wants to allow."""

    most: str
    """A `Mode`, or OFF."""
    is_silent: bool
    silent_reason: str
    """Why without a tone; empty for an account that announces supervisors."""


@dataclass(frozen=True, slots=True)
class RuleChosen:
    """It is in force now, whether new or not."""

    is_new: bool


@dataclass(frozen=True, slots=True)
class Supervision:
    """A person's decisions about supervision. Every method raises StoreUnavailableError."""

    kept: HolderSupervision
    velocity: Velocity
    clock: Clock

    async def rule(self, who: SignedIn) -> Rule:
        """Return what a person's account allows."""
        return await self.kept.rule(who.account.id)

    async def deeds(self, who: SignedIn, limit: int) -> Sequence[Deed]:
        """Return what was done in a person's live calls, the newest first."""
        return await self.kept.deeds(who.account.id, limit)

    def may_allow_more(self, who: SignedIn) -> bool:
        """Return whether a person has recently proven who they are."""
        return is_stepped_up(who.session, self.clock())

    async def choose(
        self, who: SignedIn, form: RuleForm
    ) -> RuleChosen | Faults | SessionOver | StepUpNeeded:
        """Set what an account allows.

        Raises RequestRefusedError if more was allowed too often within the hour.
        """
        rule = _read(form)
        if isinstance(rule, Faults):
            return rule
        session, may_widen = who.session, self.may_allow_more(who)
        before = await self.kept.rule(session.account_id)
        if rule.allows_more_than(before):
            if not may_widen:
                return StepUpNeeded()
            refuse(await self.velocity.hit(supervision_uses(session.account_id)))
        values = {
            "most": form.most,
            "silent": "" if rule.announces else "yes",
            "at": self.clock().isoformat(),
        }
        # The mail does not repeat the reason, which may name people.
        notice = Notice(
            "supervision_allowed",
            who.holder.email,
            values,
            link=Purpose.NOT_ME,
            reach=session.began_at,
        )
        whose = (session.account_id, session.credentials_epoch)
        is_set = await self.kept.choose(*whose, rule, may_widen=may_widen, notice=notice)
        if is_set is None:
            return SessionOver()
        return RuleChosen(is_new=rule != before) if is_set else StepUpNeeded()


def _read(form: RuleForm) -> Rule | Faults:
    if form.most == OFF:
        return Rule()
    if form.most not in tuple(Mode):
        return Faults({"most": "supervision_unknown"})
    reason = readable(form.silent_reason)
    if not form.is_silent:
        return Rule(Mode(form.most))
    if not reason:
        return Faults({"silent_reason": "silent_reason_needed"})
    if len(reason) > SILENT_REASON_MAX:
        return Faults({"silent_reason": "silent_reason_long"})
    return Rule(Mode(form.most), reason)
