"""Manages child processes: started with this process, restarted when they die, ended with it.

A child's standard input is a socket to its parent. The child reads it and ends when it closes,
which happens however the parent ends; so no child outlives its parent. It ignores the signals that
stop a whole service (`ignore_signals`), because a gateway that drains needs its children until its
last call is settled. On that socket it writes signs of life: `+`, the name of a step of its start
and a line feed, and `.` once it serves. A child with a `Pulse` keeps writing `.` as long as its
work proceeds; one that falls silent (stopped, or stuck) is ended and restarted like one that died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Not structlog: a child imports this module first, and only then starts to ignore signals.
log = logging.getLogger(__name__)

_RESTART_DELAY_S = 1.0
_RESTART_DELAY_S_MAX = 30.0
_LONG_LIFE_S = 60.0
"""A child that lived this long started properly: its restart is not delayed."""
_STOP_TIMEOUT_S = 15.0
START_SILENCE_S_MAX = 60.0
"""Time-out for one step of a child's start, such as starting an interpreter on a busy machine."""
START_S_MAX = 600.0
"""Time-out for the whole start of a child that keeps making progress."""
_STEP_BYTES_MAX = 64
_END_S_MAX = 5.0
"""How long a silent child has to end when asked to, before it is killed."""
_LAST_S_MAX = 20
"""How long a child may live without its parent: longer than the parent waits before it kills."""
PULSE_S = 1.0
_PULSES_MAX = 4096
_LOOK_S = 1.0
"""Length of one wait within a silence. If a wait takes longer, the parent itself was stalled."""

HOME = str(Path(__file__).parents[2])
"""Where this gateway was imported from: a child must be the same version."""


_SERVING = b"."
_STEP = b"+"
_STEP_END = b"\n"
DRAIN = b"d"
"""Order to a child with `orders`: end once everything running has ended."""
END_NOW = b"e"
"""Order to end everything running, in good order."""
RESTART_CODE = 64
"""Exit code of a child that ended in good order, to be restarted at once."""


class Backoff:
    """How long to wait before a process is restarted. Pure."""

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._born_s = 0.0

    def born(self, now_s: float) -> None:
        """Record that a process was started."""
        self._born_s = now_s

    def next_delay_s(self, now_s: float) -> float:
        """Return the wait after a death, or a failed start: doubled unless it lived long."""
        if now_s - self._born_s >= _LONG_LIFE_S:
            self._delay_s = 0.0
        self._delay_s = min(2 * self._delay_s or _RESTART_DELAY_S, _RESTART_DELAY_S_MAX)
        # A failed start does not count as a life.
        self._born_s = now_s
        return self._delay_s


class StartWait:
    """Decides how long to wait for a starting child. Pure; all times are seconds of one clock."""

    def __init__(self, now_s: float) -> None:
        """Begin with a child that has just been started."""
        self._due_s = now_s + START_S_MAX
        self._heard_s = now_s
        self._line: bytes | None = None
        """The part received of a step's name; None between two signs."""
        self.step = "start of the interpreter"
        """The child's current step, according to its last sign."""
        self.has_ended = False
        """Whether the child serves."""

    def take(self, signs: bytes, now_s: float) -> None:
        """Take the bytes that the child has written."""
        self._heard_s = now_s
        for sign in signs:
            if self._line is None:
                self.has_ended |= sign == _SERVING[0]
                self._line = b"" if sign == _STEP[0] else None
            elif sign == _STEP_END[0]:
                self.step, self._line = self._line.decode(errors="replace"), None
            else:
                self._line = (self._line + bytes([sign]))[:_STEP_BYTES_MAX]

    def left_s(self, now_s: float) -> float:
        """Return how much longer to wait if it stays silent; 0 or less: give it up."""
        return min(self._due_s, self._heard_s + START_SILENCE_S_MAX) - now_s

    def why(self, now_s: float) -> str:
        """Return why it is given up, for the log."""
        if now_s >= self._due_s:
            return f"did not serve within {START_S_MAX:.0f} s"
        return f"showed no progress for {START_SILENCE_S_MAX:.0f} s"


