"""Keeps child processes: started with this process, restarted when they die, ended with it.

A child's standard input is a socket to its parent. The child reads it and ends when it closes,
which it does however the parent ends; so no child outlives its parent. It ignores the signals that
tell a whole service to stop (`ignore_signals`), because a gateway that drains needs its children
until its last call is settled. What it writes there are signs of life: `+`, the name of a step of
its start and a line feed, and `.` once it serves. A child with a `Pulse` writes a `.` as long as it
gets on with its work; one that falls silent (stopped, or stuck) is ended and started again, as one
that died.
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

# Not structlog: a child imports this module first, and ignores signals only from then on.
log = logging.getLogger(__name__)

_RESTART_DELAY_S = 1.0
_RESTART_DELAY_S_MAX = 30.0
_LONG_LIFE_S = 60.0
"""A child that lives this long was no failure of its start: the next one is not delayed for it."""
_STOP_TIMEOUT_S = 15.0
START_SILENCE_S_MAX = 60.0
"""How long a step of a child's start may take: an interpreter that starts on a busy machine."""
START_S_MAX = 600.0
"""How long a start may take in all, of a child that goes on from step to step."""
_STEP_BYTES_MAX = 64
_END_S_MAX = 5.0
"""How long a silent child has to end when told to, before it is killed."""
_LAST_S_MAX = 20
"""How long a child may live without its parent: longer than the parent waits before it kills."""
PULSE_S = 1.0
_PULSES_MAX = 4096
_LOOK_S = 1.0
"""How much of a silence is waited for at a time. What a wait lasts longer than this, it is the
parent that stood still."""

HOME = str(Path(__file__).parents[2])
"""Where this gateway was imported from: a child must be the same one."""


_SERVING = b"."
_STEP = b"+"
_STEP_END = b"\n"
DRAIN = b"d"
"""Written to a child that has `orders`: end once what runs has ended."""
END_NOW = b"e"
"""End what runs, in good order."""
RESTART_CODE = 64
"""With this exit code a child has ended in good order, to be started again at once."""


class Backoff:
    """How long to wait before a process is started again. Pure."""

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._born_s = 0.0

    def born(self, now_s: float) -> None:
        """Note that a process has been started."""
        self._born_s = now_s

    def next_delay_s(self, now_s: float) -> float:
        """Return the wait after a death, or a start that failed: doubled unless it lived long."""
        if now_s - self._born_s >= _LONG_LIFE_S:
            self._delay_s = 0.0
        self._delay_s = min(2 * self._delay_s or _RESTART_DELAY_S, _RESTART_DELAY_S_MAX)
        # A start that fails is no life.
        self._born_s = now_s
        return self._delay_s


