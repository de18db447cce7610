"""Serves `/v1/embed/{key}`: a button's state, challenges, tokens of visitors' calls, feedback.

Turns requests into calls of `ButtonAdmission`, and its answers into JSON. Strangers read the
answers, so they contain neither price nor balance nor number.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.call_feedback import Feedback, FeedbackStore, Only
from billing.clock import Clock, utc_text
from gateway.buttons.admission import ButtonAdmission, Visit, VisitorProof
from gateway.buttons.challenge import LIFETIME_S, SOLUTION_CHARS_MAX
from gateway.buttons.door import ButtonDoor, origin_of
from gateway.calls.admission import Ticket
from gateway.embed.hours import Week
from gateway.embed.keys import KeyMode
from gateway.embed.origins import OriginError, parse_origin
from gateway.errors import RequestRefusedError
from gateway.http.access import Access, DeclaredRoute
from gateway.http.body import read_json
from gateway.http.operation import operation
from gateway.http.problems import Json
from gateway.settings import Settings

_CODEC: Final = "pcmu"
"""What pages use."""
FEEDBACK_WITHIN: Final = timedelta(minutes=10)
"""After a call's end: feedback that comes later is not from the person who has just hung up."""


VISITOR_REFUSALS: Final = (
    "button_not_found",
    "button_closed",
    "button_paused",
    "button_busy",
    "button_limited",
    "button_unavailable",
    "budget_reached",
    "gateway_draining",
)
"""Why a visitor's call token is refused."""


class Operator(msgspec.Struct, kw_only=True):
    """Who runs the service."""

    name: str
    privacy_url: str


class ButtonState(msgspec.Struct, kw_only=True):
    """The state of a button, as its page shows it."""

    state: str
    mode: str
    opens_at: str | None
    """RFC 3339, in UTC; null while it is open, or if unknown."""
    zone: str
    """Time zone of its opening hours, such as Europe/Berlin."""
    hours: Week
    """Monday first: each day's spans, in minutes from its midnight."""
    name: str
    """Who answers."""
    human_check: bool
    """Whether the host page must send a token of the operator's check for humans."""
    seconds_max: int
    takes_feedback: bool
    """Whether visitors' feedback on calls is stored."""
    operator: Operator
    codec: str


class ChallengeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/embed/{key}/challenges`."""


class ChallengeBody(msgspec.Struct, kw_only=True):
    """A challenge in ALTCHA's terms."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str
    signature: str


class ChallengeReply(msgspec.Struct, kw_only=True):
    """What a visitor's machine has to solve before it requests a token."""

    challenge: ChallengeBody
    expires_in_seconds: int


class VisitorTokenRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/embed/{key}/call-tokens`: a solution, or a token that the owner got."""

    solution: Annotated[str, msgspec.Meta(max_length=SOLUTION_CHARS_MAX)] = ""
    token: Annotated[str, msgspec.Meta(max_length=256)] = ""
    human: Annotated[str, msgspec.Meta(max_length=2_048)] = ""
    """The token of the operator's check for humans, if there is one."""
    host: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """Origin of the page around the frame, as reported by the browser; empty for our own."""


class VisitorTokenReply(msgspec.Struct, kw_only=True):
    """A one-use token, and the media socket that takes it."""

    token: str
    expires_at: str
    expires_in_seconds: int
    media_url: str
    codec: str


class KeptFeedback(msgspec.Struct, kw_only=True):
    """What is stored of a call's feedback."""

    kept: Feedback | None
    """Null if nothing is: the account's holder objects to such use."""


