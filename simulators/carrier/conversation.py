"""Executes the TwiML of an answered call, verb by verb, until nothing is left to do.

The line cancels `run` to end the call or to give it other TwiML; an open stream is then stopped in
good order.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Final
from urllib.parse import urljoin

from media.g711 import RATE_HZ
from simulators.carrier import twiml
from simulators.carrier.callbacks import call_params, stream_params
from simulators.carrier.callee import Callee, Impairment
from simulators.carrier.calls import Call
from simulators.carrier.equipment import Equipment, new_sid
from simulators.carrier.errors import FetchError, StreamError, TwimlError
from simulators.carrier.frames import MessageWriter
from simulators.carrier.orders import Hook
from simulators.carrier.recording import Recording
from simulators.carrier.scripts import Script, StreamFault
from simulators.carrier.signing import sign
from simulators.carrier.stream import MediaLeg
from simulators.carrier.trust import client_tls

DOCUMENTS_MAX: Final = 100
"""Redirects followed in one call, so that a loop ends."""
LEGS_KEPT: Final = 20
NOT_READ_S: Final = 5.0
_WAIT_DIGIT_S: Final = 0.5

Program = bytes | Hook
"""TwiML itself, or where to fetch it."""


class Conversation:
    """Executes the TwiML of one answered call; owns its callee, its recording and its streams."""

    def __init__(self, equipment: Equipment, call: Call, script: Script) -> None:
        self.callee = Callee(script, equipment.settings.echo_delay_ms)
        self.recording = Recording(equipment.settings.heard_s_max)
        self.said: list[twiml.Say] = []
        self.legs: deque[MediaLeg] = deque(maxlen=LEGS_KEPT)
        """Streams of this call, newest last."""
        self._equipment = equipment
        self._call = call
        self._script = script

    async def run(self, program: Program) -> None:
        """Execute a program and those it redirects to; returns when the call should end."""
        base = ""
        for _ in range(DOCUMENTS_MAX):
            try:
                if isinstance(program, Hook):
                    base = program.url
                    program = await self._fetch(program)
                redirect = await self._execute(twiml.parse(program))
            except (TwimlError, FetchError) as error:
                self._note(error.code, str(error))
                return
            if redirect is None:
                return
            # A redirect may be relative to the document that it stands in.
            program = Hook(urljoin(base, redirect.url), redirect.method)

    async def _fetch(self, hook: Hook) -> bytes:
        params = call_params(self._call, self._call.status)
        if self._call.answered_by is not None:
            params["AnsweredBy"] = self._call.answered_by
        # Inline TwiML has no address that a relative redirect could be resolved against.
        if not hook.url.startswith(("http://", "https://")):
            raise FetchError("not an HTTP URL")
        return await self._equipment.webhooks.fetch(hook, params)

    async def _execute(self, verbs: tuple[twiml.Verb, ...]) -> twiml.Redirect | None:
        for verb in verbs:
            match verb:
                case twiml.Redirect():
                    return verb
                case twiml.Hangup():
                    return None
                case twiml.Stream():
                    if not await self._stream(verb):
                        return None
                case twiml.Pause():
                    await asyncio.sleep(verb.duration_s)
                case twiml.Say():
                    # Not spoken, but shown by the control API.
                    self.said.append(verb)
                    await asyncio.sleep(verb.duration_s)
                case twiml.PlayDigits():
                    await self._play_digits(verb.digits)
                case twiml.Unknown():
                    self._note(12200, verb.name)
        return None

    async def _play_digits(self, digits: str) -> None:
        # Imported here, for the library behind it is 14 MB, and few calls play digits.
        from media.tones import dtmf  # noqa: PLC0415

        for digit in digits:
            if digit in "wW":
                await asyncio.sleep(_WAIT_DIGIT_S)
            else:
                audio = dtmf(digit)
                # No stream is open during this verb, so that the tones go straight to what the
                # callee heard.
                self.recording.add_audio(audio, self._equipment.clock.epoch_ns())
                await asyncio.sleep(len(audio) / RATE_HZ)

    # --- streams ---------------------------------------------------------------------------

    async def _stream(self, verb: twiml.Stream) -> bool:
        """Open a stream and wait for its end; return whether the next verb is to run."""
        if self._script.stream_fault is StreamFault.NEVER_OPENED:
            # Until the line is ended from outside: an answered phone in which nothing is ever
            # heard.
            await asyncio.Event().wait()
        stream_sid = new_sid("MZ")
        leg = self._leg(verb, stream_sid)
        # Before the handshake, so that the control API shows streams whose handshake failed.
        self.legs.append(leg)
        settings = self._equipment.settings
        try:
            twiml.check_stream(verb)
            # A stream's URL is always wss://. Where the application has no TLS, as its callbacks
            # say, the socket is dialled without; the signature is over wss:// all the same.
            is_plain = verb.status_callback.startswith("http://")
            tls = None if is_plain else client_tls(settings.ca_file)
            await leg.open(verb.url, sign(verb.url, {}, settings.auth_token), tls)
        except StreamError as error:
            self._note(error.code, str(error), stream_sid)
            # The only place where an application learns of a handshake that failed on the way.
            self._announce(verb, stream_sid, "stream-error", f"{error.code}: {error}")
            return not settings.broken_stream_ends_call
        self._announce(verb, stream_sid, "stream-started")
        return await self._converse(verb, leg)

    async def _converse(self, verb: twiml.Stream, leg: MediaLeg) -> bool:
        settings = self._equipment.settings
        loop = asyncio.get_running_loop()
        # Armed for every stream: for most scripts `_break` does nothing.
        fault = loop.call_later(settings.hangup_after_s, self._break, leg)
        self._equipment.ticker.add(leg)
        try:
            await leg.ended.wait()
        finally:
            fault.cancel()
            try:
                # Cancelled during the wait above, the leg still says `stop`; cancelled once more in
                # here, at shutdown, it still leaves the ticker.
                await leg.stop()
            finally:
                self._equipment.ticker.remove(leg)
                leg.playout.release()
                broken = self._announce_end(verb, leg)
        return not (broken and settings.broken_stream_ends_call)

    def _leg(self, verb: twiml.Stream, stream_sid: str) -> MediaLeg:
        parameters, refused = twiml.kept_parameters(verb)
        for name in refused:
            self._note(12200, f"Parameter {name} is too long or has no name", stream_sid)
        call = self._call
        return MediaLeg(
            writer=MessageWriter(call.account_sid, call.sid, stream_sid, parameters),
            callee=self.callee,
            recording=self.recording,
            note=lambda code, detail: self._note(code, detail, stream_sid),
            clock=self._equipment.clock,
            # First timestamps of 57 to 171 ms were seen in real captures.
            first_timestamp_ms=random.randint(40, 180),  # noqa: S311 - not a secret
            impairment=Impairment() if self._script.impaired else None,
        )

    def _break(self, leg: MediaLeg) -> None:
        match self._script.stream_fault:
            case StreamFault.TCP_DROPPED:
                leg.drop()
            case StreamFault.FROZEN:
                leg.frozen = True
            case StreamFault.NOT_READ:
                self.stall(leg, NOT_READ_S)
            case _:
                pass

    def stall(self, leg: MediaLeg, seconds: float) -> None:
        """Leave the media socket unread for a while."""
        # The socket may be gone when the time is over; it then ignores the second call.
        leg.set_reading(False)
        asyncio.get_running_loop().call_later(seconds, leg.set_reading, True)

    def _announce_end(self, verb: twiml.Stream, leg: MediaLeg) -> bool:
        """Report how a stream ended; return whether it broke."""
        sid = leg.writer.stream_sid
        # Who began the end decides: a socket that the application closes after our `stop` is in
        # order.
        if leg.stopped_by_us:
            self._announce(verb, sid, "stream-stopped")
            return False
        if leg.protocol_error:
            code, detail = 31924, "the application broke the WebSocket protocol"
        elif leg.close_code == 1006:
            code, detail = 31903, "the connection broke"
        else:
            # Raised even for an intended close.
            self._note(31921, f"closed by the application with {leg.close_code}", sid)
            self._announce(verb, sid, "stream-stopped")
            return False
        self._note(code, detail, sid)
        self._announce(verb, sid, "stream-error", f"{code}: {detail}")
        return True

    def _announce(self, verb: twiml.Stream, stream_sid: str, event: str, error: str = "") -> None:
        if not verb.status_callback.startswith(("http://", "https://")):
            return
        hook = Hook(verb.status_callback, verb.status_callback_method)
        at_ns = self._equipment.clock.epoch_ns()
        params = stream_params(self._call, stream_sid, event, at_ns, name=verb.name, error=error)
        self._equipment.tasks.spawn(self._post(hook, params))

    async def _post(self, hook: Hook, params: dict[str, str]) -> None:
        await self._equipment.webhooks.post("stream", hook, params)

    def _note(self, code: int, detail: str, stream_sid: str = "") -> None:
        self._equipment.debugger.note(
            code,
            self._equipment.clock.epoch_ns(),
            detail=detail,
            call_sid=self._call.sid,
            stream_sid=stream_sid,
        )
