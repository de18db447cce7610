"""Runs one call from its turn in the queue to its end: dial, ring, answer, talk, hang up.

Drives `calls.Call` and performs the script of the dialled number. One task per call, none per
frame. The first request to end the call counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final

from simulators.carrier.callbacks import detection_params
from simulators.carrier.calls import Call, Status
from simulators.carrier.conversation import Conversation, Program
from simulators.carrier.courier import StatusCourier
from simulators.carrier.equipment import Equipment
from simulators.carrier.faults import CallbackFault
from simulators.carrier.orders import CallOrder, CallUpdate
from simulators.carrier.scripts import Outcome, Script

TRIAL_ANNOUNCEMENT_S: Final = 2.0
_TIME_LIMIT: Final = 32015
_TRIAL_LIMIT: Final = 13805
_REFUSED: Final = {
    Outcome.BUSY: Status.BUSY,
    Outcome.FAILED: Status.FAILED,
    Outcome.NO_ANSWER: Status.NO_ANSWER,
}


class Line:
    """A placed call and everything that happens to it."""

    def __init__(
        self,
        equipment: Equipment,
        call: Call,
        order: CallOrder,
        script: Script,
        injected: Callable[[], CallbackFault],
    ) -> None:
        self.call = call
        self.order = order
        self.script = script
        self.conversation = Conversation(equipment, call, script)
        self.ordered_to_end_at_ns: int | None = None
        """Epoch time of the REST request that ended the call."""
        self._equipment = equipment
        self._injected = injected
        self._courier = StatusCourier(
            equipment, call, order.status_callback, order.events, self._callback_fault
        )
        self._programs: deque[Program] = deque()
        self._activity: asyncio.Task[None] | None = None
        self._ending: tuple[Status, int] | None = None
        self._answer_now = asyncio.Event()
        self._answered_s = 0.0
        self._time_limit_s = self._first_time_limit_s()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # --- from outside ----------------------------------------------------------------------

    def end(self, status: Status = Status.COMPLETED, sip_code: int = 200) -> None:
        """End the call; before the answer `COMPLETED` becomes `CANCELED`. The first end counts."""
        if self._ending is None and not self.call.over:
            # Only noted: the terminal status is announced by `_finish`, once an open stream has
            # been stopped.
            self._ending = (status, sip_code)
            self._interrupt()

    def cancel_queued(self) -> None:
        """End a call that was never dialled."""
        self._advance(Status.CANCELED, 487)

    def answer(self) -> None:
        """Stop ringing and answer, whatever the script says about the time."""
        self._answer_now.set()

    def update(self, change: CallUpdate) -> None:
        """Apply what REST asked for to a call that is not over."""
        if change.status_callback is not None:
            self._courier.hook = change.status_callback
        if change.time_limit_s is not None:
            self._time_limit_s = change.time_limit_s
            self._arm_time_limit()
        if change.status is not None:
            # "canceled" does not affect calls already in progress.
            if change.status == "completed" or self.call.status is not Status.IN_PROGRESS:
                self.ordered_to_end_at_ns = self._equipment.clock.epoch_ns()
                self.end()
            return
        program: Program | None = change.twiml.encode() if change.twiml else change.url
        if program is not None:
            # New TwiML replaces all that was still to come. Before the answer it takes the place of
            # the order's own, and runs when the phone is answered.
            self._programs.clear()
            self._programs.append(program)
            if self.call.status is Status.IN_PROGRESS:
                self._interrupt()

    # --- the life of a call ----------------------------------------------------------------

    async def run(self) -> None:
        """Live the whole call."""
        try:
            # Interruptible as well: a call can be ended between its turn and its dialling.
            await self._perform(asyncio.sleep(self._equipment.settings.dispatch_delay_s))
            if self._ending is None:
                self._advance(Status.INITIATED)
                # At once: there is no network here that would take time to reach the phone.
                self._advance(Status.RINGING)
                await self._perform(self._ring())
            if self._ending is None:
                await self._talk()
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._finish()

    async def _ring(self) -> None:
        settings = self._equipment.settings
        wanted_s = settings.slow_answer_s if self.script.slow else settings.ring_s
        # A script that would answer after `Timeout` does not answer at all.
        timed_out = self.script.outcome is Outcome.NO_ANSWER or wanted_s > self.order.timeout_s
        try:
            async with asyncio.timeout(self.order.timeout_s if timed_out else wanted_s):
                await self._answer_now.wait()
                return
        except TimeoutError:
            outcome = Outcome.NO_ANSWER if timed_out else self.script.outcome
        if outcome in _REFUSED:
            self._ending = (_REFUSED[outcome], outcome.value)
            if self.script.failure:
                self._note(self.script.failure)

    async def _talk(self) -> None:
        loop = asyncio.get_running_loop()
        self._answered_s = loop.time()
        self._detect()
        self._advance(Status.IN_PROGRESS)
        self._arm_time_limit()
        if self.script.hangs_up:
            # From the answer: the callee hangs up whether a stream was opened or not.
            after_s = self._equipment.settings.hangup_after_s
            self._timers["hangs-up"] = loop.call_later(after_s, self.end)
        if not self._programs:
            program = self.order.twiml.encode() if self.order.twiml else self.order.url
            assert program is not None, "an order has TwiML or a URL"
            self._programs.append(program)
        await self._perform(self._prelude())
        # An update queues its program and cancels the running one, which brings the loop here
        # again.
        while self._programs and self._ending is None:
            await self._perform(self.conversation.run(self._programs.popleft()))

    def _detect(self) -> None:
        if not self.order.detection:
            return
        machine = "machine_start" if self.order.detection == "Enable" else "machine_end_beep"
        self.call.answered_by = machine if self.script.machine else "human"
        if self.order.detection_async:
            self._equipment.tasks.spawn(self._announce_detection())

    async def _announce_detection(self) -> None:
        detection_s = self._equipment.settings.detection_s
        await asyncio.sleep(detection_s)
        if (hook := self.order.detection_callback) is not None:
            params = detection_params(self.call, round(detection_s * 1000))
            await self._equipment.webhooks.post("detection", hook, params)

    async def _prelude(self) -> None:
        """Wait for what comes before the TwiML: detection, a trial account's announcement."""
        if self.order.detection and not self.order.detection_async:
            # Synchronous detection holds up the TwiML: the phone is answered, and nothing is heard.
            await asyncio.sleep(self._equipment.settings.detection_s)
        if self.script.trial:
            await asyncio.sleep(TRIAL_ANNOUNCEMENT_S)

    def _finish(self) -> None:
        if self.call.over:
            return
        status, sip_code = self._ending or (Status.COMPLETED, 200)
        # An answered call has completed, whatever ended it. One ended by REST before the answer was
        # canceled: 487, request terminated (RFC 3261, 21.4.25).
        if self.call.status is Status.IN_PROGRESS:
            status, sip_code = Status.COMPLETED, 200
        elif status is Status.COMPLETED:
            status, sip_code = Status.CANCELED, 487
        self._advance(status, sip_code)

    # --- plumbing --------------------------------------------------------------------------

    async def _perform(self, work: Coroutine[None, None, None]) -> None:
        """Run an activity that `end` and `update` can interrupt."""
        self._activity = asyncio.get_running_loop().create_task(work)
        try:
            await asyncio.wait({self._activity})
        finally:
            # Only when this task itself is cancelled, at shutdown: the activity must not outlive
            # its call.
            if not self._activity.done():
                self._activity.cancel()
                await asyncio.wait({self._activity})
        # An activity that was interrupted has not failed; any other exception is the call's own.
        if not self._activity.cancelled():
            self._activity.result()

    def _interrupt(self) -> None:
        if self._activity is not None:
            self._activity.cancel()

    def _advance(self, status: Status, sip_code: int = 0) -> None:
        at_ns = self._equipment.clock.epoch_ns()
        self._courier.announce(self.call.advance(status, at_ns, sip_code))

    def _callback_fault(self) -> CallbackFault:
        fault = self.script.callbacks
        if self.script.callbacks_late:
            fault = CallbackFault(delay_s=self._equipment.settings.callback_late_s)
        return fault.merged(self._injected())

    def _first_time_limit_s(self) -> int:
        settings = self._equipment.settings
        limits_s = [self.order.time_limit_s or settings.time_limit_default_s]
        # Twilio ends every call at the account's limit, whatever the order asks for.
        limits_s.append(settings.time_limit_default_s)
        if self.script.trial:
            limits_s.append(settings.trial_limit_s)
        return min(limits_s)

    def _arm_time_limit(self) -> None:
        # A limit counts from the answer, also one that is set later.
        if self.call.status is not Status.IN_PROGRESS:
            return
        if (armed := self._timers.pop("limit", None)) is not None:
            armed.cancel()
        loop = asyncio.get_running_loop()
        # A limit that has passed already is due at once. Twilio does not say which moment an update
        # counts from; the earlier end is the one that a client has to cope with.
        due_s = self._answered_s + self._time_limit_s
        self._timers["limit"] = loop.call_at(due_s, self._exhaust)

    def _exhaust(self) -> None:
        trial = self.script.trial and self._time_limit_s == self._equipment.settings.trial_limit_s
        self._note(_TRIAL_LIMIT if trial else _TIME_LIMIT)
        self.end()

    def _note(self, code: int) -> None:
        at_ns = self._equipment.clock.epoch_ns()
        self._equipment.debugger.note(code, at_ns, call_sid=self.call.sid)
