"""The control API under `/simulator/v1/`: inspects, listens to and disturbs the carrier.

For tests and demonstrations; it has no password, so the service binds a loopback address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.carrier import errors
from simulators.carrier.callee import DIGITS_MAX
from simulators.carrier.calls import Status
from simulators.carrier.equipment import Equipment
from simulators.carrier.errors import RestError
from simulators.carrier.exchange import Exchange
from simulators.carrier.faults import Faults, parse_plan
from simulators.carrier.line import Line
from simulators.carrier.playout import BYTES_PER_MS
from simulators.carrier.resources import Json
from simulators.carrier.scripts import SCRIPTS
from simulators.carrier.stream import MediaLeg, StreamState

PLAY_BYTES_MAX: Final = 8000 * 300
"""Longest clip that can be played: five minutes of mu-law."""
BODY_BYTES_MAX: Final = 64 * 1024
MARKS_SHOWN: Final = 50
_KEYS: Final = frozenset("0123456789*#ABCD")
PATH: Final = "/simulator/v1"


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Action on a live call; the body of `POST calls/{sid}/actions`."""

    action: str
    digits: str = ""
    seconds: float = 5.0
    """How long `stall` leaves the socket unread."""


class ControlApi:
    """The routes that inspect and disturb calls."""

    def __init__(self, equipment: Equipment, exchange: Exchange, faults: Faults) -> None:
        self._equipment = equipment
        self._exchange = exchange
        self._faults = faults
        self._actions: dict[str, Callable[[Line, Action], None]] = {
            "answer": lambda line, _: line.answer(),
            "hangup": lambda line, _: line.end(),
            "busy": lambda line, _: line.end(Status.BUSY, 486),
            "dtmf": lambda line, action: line.conversation.callee.press(action.digits),
            "silence": lambda line, _: line.conversation.callee.fall_silent(),
            "drop_tcp": lambda line, _: _live_leg(line).drop(),
            "freeze": lambda line, _: _freeze(_live_leg(line), frozen=True),
            "thaw": lambda line, _: _freeze(_live_leg(line), frozen=False),
            "stall": lambda line, action: line.conversation.stall(
                _live_leg(line), min(action.seconds, 600.0)
            ),
        }

    def routes(self) -> list[Route]:
        """Return everything this API answers."""
        return [
            Route(f"{PATH}/state", self._state),
            Route(f"{PATH}/numbers", self._numbers),
            Route(f"{PATH}/calls", self._calls),
            Route(f"{PATH}/calls/{{sid}}", self._call),
            Route(f"{PATH}/calls/{{sid}}/heard", self._heard),
            Route(f"{PATH}/calls/{{sid}}/actions", self._act, methods=["POST"]),
            Route(f"{PATH}/debugger", self._debugger, methods=["GET", "DELETE"]),
            Route(f"{PATH}/webhooks", self._webhooks, methods=["GET", "DELETE"]),
            Route(f"{PATH}/faults", self._fault_plan, methods=["GET", "PUT", "DELETE"]),
        ]

    async def _state(self, request: Request) -> Response:  # noqa: ARG002 - endpoint shape
        return JSONResponse({"live": self._exchange.live, "queued": self._exchange.queued})

    async def _numbers(self, request: Request) -> Response:  # noqa: ARG002 - endpoint shape
        table = [{"number": n, "description": s.description} for n, s in SCRIPTS.items()]
        return JSONResponse({"numbers": table})

    async def _calls(self, request: Request) -> Response:  # noqa: ARG002 - endpoint shape
        return JSONResponse({"calls": [_describe(line) for line in self._exchange.lines()[:200]]})

    async def _call(self, request: Request) -> Response:
        line = self._find(request)
        return _missing() if line is None else JSONResponse(_describe(line))

    async def _heard(self, request: Request) -> Response:
        line = self._find(request)
        if line is None:
            return _missing()
        recording = line.conversation.recording
        headers = {
            "X-Started-At-Ns": str(recording.started_at_ns or 0),
            "X-Frames": str(recording.frames),
            "X-Frames-Lost": str(recording.lost_frames),
        }
        return Response(recording.audio(), 200, headers, "application/octet-stream")

    async def _act(self, request: Request) -> Response:
        line = self._find(request)
        if line is None:
            return _missing()
        if request.headers.get("Content-Type", "").startswith("application/octet-stream"):
            # Audio comes as the body itself; only other actions are JSON.
            audio = await _read(request, PLAY_BYTES_MAX)
            if audio is None:
                return _invalid("the clip is too long")
            line.conversation.callee.play(audio)
            return Response(status_code=204)
        return await self._act_by_name(line, request)

    async def _act_by_name(self, line: Line, request: Request) -> Response:
        body = await _read(request, BODY_BYTES_MAX)
        try:
            action = msgspec.json.decode(body or b"", type=Action)
        except msgspec.MsgspecError as error:
            return _invalid(str(error))
        perform = self._actions.get(action.action)
        if perform is None:
            return _invalid(f"action must be one of {', '.join(self._actions)}")
        if len(action.digits) > DIGITS_MAX or any(d not in _KEYS for d in action.digits):
            return _invalid("digits must be 0-9, *, #, A-D")
        try:
            perform(line, action)
        except LookupError as error:
            # The call is there, but has no open stream that this could be done to.
            return JSONResponse({"error": str(error)}, 409)
        return Response(status_code=204)

    async def _debugger(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._equipment.debugger.clear()
            return Response(status_code=204)
        return JSONResponse({"entries": self._equipment.debugger.entries()})

    async def _webhooks(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._equipment.webhooks.clear()
            return Response(status_code=204)
        return JSONResponse({"deliveries": self._equipment.webhooks.deliveries()})

    async def _fault_plan(self, request: Request) -> Response:
        if request.method == "GET":
            plan = msgspec.json.encode(self._faults.plan)
            return Response(plan, media_type="application/json")
        # An empty plan is the one without faults.
        body = b"{}" if request.method == "DELETE" else await _read(request, BODY_BYTES_MAX)
        try:
            self._faults.replace(parse_plan(body or b""))
        except (ValueError, msgspec.MsgspecError) as error:
            return _invalid(str(error))
        return Response(status_code=204)

    def _find(self, request: Request) -> Line | None:
        try:
            return self._exchange.find(request.path_params["sid"])
        # This API answers in a form of its own, not in Twilio's.
        except RestError:
            return None


def _describe(line: Line) -> Json:
    call = line.call
    legs = line.conversation.legs
    closed_at_ns = legs[-1].closed_at_ns if legs else None
    ordered_at_ns = line.ordered_to_end_at_ns
    return {
        "sid": call.sid,
        "to": call.to,
        "from": call.from_,
        "status": call.status,
        "script": line.script.description,
        "sip_code": call.sip_code,
        "created_at_ns": call.created_at_ns,
        "answered_at_ns": call.answered_at_ns,
        "ended_at_ns": call.ended_at_ns,
        "billed_seconds": call.seconds,
        "billed_minutes": call.minutes,
        # From the REST request that ended the call to the end of its last stream, by the wall
        # clock.
        "completed_to_close_ms": (
            None
            if ordered_at_ns is None or closed_at_ns is None
            else (closed_at_ns - ordered_at_ns) / 1e6
        ),
        "heard_frames": line.conversation.recording.frames,
        "said": [{"text": said.text, "language": said.language} for said in line.conversation.said],
        "streams": [_describe_leg(leg) for leg in legs],
    }


def _describe_leg(leg: MediaLeg) -> Json:
    playout = leg.playout
    return {
        "stream_sid": leg.writer.stream_sid,
        "state": leg.state,
        "close_code": leg.close_code,
        "parameters": dict(leg.writer.parameters),
        "messages_out": leg.writer.messages,
        "backlog_ms": playout.backlog_ms,
        "backlog_ms_max": playout.counters.backlog_bytes_max // BYTES_PER_MS,
        "backlog_ms_history": list(leg.backlog_ms_history),
        "marks_waiting": playout.marks_waiting,
        "marks": [asdict(mark) for mark in list(leg.marks)[-MARKS_SHOWN:]],
        **asdict(playout.counters),
        **asdict(leg.counters),
    }


def _live_leg(line: Line) -> MediaLeg:
    """Return the stream that is open now.

    Raises:
        LookupError: there is none.
    """
    legs = line.conversation.legs
    # Earlier streams of a call have ended before the next one opens.
    if not legs or legs[-1].state is not StreamState.STREAMING:
        raise LookupError("the call has no open stream")
    return legs[-1]


def _freeze(leg: MediaLeg, *, frozen: bool) -> None:
    leg.frozen = frozen


async def _read(request: Request, bytes_max: int) -> bytes | None:
    """Return the body, or None when it is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > bytes_max:
            return None
    return bytes(body)


def _missing() -> Response:
    return JSONResponse({"error": errors.NOT_FOUND.text.format("call")}, 404)


def _invalid(detail: str) -> Response:
    return JSONResponse({"error": detail}, 400)