@dataclass(frozen=True, slots=True)
class EmbedApi:
    """Handlers of requests from pages with a button."""

    settings: Settings
    door: ButtonDoor
    admission: ButtonAdmission
    feedback: FeedbackStore
    utc_now: Clock

    def routes(self) -> list[DeclaredRoute]:
        """Return their routes."""
        return self.door.serve(self)

    @operation("GET /v1/embed/{key}", Access.VISITOR, ButtonState)
    async def show_button_state(self, _request: Request, visit: Visit) -> Response:
        """Return whether the button takes calls, and what a page shows of it."""
        phase, opens_at = await self.admission.phase(visit)
        rules, settings = visit.button.rules, self.settings
        operator = Operator(
            name=settings.operator or settings.service_name,
            privacy_url=f"{settings.origin}/privacy",
        )
        return Json(
            ButtonState(
                state=phase,
                mode=visit.button.mode,
                opens_at=None if opens_at is None else utc_text(opens_at),
                zone=rules.hours.zone,
                hours=rules.hours.week,
                name=rules.title,
                human_check=self.admission.humans is not None,
                seconds_max=rules.seconds_max,
                takes_feedback=_takes_feedback(visit),
                operator=operator,
                codec=_CODEC,
            )
        )

    @operation(
        "POST /v1/embed/{key}/challenges",
        Access.VISITOR,
        ChallengeReply,
        status=201,
        body=ChallengeRequest,
    )
    async def give_challenge(self, request: Request, visit: Visit) -> Response:
        """Return a challenge that is valid for this key and this visitor's network.

        It is in ALTCHA's form (SHA-256), and valid for two minutes.
        """
        await read_json(request, ChallengeRequest)
        challenges = self.admission.challenges
        given = await challenges.give(visit.button.key, visit.address)
        body = ChallengeBody(
            algorithm=given.algorithm,
            challenge=given.challenge,
            maxnumber=given.maxnumber,
            salt=given.salt,
            signature=given.signature,
        )
        return Json(ChallengeReply(challenge=body, expires_in_seconds=LIFETIME_S), 201)

    @operation(
        "POST /v1/embed/{key}/call-tokens",
        Access.VISITOR,
        VisitorTokenReply,
        status=201,
        body=VisitorTokenRequest,
        problems=(
            *VISITOR_REFUSALS,
            "bad_token",
            "challenge_wrong",
            "challenge_used",
            "human_check_failed",
            "human_check_unavailable",
        ),
    )
    async def issue_visitor_token(self, request: Request, visit: Visit) -> Response:
        """Return the token of one call, for a solved challenge.

        `solution` is ALTCHA's payload in base64; alternatively `token` is one that your program
        got. `host`, the origin of the page around the frame, must be on the button's list.
        """
        body = await read_json(request, VisitorTokenRequest)
        # In addition to `frame-ancestors`, which browsers enforce: this also catches a browser that
        # does not.
        fault = self._host_fault(body.host, visit.button.rules.origins)
        if fault is not None:
            self.admission.turn_away(visit, "bad_origin")
            raise RequestRefusedError("bad_origin", field="host", reason=fault)
        if body.token:
            ticket = await self.admission.show(visit, body.token)
        else:
            proof = VisitorProof(body.solution, body.human)
            ticket = await self.admission.admit(visit, proof, origin_of(request))
        return Json(visitor_token(ticket), 201)

    def _host_fault(self, host: str, origins: Collection[str]) -> str | None:
        """Return None if a page may show a button of these origins.

        Otherwise the reason why no list can contain it, or an empty text if this one does not.
        """
        if not host or host in origins or host in self.settings.own_origins:
            return None
        try:
            # Normalised as in the list: it may come with capitals or a trailing slash.
            return None if parse_origin(host) in origins else ""
        except OriginError as unfit:
            return unfit.code

    @operation(
        "PUT /v1/embed/{key}/calls/{call_id}/feedback",
        Access.VISITOR,
        KeptFeedback,
        body=Feedback,
        problems=("call_not_found",),
    )
    async def give_visitor_feedback(self, request: Request, visit: Visit) -> Response:
        """Store a visitor's first feedback on their call, and return what is stored.

        Someone who knows a call's id has placed it: it is random, and only people who may read the
        account's calls learn it otherwise.
        """
        feedback = await read_json(request, Feedback)
        # The owner has objected to such use, or the call has no record: nothing is stored.
        if not _takes_feedback(visit):
            return Json(KeptFeedback(kept=None))
        only = Only(visit.button.key_id, self.utc_now() - FEEDBACK_WITHIN)
        call_id = request.path_params["call_id"]
        kept = await self.feedback.give(visit.account.id, call_id, feedback, only)
        if kept is None:
            raise RequestRefusedError("call_not_found")
        return Json(KeptFeedback(kept=kept))


def _takes_feedback(visit: Visit) -> bool:
    return visit.account.keeps_quality and visit.button.mode is KeyMode.LIVE


def visitor_token(ticket: Ticket) -> VisitorTokenReply:
    """Return what a visitor's page gets of a token."""
    return VisitorTokenReply(
        token=ticket.token,
        expires_at=utc_text(ticket.expires_at),
        expires_in_seconds=ticket.ttl_s,
        media_url=ticket.media_url,
        codec=ticket.codec,
    )
