"""A call's whole world, played: browser, carrier and credit store around one real bridge.

Only the clock is not real. Heartbeat, meter rounds, legs and bridge are the ones that serve.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from billing.cdr import CallClosed
from billing.rating import Rate
from gateway.browser.leg import BrowserLeg
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.calls.bridge import Bridge
from gateway.calls.polling import INTERVAL_BEATS, Polling
from gateway.calls.reachability import Reachability
from gateway.calls.services import CallServices
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.cause import CarrierRefusal
from gateway.charging.rounds import Metering
from gateway.errors import CarrierError
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.ports import AudioEndpoint, CallOrder, DialOrder
from gateway.settings_variables import from_mapping
from tests.gateway.memory_gate import MemorySpendGate
from tests.gateway.recording import RecordingConnection
from tests.gateway.virtual_time import VirtualTimeLoop, virtual_loop

CENT = 10_000
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
CREDIT = 10_000_000
SPEECH_FRAME = b"\x55" * 160
SILENT_FRAME = b"\xff" * 160
TOLD_BY_THE_CLOCK = {"volume", "cost", "credit", "talk", "sample", "warning", "warning-cleared"}
RESUME_KEY = bytes(range(32))

SETTINGS = from_mapping(
    {
        "CALLER_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "CALLER_TWILIO_AUTH_TOKEN": "secret",
        "CALLER_CALLER_ID": "+15005550006",
        "CALLER_PUBLIC_ORIGIN": "https://calls.example.com",
    }
)


class ScriptedCarrier:
    """`gateway.ports.Carrier` that does what the test says."""

    def __init__(self) -> None:
        self.placed: list[DialOrder] = []
        self.hung_up: list[str] = []
        self.fetched: list[str] = []
        self.on_place: str | CarrierError = "CA1"
        self.place_takes_s = 0.0
        self.on_hang_up: list[str | CarrierError] = []
        """States in the next replies; `completed` when there are no more."""
        self.on_fetch: str | CarrierError = "answered"
        self.asked_why: list[str] = []
        self.on_why: CarrierRefusal | CarrierError | None = None
        self.why_takes_s = 0.0

    async def place(self, order: DialOrder) -> str:
        self.placed.append(order)
        await asyncio.sleep(self.place_takes_s)
        return str(_outcome(self.on_place))

    async def hang_up(self, carrier_call_id: str) -> CarrierStatus:
        self.hung_up.append(carrier_call_id)
        await asyncio.sleep(0)
        status = _outcome(self.on_hang_up.pop(0) if self.on_hang_up else "completed")
        return CarrierStatus(carrier_call_id, CarrierState(status))

    async def fetch(self, carrier_call_id: str) -> CarrierStatus:
        self.fetched.append(carrier_call_id)
        await asyncio.sleep(0)
        return CarrierStatus(carrier_call_id, CarrierState(_outcome(self.on_fetch)))

    async def why_failed(self, carrier_call_id: str) -> CarrierRefusal | None:
        self.asked_why.append(carrier_call_id)
        await asyncio.sleep(self.why_takes_s)
        return cast("CarrierRefusal | None", _outcome(self.on_why))

    async def close(self) -> None:
        pass


def _outcome(told: Any) -> Any:
    if isinstance(told, Exception):
        raise told
    return told


class Stage:
    """Everything that the calls of a node share."""

    def __init__(self) -> None:
        loop = virtual_loop()
        self.clock_ns = loop.clock_ns
        self.gate = MemorySpendGate().fill(alice=CREDIT)
        self.carrier = ScriptedCarrier()
        self.ticker = Ticker(self.clock_ns)
        self.metering = Metering(self.gate, self.clock_ns)
        self.polling = Polling(self.spawn)
        for slot in range(0, BEATS_PER_SECOND, INTERVAL_BEATS):
            self.ticker.add_duty(slot, self.polling.look)
        self.origin_fault = ""
        """What a look at the public origin finds."""
        self.reachability = Reachability(
            self.clock_ns, self._look_at_origin, read_ns=lambda: self.ticker.read_ns
        )
        self.strays: list[tuple[str, str]] = []
        """The carrier's calls that are to be ended, and the calls they were made for."""
        self.endpoint: AudioEndpoint | None = None
        """Takes the offers of calls that begin from now on."""
        self.released: list[Bridge] = []
        self.changed: list[Bridge] = []
        self.events: list[tuple[str, Any]] = []
        """Events that the operator's program was told of."""
        self.faults: list[BaseException] = []
        """What background tasks failed with; none, unless a test takes them out."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.ticker.start()
        self.metering.start()

    async def _look_at_origin(self) -> str:
        return self.origin_fault

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(error)

    def services(self, **changes: Any) -> CallServices:
        return CallServices(
            settings=replace(SETTINGS, **changes),
            gate=self.gate,
            carrier=self.carrier,
            metering=self.metering,
            ticker=self.ticker,
            spawn=self.spawn,
            polling=self.polling,
            reachability=self.reachability,
            end_unmatched=lambda *unmatched: self.strays.append(unmatched),
            notify=lambda name, data: self.events.append((name, data)),
            endpoint=self.endpoint,
            resume_key=RESUME_KEY,
        )

    def call(self, call_id: str = "c1", *, rate: Rate | None = None, **changes: Any) -> Caller:
        """Begin a call; `changes` are fields of its order, or settings by their lower-case name."""
        fields = {name: changes.pop(name) for name in CallOrder.__struct_fields__ & changes.keys()}
        return Caller(self, call_id, order(rate, **fields), self.services(**changes))

    async def run(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def stand_still(self, seconds: float) -> None:
        """Stop the process: time passes, and what comes meanwhile waits in the sockets."""
        virtual_loop().now_ns += round(seconds * 1e9)

    async def until(self, condition: Callable[[], object], seconds_max: float = 60.0) -> None:
        """Let time pass, beat by beat, until something is true."""
        for _ in range(round(seconds_max / 0.02)):
            if condition():
                return
            await self.run(0.02)
        raise AssertionError("it never came true")

    async def ended(self, *calls: Caller) -> None:
        """Let time pass until these calls have been settled and told of their end."""
        await self.until(
            lambda: len(self.released) == len(calls) and all(c.browser.closed for c in calls), 120
        )

    def balance(self, account_id: str = "alice") -> int:
        return self.gate._of(account_id).balances[account_id]

    def record(self, account_id: str = "alice") -> CallClosed:
        """Return what the one call that was settled is remembered by."""
        outbox = self.gate._of(account_id).outbox.values()
        (closed,) = [entry.fields["m"] for entry in outbox if entry.kind == "C"]
        return msgspec.json.decode(closed, type=CallClosed)

    async def close(self) -> None:
        self.ticker.stop()
        await self.metering.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self.faults == []


class Caller:
    """One call: its bridge, and whoever is at both ends of it."""

    def __init__(
        self, stage: Stage, call_id: str, order: CallOrder, services: CallServices
    ) -> None:
        self.stage = stage
        self.browser = RecordingConnection(stage.clock_ns)
        self.carrier = RecordingConnection(stage.clock_ns)
        self.phone_ms = 0
        """The carrier's time of the phone's next frame."""
        self.leg = BrowserLeg(self.browser, origin="", on_start=lambda *_: None)
        self.dial_order = dial_order(call_id, order)
        self.bridge = Bridge(
            call_id,
            order,
            self.dial_order,
            self.leg,
            services,
            on_change=stage.changed.append,
            on_release=stage.released.append,
        )
        self.bridge.start()

    # The caller.

    def says(self, **message: Any) -> None:
        self.browser.say(message)

    def speaks(self, count: int = 1, frame: bytes = SPEECH_FRAME) -> None:
        for _ in range(count):
            self.browser.speak(frame)

    def returns(self, generation: int = 0) -> bool:
        """Take the call up with another socket; say whether that went."""
        connection = RecordingConnection(self.stage.clock_ns)
        leg = BrowserLeg(connection, origin="", on_start=lambda *_: None)
        leg.started = True
        is_taken = self.bridge.resume(leg, generation)
        if is_taken:
            self.browser, self.leg = connection, leg
        return is_taken

    # The carrier.

    def status(self, status: str, sid: str = "CA1", **fields: Any) -> None:
        """Let a status callback arrive."""
        self.stage.reachability.reached()
        self.bridge.carrier_status(CarrierStatus(sid, CarrierState(status), **fields))

    def opens_stream(self, *, sid: str = "CA1") -> TwilioLeg:
        """Let the carrier's media socket say its first words; it has proved whose it is."""

        def bind(leg: TwilioLeg, _start: Any) -> Bridge | None:
            return self.bridge if self.bridge.stream_started(leg, sid) else None

        self.stage.reachability.reached()
        connection = RecordingConnection(self.stage.clock_ns)
        leg = TwilioLeg(connection, bind=bind)
        if not self.carrier.counters.messages_in:
            self.carrier = connection
        connection.say({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        connection.say(start_message(sid, ""))
        return leg

    def phone_speaks(self, count: int = 1, frame: bytes = SPEECH_FRAME) -> None:
        payload = base64.b64encode(frame).decode()
        for _ in range(count):
            media = {"payload": payload, "timestamp": str(self.phone_ms)}
            self.carrier.say({"event": "media", "streamSid": "MZ1", "media": media})
            self.phone_ms += len(frame) // 8

    async def answered(self, *, speaks: bool = True) -> Caller:
        """Let the phone ring and be answered, and say something unless the test lets it speak."""
        await self.stage.run(0.02)
        self.status("ringing")
        self.status("answered")
        self.opens_stream()
        if speaks:
            self.phone_speaks(frame=SILENT_FRAME)
        return self

    # What tests ask.

    @property
    def kinds(self) -> list[str]:
        """What the caller was told, without what is told by the clock."""
        return [k for k in self.browser.kinds if k not in TOLD_BY_THE_CLOCK]

    @property
    def end(self) -> dict[str, Any]:
        """The one message that ends the call."""
        (message,) = [m for m in self.browser.messages if m["type"] in ("disconnect", "cancel")]
        return message

    @property
    def warned(self) -> list[tuple[int, str]]:
        """The warnings of the call's end: seconds left, and for want of what."""
        return [(w["seconds_left"], w["cause"]) for w in self.browser.of("credit-warning")]

    @property
    def heard_by_phone(self) -> list[bytes]:
        """The audio messages sent to the carrier, decoded."""
        return [
            base64.b64decode(json.loads(audio)["media"]["payload"]) for audio in self.carrier.audio
        ]


def order(rate: Rate | None = None, **changes: Any) -> CallOrder:
    """Return what a token allows: a cent a second, unless the test says otherwise."""
    fields = {
        "account_id": "alice",
        "destination": "+15005551000",
        "country": "US",
        "codec": "pcmu",
        "origin": "",
        "currency": "USD",
        "rate": (rate or Rate(per_minute_micros=60 * CENT)).to_json(),
        "rate_description": "United States",
    }
    return CallOrder(**{**fields, **changes})


def dial_order(call_id: str, order: CallOrder) -> DialOrder:
    return DialOrder(
        call_id=call_id,
        destination=order.destination,
        ring_timeout_s=60,
        time_limit_s=14_400,
    )


def start_message(call_sid: str, token: str, **changes: Any) -> dict[str, Any]:
    """Return a stream's `start` as Twilio writes it."""
    detail = {
        "accountSid": ACCOUNT_SID,
        "streamSid": "MZ1",
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    return {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {**detail, **changes},
    }


# What a folder's conftest imports to have its tests play on the stage.


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test of a folder in virtual time."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()
