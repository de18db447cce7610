"""Serves `PUT /v1/calls/{call_id}/feedback`: the caller's feedback on an ended call."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from billing.call_feedback import Feedback, FeedbackStore
from gateway.buttons.visitor_api import KeptFeedback
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import read_json
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope


@dataclass(frozen=True, slots=True)
class CallFeedbackApi:
    """Handler of feedback."""

    auth: Authenticator
    store: FeedbackStore

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's route."""
        return self.auth.serve(self)

    @operation(
        "PUT /v1/calls/{call_id}/feedback",
        Scope.CALLS,
        KeptFeedback,
        body=Feedback,
        problems=("call_not_found",),
        before_terms=True,
    )
    async def give_feedback(self, request: Request, principal: Principal) -> Response:
        """Store a call's first feedback, and return what is stored; repeating it is harmless.

        The first feedback stays, and is in the call as `feedback`. It is accepted from one second
        after the call began.
        """
        feedback = await read_json(request, Feedback)
        # It serves to improve the service, to which this person has objected: nothing is stored.
        if not principal.account.keeps_quality:
            return Json(KeptFeedback(kept=None))
        call_id = request.path_params["call_id"]
        kept = await self.store.give(principal.account.id, call_id, feedback)
        if kept is None:
            raise RequestRefusedError("call_not_found")
        return Json(KeptFeedback(kept=kept))