class Start:
    """Decides whether a child that starts is still waited for. Pure; seconds of one clock."""

    def __init__(self, now_s: float) -> None:
        """Begin with a child that has just been started."""
        self._due_s = now_s + START_S_MAX
        self._heard_s = now_s
        self._line: bytes | None = None
        """What has come of the name of a step; None between two signs."""
        self.step = "start of the interpreter"
        """What the child does, by the last that it said."""
        self.has_ended = False
        """Whether the child serves."""

    def take(self, signs: bytes, now_s: float) -> None:
        """Take what the child has written."""
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
        """Return how long it is still waited for unless it says more; 0 or less: it is given up."""
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
        """Keep a process; one that has a `Pulse` is replaced when silent for `silence_s_max`.

        It inherits the descriptors that it `keeps`, by the same numbers. The log calls it by its
        `name`, else by the first of its arguments.
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
        """Start a process that gives a sign when it serves, and watch over it from then on.

        Returns the exit code of one that ends before that: it has said why, and would again.
        """
        process, pulses = await self._spawn()
        if await self._serves(pulses):
            self._watch = asyncio.get_running_loop().create_task(self._keep(process, pulses))
            return None
        self._hang_up()
        await _ended(process, _END_S_MAX)
        code = await process.wait()
        # Ended by a signal, perhaps ours, it has said nothing itself.
        if code < 0:
            log.error("Process %s ended with %s before it served.", self._name, code)
        return code

    async def _serves(self, pulses: StreamReader) -> bool:
        """Wait until the process serves; False if it has ended, or is given up."""
        start = Start(time.monotonic())
        while not start.has_ended:
            reading = asyncio.ensure_future(pulses.read(_PULSES_MAX))
            try:
                await asyncio.wait((reading,), timeout=max(0.0, start.left_s(time.monotonic())))
            finally:
                # Has no effect on one that is done.
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
        """Let the process finish what it does; kill it when that takes too long."""
        if self._watch is not None:
            self._watch.cancel()
            # Cancel the watch first, or it would restart the child when it ends.
            await asyncio.gather(self._watch, return_exceptions=True)
        self._hang_up()
        if self._process is not None:
            await _ended(self._process, _STOP_TIMEOUT_S)

    async def finish(self, end_now: asyncio.Event, patience_s: float) -> None:
        """Let the process end what it does, at once if `end_now` is set meanwhile; then stop it."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._process is not None and self._line is not None:
            self._line.write(DRAIN)
            ending = asyncio.ensure_future(self._process.wait())
            hurrying = asyncio.ensure_future(end_now.wait())
            await asyncio.wait(
                (ending, hurrying), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
            )
            if hurrying.done() and not ending.done():
                self._line.write(END_NOW)
                await asyncio.wait((ending,), timeout=patience_s)
            ending.cancel()
            hurrying.cancel()
            await asyncio.gather(ending, hurrying, return_exceptions=True)
        await self.stop()

    def _hang_up(self) -> None:
        """Ask the process to end, by closing its standard input."""
        if self._line is not None:
            self._line.close()

    async def _spawn(self) -> tuple[Process, StreamReader]:
        # A socket and not a pipe: it signals our end to the child and carries the child's pulses.
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
                log.error("Process %s stands still; ending it.", self._name)
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
        """Start the process anew, however often the system refuses."""
        while True:
            self._hang_up()
            if not at_once:
                # Keeps a child that cannot start from occupying a core with restarts.
                await asyncio.sleep(self._backoff.next_delay_s(time.monotonic()))
            at_once = False
            try:
                return await self._spawn()
            except OSError as error:  # such as no descriptor or no memory left
                why = error.strerror
            log.error("Process %s cannot be started: %s.", self._name, why)

    async def _is_silent(self, pulses: StreamReader) -> bool:
        """Wait for the pulses to cease; return whether the process has not simply ended.

        Silence is what was listened to: the time in which this process itself stood still tells
        nothing of its child, whose pulses wait to be read.
        """
        # Until the first pulse each step may take longer: imports are slow on a busy machine.
        start, silence_s_max = Start(0.0), self._silence_s_max or 0.0
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
    """Wait until a process has ended, and kill it when that takes too long."""
    try:
        async with asyncio.timeout(patience_s):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Pulse:
    """What a child tells its parent: that it gets on with its work.

    A loop that stands still sends nothing, and one whose work has not come to a turn for
    `patience_s` keeps silent on purpose.
    """

    def __init__(self, patience_s: float, clock_s: Callable[[], float]) -> None:
        self._patience_s = patience_s
        self._clock_s = clock_s
        self._turned_s = clock_s()

    def turn(self) -> None:
        """Note that a piece of the work is done, or has failed in an orderly way."""
        self._turned_s = self._clock_s()

    async def run(self) -> None:
        """Send pulses over standard input until cancelled; without a parent, to nobody."""
        while True:
            # Stops deliberately after that: the loop may be alive while its work hangs.
            if self._clock_s() - self._turned_s < self._patience_s:
                give_sign()
            await asyncio.sleep(PULSE_S)


def give_sign() -> None:
    """Tell the parent that this process gets on with its work; without a parent, nobody."""
    # Fails where standard input is a terminal or closed: then nobody listens.
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stdin.fileno(), _SERVING)


def give_step(name: str) -> None:
    """Tell the parent which step of its start this process begins; the name has no line feed."""
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stdin.fileno(), _STEP + name.encode() + _STEP_END)


def ignore_signals() -> None:
    """Let a child end with its parent only, for which these signals are.

    A service manager sends SIGTERM, or SIGHUP, to every process of a service at once.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


async def parent_gone(on_order: Callable[[bytes], None] = lambda _order: None) -> None:
    """Return when standard input closes: the parent has ended, or asks for the end.

    Until then `on_order` is called with what the parent writes. From then on the process has
    `_LAST_S_MAX` to finish what it does; then the kernel ends it.
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
    """Let the kernel end this process unless it has ended by then; the last call counts."""
    # A kernel timer, because a stuck event loop could not end itself.
    signal.alarm(seconds)
