"""A gateway, a carrier and a browser on one virtual clock, joined by a network in memory.

What the gateway is made of is what `gateway.roles` makes it of: its media engine and the bytes on
its sockets, its calls, their sound and their charges, its carrier's client and webhooks. Credit
lies in a spend gate in memory. The carrier is the simulated one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec

from billing.cdr import CallClosed
from billing.rating import Rate
from gateway.calls.bridge import END_TONE_NS
from gateway.carriers.callbacks import Callbacks
from gateway.carriers.twilio.carrier import CARRIER
from gateway.charging.closings import keep_nothing
from gateway.charging.rounds import Metering
from gateway.fleet.messages import CarrierNews
from gateway.http.app import create_app
from gateway.nanoseconds import SECOND_NS
from gateway.roles.media import compose_media
from gateway.settings_variables import from_mapping
from gateway.sound.directions import FRAME_BYTES
from media import tones
from media.g711 import FRAME_NS
from media.tones import Tone
from tests.gateway.calls.grants import Grants
from tests.gateway.calls.test_live import Tokens, Velocity
from tests.gateway.memory_gate import MemorySpendGate
from tests.gateway.stage import ACCOUNT_SID, CENT, order
from tests.gateway.virtual_time import virtual_loop
from tests.whole_calls.browser import LOOK_S, Browser, speech
from tests.whole_calls.carrier import SimulatedCarrier
from tests.whole_calls.network import NetworkLoop, Requests

MS_NS = 1_000_000
DOLLAR = 100 * CENT
URL = "wss://calls.example.com/n/n1/media/browser"


def no_other_node(node: str, _news: CarrierNews) -> None:
    """Stand for the other nodes, of which there are none."""
    raise AssertionError(node)


class World:
    """One call, from its token to its record."""

    def __init__(self, seed: int = 1, *, credit: int = 10 * DOLLAR, **settings: str) -> None:
        loop = virtual_loop()
        assert isinstance(loop, NetworkLoop)
        self.loop = loop
        self.rng = random.Random(seed)
        self.settings = from_mapping(
            {
                "CALLER_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
                "CALLER_TWILIO_AUTH_TOKEN": "secret",
                "CALLER_CALLER_ID": "+15005550006",
                "CALLER_PUBLIC_ORIGIN": "https://calls.example.com",
                "CALLER_PUBLIC_IPS": "198.51.100.7",
                **settings,
            }
        )
        self.credit = credit
        self.gate = MemorySpendGate().fill(alice=credit)
        self.tokens = Tokens()
        self.grants = Grants()
        self.phone = SimulatedCarrier(ACCOUNT_SID, "secret")
        self.strays: list[Any] = []
        """Calls of the carrier that no call here lives on."""
        self.notices: list[tuple[str, Any]] = []
        """Events that the operator's program was told of."""
        self.browser_delay_ns = 15 * MS_NS
        self.carrier_delay_ns = 20 * MS_NS
        self.jitter_ns = 0
        """How late the microphone's frames may be."""
        self._compose()

    def _compose(self) -> None:
        clock_ns = self.loop.clock_ns
        self.carrier: Any = CARRIER.client(self.settings)
        self.metering = Metering(self.gate, clock_ns)
        self.media = compose_media(
            self.settings,
            SimpleNamespace(gate=self.gate),
            SimpleNamespace(
                adapter=CARRIER,
                carrier=self.carrier,
                ghosts=SimpleNamespace(found=self._note_stray, left=self._note_stray),
                closings=SimpleNamespace(keep=keep_nothing),
            ),
            SimpleNamespace(tokens=self.tokens, velocity=Velocity()),
            self.metering,
            notify=lambda name, data: self.notices.append((name, data)),
            probe=self._probe,
            grants=self.grants,
            clock_ns=clock_ns,
        )
        callbacks = Callbacks(
            self.settings.node,
            self.media.calls,
            self.media.calls.refused_signatures,
            self._seen_running,
            no_other_node,
        )
        self.app = create_app(CARRIER.callbacks(self.settings, callbacks))

    def _note_stray(self, *stray: str) -> None:
        self.strays.append(stray)

    async def _probe(self) -> str:
        return ""

    def _seen_running(self, carrier_call_id: str, call_id: str, _node: str) -> None:
        if not self.media.calls.owns(call_id, carrier_call_id):
            self.strays.append((carrier_call_id, call_id))

    async def start(self) -> World:
        self.began_ns = self.loop.now_ns
        self.loop.serve = self.media.port.engine.protocol_factory
        self.loop.delay_ns = self.carrier_delay_ns
        await self.carrier._client.http_client.session.close()
        self.carrier._client.http_client.session = Requests(self.phone.app, self.carrier_delay_ns)
        self.phone.start(Requests(self.app, self.carrier_delay_ns))
        self.media.start()
        return self

    async def stop(self) -> None:
        if hasattr(self, "browser"):
            self.browser.stop()
        await self.phone.stop()
        await self.media.calls.drain(0)
        await self.carrier.close()
        await self.media.port.stop_beating()
        await self.metering.stop()
        await self.media.unbind()

    # The story of a call.

    async def dials(self, number: str = "+15005551009", rate: Rate | None = None) -> Browser:
        """Open the browser's socket and begin a call with a fresh token."""
        call_order = order(rate, destination=number)
        self.browser = Browser(URL, self.browser_delay_ns, self.jitter_ns, self.rng)
        await self.browser.opened()
        token = await self.tokens.issue(call_order)
        self.browser.say(type="start", version=1, token=token)
        await self.browser.wait("ready")
        return self.browser

    async def is_answered(self) -> None:
        """Let the phone ring for two seconds and be picked up."""
        await self.until(lambda: self.browser.of("ringing"))
        await self.run(2)
        self.phone.line.answer()
        await self.is_joined()

    async def is_joined(self) -> None:
        """Let time pass until the call is answered and the caller hears the phone."""
        await self.until(lambda: self.browser.of("accept"))
        await self.until(lambda: self.phone.line.conversation.legs)
        self.joined_at = len(self.browser.frames)
        """Frames of tones that the caller heard before the phone's."""
        await self.until(lambda: len(self.browser.frames) > self.joined_at)

    async def connected(self, **call: Any) -> Browser:
        """Begin a call and let it be answered."""
        await self.dials(**call)
        await self.is_answered()
        return self.browser

    async def tops_up(self, micros: int) -> None:
        """Let credit come."""
        self.credit += micros
        await self.gate.credit("alice", 2, micros)

    async def talk(self, seconds: float) -> tuple[bytes, bytes]:
        """Let both speak; return what the caller and the phone said once each has heard it."""
        said, told = speech(seconds, self.rng), b"".join(speech(seconds, self.rng))
        self.browser.speaks(said)
        self.phone.callee.play(told)
        await self.run(seconds + 0.5)
        return b"".join(said), told

    async def run(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], object], seconds_max: float = 60.0) -> None:
        """Let time pass until something is true."""
        for _ in range(round(seconds_max / LOOK_S)):
            if condition():
                return
            await self.run(LOOK_S)
        raise AssertionError("it never came true")

    async def run_until(self, at_ns: int) -> None:
        """Let time pass until then."""
        await self.run((at_ns - self.loop.now_ns) / SECOND_NS)

    async def settled(self, complaints: Sequence[int] = ()) -> CallClosed:
        """Return the record of the call, once nothing of it is left."""
        await self.until(lambda: not len(self.media.calls), 120)
        await self.until(lambda: self.phone.line.call.over)
        await self.run(3)
        assert self.strays == []
        assert self.phone.complaints == [*complaints]
        outbox = self.gate._of("alice").outbox.values()
        (closed,) = [entry.fields["m"] for entry in outbox if entry.kind == "C"]
        record = msgspec.json.decode(closed, type=CallClosed)
        assert self.balance == self.credit - CENT * record.seconds
        return record

    @property
    def balance(self) -> int:
        return self.gate._of("alice").balances["alice"]