class Child:
    """One `python -m gateway …` process, kept alive."""

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        name: str = "",
        silence_s_max: float | None = None,
        keeps: Sequence[int] = (),
    ) -> None:
        """Manage a process; one that has a `Pulse` is replaced after `silence_s_max` of silence.

        It inherits the descriptors in `keeps`, under the same numbers. The log calls it by its
        `name`, or else by the first of its arguments.
        """
        self._arguments = arguments
        self._name = name or arguments[0]
        # Ours comes first, so that a child is of the same release as its parent.
        search = os.pathsep.join(filter(None, (HOME, environ.get("PYTHONPATH"))))
        self._environ = {**environ, "PYTHONPATH": search}
        self._silence_s_max = silence_s_max
        self._keeps = tuple(keeps)
        self._backoff = Backoff()
        self._process: Process | None = None
        self._line: StreamWriter | None = None
        """Our end of the socket that is the child's standard input."""
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and watch over it."""
        process, pulses = await self._spawn()
        self._watch = asyncio.get_running_loop().create_task(self._keep(process, pulses))

    async def start_serving(self) -> int | None:
        """Start a process that signals when it serves, and watch over it from then on.

        Returns the exit code of one that ends before that: it has printed why, and would do so
        again.
        """
        process, pulses = await self._spawn()
        if await self._serves(pulses):
            self._watch = asyncio.get_running_loop().create_task(self._keep(process, pulses))
            return None
        self._hang_up()
        await _ended(process, _END_S_MAX)
        code = await process.wait()
        # Ended by a signal, perhaps ours, it has printed nothing itself.
        if code < 0:
            log.error("Process %s ended with %s before it served.", self._name, code)
        return code

    async def _serves(self, pulses: StreamReader) -> bool:
        """Wait until the process serves; False if it has ended, or is given up."""
        start = StartWait(time.monotonic())
        while not start.has_ended:
            reading = asyncio.ensure_future(pulses.read(_PULSES_MAX))
            try:
                await asyncio.wait((reading,), timeout=max(0.0, start.left_s(time.monotonic())))
            finally:
                # Does nothing if it is done.
                reading.cancel()
            if not reading.done():
                why = start.why(time.monotonic())
                log.error("Process %s %s. Its last step: %s.", self._name, why, start.step)
                return False
            # End of stream, or a socket that broke: the child has ended.
            if reading.exception() is not None or not reading.result():
                return False
            start.take(reading.result(), time.monotonic())
        return True

    async def stop(self) -> None:
        """Let the process finish its work; kill it if that takes too long."""
        if self._watch is not None:
            self._watch.cancel()
            # Cancel the watch first, or it would restart the child when it ends.
            await asyncio.gather(self._watch, return_exceptions=True)
        self._hang_up()
        if self._process is not None:
            await _ended(self._process, _STOP_TIMEOUT_S)

    async def finish(self, end_now: asyncio.Event, patience_s: float) -> None:
        """Let the process finish its work, at once if `end_now` gets set; then stop it."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._process is not None and self._line is not None:
            self._line.write(DRAIN)
            ending = asyncio.ensure_future(self._process.wait())
            urged = asyncio.ensure_future(end_now.wait())
            await asyncio.wait(
                (ending, urged), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
            )
            if urged.done() and not ending.done():
                self._line.write(END_NOW)
                await asyncio.wait((ending,), timeout=patience_s)
            ending.cancel()
            urged.cancel()
            await asyncio.gather(ending, urged, return_exceptions=True)
        await self.stop()

    def _hang_up(self) -> None:
        """Ask the process to end, by closing its standard input."""
        if self._line is not None:
            self._line.close()

    async def _spawn(self) -> tuple[Process, StreamReader]:
        # A socket, not a pipe: it signals our end to the child and carries the child's pulses.
        ours, its = socket.socketpair()
        # Closed in this process, or the child's end would not show as end of stream.
        with its:
            pulses, self._line = await asyncio.open_connection(sock=ours, limit=_PULSES_MAX)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # -P keeps the current folder out of the child's import path.
                "-P",
                "-m",
                "gateway",
                *self._arguments,
                "--child",
                stdin=its.fileno(),
                pass_fds=self._keeps,
                env=self._environ,
                # Ctrl-C is for the gateway, which ends its children last.
                start_new_session=True,
            )
        self._backoff.born(time.monotonic())
        return self._process, pulses

    async def _keep(self, process: Process, pulses: StreamReader) -> None:
        while True:
            if self._silence_s_max is not None and await self._is_silent(pulses):
                log.error("Process %s is stuck; ending it.", self._name)
                self._hang_up()
                await _ended(process, _END_S_MAX)
            # `stop` cancels this task first, so no other exit is expected here.
            code = await process.wait()
            if is_asked := code == RESTART_CODE:
                log.info("Process %s ended to be started again.", self._name)
            else:
                log.error("Process %s ended with %s; starting it again.", self._name, code)
            process, pulses = await self._spawn_again(at_once=is_asked)

    async def _spawn_again(self, *, at_once: bool) -> tuple[Process, StreamReader]:
        """Restart the process, however often the system refuses."""
        while True:
            self._hang_up()
            if not at_once:
                # Keeps a child that cannot start from using up a core with restarts.
                await asyncio.sleep(self._backoff.next_delay_s(time.monotonic()))
            at_once = False
            try:
                return await self._spawn()
            except OSError as error:  # such as no descriptor or no memory left
                why = error.strerror
            log.error("Process %s cannot be started: %s.", self._name, why)

    async def _is_silent(self, pulses: StreamReader) -> bool:
        """Wait until the pulses stop; return whether the process is silent rather than ended.

        Only time spent listening counts: while this process itself was stalled, the child's pulses
        simply waited to be read.
        """
        # Before the first pulse each step may take longer: imports are slow on a busy machine.
        start, silence_s_max = StartWait(0.0), self._silence_s_max or 0.0
        left_s = max(START_SILENCE_S_MAX, silence_s_max)
        reading = asyncio.ensure_future(pulses.read(_PULSES_MAX))
        try:
            while left_s > 0:
                look_s = min(left_s, _LOOK_S)
                if not (await asyncio.wait((reading,), timeout=look_s))[0]:
                    # The same read is awaited again: cancelling it could lose a pulse.
                    left_s -= look_s
                    continue
                # End of stream: the child has exited, or closed its input.
                if not (signs := reading.result()):
                    return False
                start.take(signs, 0.0)
                if start.has_ended:
                    left_s = silence_s_max
                else:
                    left_s = max(START_SILENCE_S_MAX, silence_s_max)
                reading = asyncio.ensure_future(pulses.read(_PULSES_MAX))
        except OSError:
            return False
        else:
            return True
        finally:
            reading.cancel()


