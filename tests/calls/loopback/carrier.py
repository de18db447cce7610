"""A carrier that plays back to a caller what they say: the smallest that the port allows."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import connect

from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.carriers.port import CarrierAdapter
from gateway.cause import CarrierRefusal, Cause
from gateway.connection_counters import ConnectionCounters
from gateway.errors import CarrierError
from gateway.finding import Finding
from gateway.heartbeat.ticker import Ticker
from gateway.ports import (
    Acceptance,
    BindStream,
    CarrierListener,
    DialOrder,
    HandshakeRequest,
    MediaConnection,
    Refusal,
    StreamEnd,
)
from gateway.settings import Settings
from gateway.setup_steps import Question, SetupStep

PATIENCE: Final = {"+15005551007": 25}
"""Number -> messages after which its phone hangs up."""


def _path(settings: Settings) -> str:
    return f"/n/{settings.node}/media/loopback"


def _signature(settings: Settings, call_id: str) -> str:
    return hmac.new(settings.shared_secret.encode(), call_id.encode(), "sha256").hexdigest()


class Client:
    """Its phones answer at once; `gateway.carriers.port.CarrierClient`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._phones: dict[str, asyncio.Task[None]] = {}
        self._answered_s: dict[str, float] = {}
        self._seconds: dict[str, int] = {}

    async def place(self, order: DialOrder) -> str:
        self._phones[order.call_id] = asyncio.create_task(self._talk(order))
        return order.call_id

    async def _talk(self, order: DialOrder) -> None:
        call_id, patience = order.call_id, PATIENCE.get(order.destination, math.inf)
        clock = asyncio.get_running_loop().time
        url = f"ws://{self._settings.host}:{self._settings.port}{_path(self._settings)}?{call_id}"
        headers = {"signature": _signature(self._settings, call_id)}
        async with connect(url, additional_headers=headers, compression=None) as stream:
            answered_s = self._answered_s[call_id] = clock()
            try:
                async for message in stream:
                    await stream.send(message)
                    patience -= 1
                    if patience <= 0:
                        return
            finally:
                self._seconds[call_id] = math.ceil(clock() - answered_s)

    async def hang_up(self, carrier_call_id: str) -> CarrierStatus:
        phone = self._phones[carrier_call_id]
        phone.cancel()
        await asyncio.gather(phone, return_exceptions=True)
        return await self.fetch(carrier_call_id)

    async def fetch(self, carrier_call_id: str) -> CarrierStatus:
        if not self._phones[carrier_call_id].done():
            is_answered = carrier_call_id in self._answered_s
            state = CarrierState.ANSWERED if is_answered else CarrierState.RINGING
            return CarrierStatus(carrier_call_id, state)
        seconds = self._seconds.get(carrier_call_id)
        state = CarrierState.FAILED if seconds is None else CarrierState.COMPLETED
        return CarrierStatus(carrier_call_id, state, seconds)

    async def why_failed(self, carrier_call_id: str) -> CarrierRefusal | None:
        return None

    async def announce(self, number: str, text: str, language: str) -> None:
        raise CarrierError("It speaks no texts.", cause=Cause.FACILITY_NOT_SUBSCRIBED)

    async def close(self) -> None:
        for call_id in self._phones:
            await self.hang_up(call_id)


class Leg:
    """Audio in binary messages, marks in texts; `gateway.ports.CarrierLeg`."""

    def __init__(self, connection: MediaConnection, call_id: str, bind: BindStream) -> None:
        self.on_audio: Callable[[bytes, int | None], None] = lambda _payload, _at_ms: None
        self.on_mark: Callable[[str], None] = lambda _name: None
        self._connection = connection
        connection.on_binary = lambda payload: self.on_audio(payload, None)
        connection.on_text = lambda name: self.on_mark(name.decode())
        connection.on_close = self._closed
        self._listener: CarrierListener | None = bind(self, call_id, call_id)
        if self._listener is None:
            self.close()

    @property
    def counters(self) -> ConnectionCounters:
        return self._connection.counters

    def send_audio(self, payload: bytes) -> None:
        self._connection.send_audio_binary(payload)

    def send_mark(self, name: str) -> None:
        self._connection.send_text(name.encode())

    def clear(self) -> None:
        """Nothing waits there to be played."""

    def close(self) -> None:
        self._listener = None
        self._connection.close()

    def _closed(self, code: int) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stream_ended(StreamEnd.STOPPED if code == 1000 else StreamEnd.LOST)


class Streams:
    """`gateway.ports.CarrierStreams`: a stream names its call in its address, and signs it."""

    signature_hint = "Check CALLER_FLEET_SECRET."

    def __init__(self, settings: Settings, _ticker: Ticker) -> None:
        self._settings = settings
        self.path = _path(settings)

    def route(self, request: HandshakeRequest, bind: BindStream) -> Acceptance | Refusal:
        call_id = request.query
        given = request.headers.get("signature", "")
        if not hmac.compare_digest(given, _signature(self._settings, call_id)):
            return Refusal(403, "The signature is missing or wrong.")
        return Acceptance(lambda socket: Leg(socket, call_id, bind) and None, is_authenticated=True)


@dataclass(frozen=True)
class _Explained:
    what: str
    do: str


async def _check_secret(settings: Settings) -> list[Finding]:
    return [Finding("carrier", f"Plays back on port {settings.port}.")]


CARRIER: Final = CarrierAdapter(
    name="loopback",
    title="Loopback",
    queue_s_max=0,
    require=lambda _settings: None,
    client=Client,
    streams=Streams,
    callbacks=lambda _settings, _callbacks: (),
    api_origin=lambda settings: settings.origin,
    origin_fault=lambda _settings: "",
    needs_https=lambda _settings: False,
    steps=(
        SetupStep(
            "The carrier",
            (Question("fleet_secret", "Text that signs its streams", is_needed=True),),
            _check_secret,
        ),
    ),
    price_list=None,
    high_risk_list=None,
    explain=lambda code: _Explained(f"Loopback has no code {code}.", "Call again."),
)
