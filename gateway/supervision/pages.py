"""Serves `/account/supervision`: what supervisors may do in a person's calls, and have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.call.supervision import SILENT_REASON_MAX, Deed, Mode
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.site.door import SUPERVISION, Door, said_in, see
from gateway.http.site.forms import Line, read_form
from gateway.supervision.own_rule import OFF, RuleChosen, RuleForm, Supervision

DEEDS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class SupervisionPage:
    """What supervisors may do in a person's live calls, the form, and what was done."""

    template: ClassVar[str] = "supervision.html"
    choices: Sequence[str]
    """Each includes all lesser ones: keys of the words under `supervision_most.`."""
    most: str
    """The chosen one of them."""
    is_silent: bool
    silent_reason: str
    reason_max: int
    deeds: Sequence[Deed]
    needs_proof: bool = False
    """Whether the form was sent, and waits for a step-up."""
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


PAGES: Final = (SupervisionPage,)


class SupervisionFields(msgspec.Struct):
    """The form of `/account/supervision`."""

    most: Line = ""
    silent: bool = False
    silent_reason: Line = ""


@dataclass(frozen=True, slots=True)
class SupervisionPages:
    """Handlers of what a person allows supervisors to do."""

    door: Door
    supervision: Supervision

    def routes(self) -> list[DeclaredRoute]:
        """Return the page's routes."""
        own = self.door.own
        # No step-up on the route: it is required only to allow more, not to see who listened, or to
        # switch it off.
        return [own(SUPERVISION, self.show), own(SUPERVISION, self.choose, method="POST")]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show what is allowed, and what was done."""
        rule = await self.supervision.rule(who)
        most = OFF if rule.most is None else rule.most.value
        form = RuleForm(most, not rule.announces, rule.silent_reason)
        page = await self._page(who, form)
        return self.door.show(request, replace(page, said=said_in(request)))

    async def choose(self, request: Request, who: SignedIn) -> Response:
        """Store the content of the form; an unticked box is not sent."""
        fields = await read_form(request, SupervisionFields)
        form = RuleForm(fields.most, fields.silent, fields.silent_reason)
        match await self.supervision.choose(who, form):
            case RuleChosen(is_new):
                # No message if it was so already.
                return see(SUPERVISION, said="supervision_set" if is_new else "")
            case SessionOver():
                return await self.door.sign_in_first(request, SUPERVISION)
            case StepUpNeeded():
                return self.door.show(
                    request, replace(await self._page(who, form), needs_proof=True)
                )
            case Faults(by_field):
                page = replace(await self._page(who, form), errors=by_field)
        return self.door.show(request, page, status=422)

    async def _page(self, who: SignedIn, form: RuleForm) -> SupervisionPage:
        return SupervisionPage(
            choices=(OFF, *Mode),
            most=form.most,
            is_silent=form.is_silent,
            silent_reason=form.silent_reason,
            reason_max=SILENT_REASON_MAX,
            deeds=await self.supervision.deeds(who, DEEDS_SHOWN),
        )