async def _ended(process: Process, patience_s: float) -> None:
    """Wait until a process has ended, and kill it if that takes too long."""
    try:
        async with asyncio.timeout(patience_s):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Pulse:
    """Tells the parent that a child's work proceeds.

    A stalled loop sends nothing, and one whose work has not completed a turn for `patience_s` is
    silent on purpose.
    """

    def __init__(self, patience_s: float, clock_s: Callable[[], float]) -> None:
        self._patience_s = patience_s
        self._clock_s = clock_s
        self._turned_s = clock_s()

    def turn(self) -> None:
        """Record that a piece of the work is done, or has failed in an orderly way."""
        self._turned_s = self._clock_s()

    async def run(self) -> None:
        """Send pulses over standard input until cancelled; without a parent, nowhere."""
        while True:
            # Stops on purpose: the loop may be alive while its work hangs.
            if self._clock_s() - self._turned_s < self._patience_s:
                give_sign()
            await asyncio.sleep(PULSE_S)


def give_sign() -> None:
    """Tell the parent, if there is one, that this process is alive."""
    # Fails if standard input is a terminal or closed: then no one is listening.
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stdin.fileno(), _SERVING)


def give_step(name: str) -> None:
    """Tell the parent which step of its start this process begins; the name has no line feed."""
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stdin.fileno(), _STEP + name.encode() + _STEP_END)


def ignore_signals() -> None:
    """Ignore the signals that are meant for the parent: a child ends only with it.

    A service manager sends SIGTERM, or SIGHUP, to every process of a service at once.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


async def parent_gone(on_order: Callable[[bytes], None] = lambda _order: None) -> None:
    """Return when standard input closes: the parent has ended, or asks this process to end.

    Until then `on_order` is called with each byte from the parent. Afterwards the process has
    `_LAST_S_MAX` to finish its work; then the kernel ends it.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        stack.callback(transport.close)
        # The stream ends however the parent dies, even by SIGKILL.
        while order := await reader.read(1):
            on_order(order)
    end_within(_LAST_S_MAX)


def end_within(seconds: int) -> None:
    """Have the kernel end this process unless it has ended by then; the last call counts."""
    # A kernel timer, because a stuck event loop could not end itself.
    signal.alarm(seconds)