# What holds of calls.


def tone_of(tone: Tone, seconds: float) -> bytes:
    """Return the beginning of a tone."""
    return b"".join(tone.frame(n) for n in range(round(seconds * 50)))


def assert_charged(
    world: World, end: dict[str, Any], record: CallClosed, *, silent_s: int = 0
) -> None:
    """Assert that each second that was begun is paid for, and that the caller was told of each.

    Of seconds that only turned out to be silent in the end the caller was told as well.
    """
    assert record.answered_at is not None
    lasted_ns = round((record.ended_at - record.answered_at).total_seconds() * SECOND_NS)
    seconds = -(-lasted_ns // SECOND_NS)
    assert record.seconds == end["seconds"] == seconds
    assert end["cost"]["micros"] == seconds * CENT
    told = [(cost["seconds"], cost["cost"]["micros"]) for cost in world.browser.of("cost")]
    assert [cost for cost in told if cost[1] != cost[0] * CENT] == []
    assert [second for second, _ in told] == sorted({second for second, _ in told})
    assert seconds - 1 <= told[-1][0] <= seconds + silent_s


def assert_accounted(record: CallClosed) -> None:
    """Assert that each frame that came left the gateway, but those that are said to be dropped."""
    browser, carrier = record.browser, record.carrier
    assert carrier.frames_out == browser.frames_in - browser.frames_dropped
    assert browser.frames_out == carrier.frames_in - carrier.frames_dropped


def assert_counted(record: CallClosed, *, dropped: int, concealed_ms: int) -> None:
    """Assert that so many of the caller's frames were not played, and all others were."""
    assert_accounted(record)
    browser, carrier = record.browser, record.carrier
    assert (browser.frames_dropped, browser.concealed_ms) == (dropped, concealed_ms)
    assert (carrier.frames_dropped, carrier.concealed_ms) == (0, 0)


def assert_nothing_lost(world: World, record: CallClosed) -> None:
    """Assert that each frame that came left the gateway, and nothing took the place of any."""
    assert_counted(record, dropped=0, concealed_ms=0)
    assert record.browser.packets_lost == 0
    assert len(world.browser.frames) - world.joined_at - _tones(world.browser) == (
        record.browser.frames_out
    )
    counters, playout = world.phone.stream.counters, world.phone.stream.playout.counters
    assert (counters.clears, counters.congested_frames) == (0, 0)
    assert (playout.starved_frames, playout.refused_bytes, playout.underruns) == (0, 0, 0)


def _tones(browser: Browser) -> int:
    """Return how many frames of our own the caller has heard since the answer."""
    beeps = len(browser.of("credit-warning")) * len(tones.warning_beep()) // FRAME_BYTES
    cut_offs = sum(tone["name"] == "cut-off" for tone in browser.of("tone"))
    return beeps + cut_offs * (END_TONE_NS // FRAME_NS)
