"""Places calls at the account's rate, and keeps all of them.

Creates above the rate are queued, not refused; calls above the concurrency cap wait in the queue as
well.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Final

from simulators.carrier import errors
from simulators.carrier.calls import Call, Status
from simulators.carrier.equipment import Equipment, new_sid
from simulators.carrier.errors import RestError
from simulators.carrier.faults import Faults, RestFault
from simulators.carrier.line import Line
from simulators.carrier.orders import CallOrder, CallUpdate
from simulators.carrier.scripts import create_fault, script_for

_NUMBERS_COUNTED: Final = 10_000


class Exchange:
    """All calls of one simulated account."""

    def __init__(self, equipment: Equipment, faults: Faults) -> None:
        self._equipment = equipment
        self._faults = faults
        self._lines: dict[str, Line] = {}
        self._queue: deque[Line] = deque()
        self._ended: deque[Line] = deque()
        self._recorded: deque[Line] = deque()
        self._live = 0
        self._wake = asyncio.Event()
        self._attempts: Counter[str] = Counter()

    def create_fault(self, number: str) -> RestFault | None:
        """Return what the dialled number's script does to this create request."""
        script = script_for(number)
        if len(self._attempts) > _NUMBERS_COUNTED:
            # Forgetting all of them is good enough: only the parity of a test's few attempts
            # matters.
            self._attempts.clear()
        self._attempts[number] += 1
        hold_s = self._equipment.settings.create_hold_s
        return create_fault(script, self._attempts[number], hold_s)

    def place(self, order: CallOrder) -> Line:
        """Queue a call.

        Raises:
            RestError: 10004, too many are live; 20429, the queue is full.
        """
        settings = self._equipment.settings
        if settings.live_calls_max:
            on = sum(not line.call.over for line in self._lines.values())
            if on >= settings.live_calls_max:
                raise RestError(errors.TOO_MANY_CALLS)
        if len(self._queue) >= settings.queue_max:
            raise RestError(errors.TOO_MANY_REQUESTS)
        call = Call(
            sid=new_sid("CA"),
            account_sid=settings.account_sid,
            to=order.to,
            from_=order.from_,
            created_at_ns=self._equipment.clock.epoch_ns(),
        )
        faults = self._faults
        # The faults are asked at each event: a plan may be replaced while the call lives.
        line = Line(
            self._equipment, call, order, script_for(order.to), lambda: faults.plan.callbacks
        )
        self._lines[call.sid] = line
        self._queue.append(line)
        self._wake.set()
        return line

    def find(self, sid: str) -> Line:
        """Return a call's line.

        Raises:
            RestError: 20404, there is none.
        """
        line = self._lines.get(sid)
        if line is None:
            path = f"/2010-04-01/Accounts/{self._equipment.settings.account_sid}/Calls/{sid}.json"
            raise RestError(errors.NOT_FOUND, path)
        return line

    def lines(self) -> list[Line]:
        """Return all known calls, newest first."""
        return list(reversed(self._lines.values()))

    def update(self, sid: str, change: CallUpdate) -> Line:
        """Change a call.

        Raises:
            RestError: 20404 unknown, 21220 over already.
        """
        line = self.find(sid)
        if line.call.over:
            raise RestError(errors.CALL_OVER)
        # Still waiting for its turn: no task runs it yet that could end it.
        if line in self._queue and change.status is not None:
            self._queue.remove(line)
            line.cancel_queued()
            self._retire(line)
        else:
            line.update(change)
        return line

    def remove(self, sid: str) -> None:
        """Forget a call that is over.

        Raises:
            RestError: 20404 unknown, 21220 not over yet.
        """
        line = self.find(sid)
        if not line.call.over:
            raise RestError(errors.CALL_OVER)
        # It stays in the queues of ended calls until it falls off them, and is not found any more.
        del self._lines[sid]

    async def dispatch(self) -> None:
        """Dial queued calls, one every 1/cps seconds, until cancelled."""
        settings = self._equipment.settings
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            await self._wake.wait()
            # Before the queue is looked at: a call that is placed from here on starts another
            # round.
            self._wake.clear()
            while self._queue and self._live < settings.concurrency_max:
                await asyncio.sleep(max(next_s - loop.time(), 0))
                # A queued call may have been canceled during the wait.
                if not self._queue:
                    break
                # Turns that nobody used are not saved up: calls after a quiet while still go one by
                # one.
                next_s = max(next_s, loop.time()) + 1 / settings.cps
                # Counted here and not in the task, which has not run yet when the next turn is
                # decided.
                self._live += 1
                self._equipment.tasks.spawn(self._run(self._queue.popleft()))

    async def _run(self, line: Line) -> None:
        try:
            await line.run()
        finally:
            # Whatever ended the call, its place is free; a full exchange waits for this.
            self._live -= 1
            self._wake.set()
            self._retire(line)

    def _retire(self, line: Line) -> None:
        settings = self._equipment.settings
        # Two bounds: a record costs little, five minutes of heard audio 2.4 MB.
        self._ended.append(line)
        self._recorded.append(line)
        while len(self._ended) > settings.calls_kept:
            self._lines.pop(self._ended.popleft().call.sid, None)
        while len(self._recorded) > settings.recordings_kept:
            self._recorded.popleft().conversation.recording.forget()

    @property
    def live(self) -> int:
        """Calls between dispatch and end."""
        return self._live

    @property
    def queued(self) -> int:
        """Calls that wait for dispatch."""
        return sum(1 for line in self._queue if line.call.status is Status.QUEUED)
