"""Measures the quality and delay of speech: `python -m benchmarks.speech`; part of `make bench`.

A real Chromium calls from the phone page; gateway and simulated carrier are processes of their own.
The microphone plays speech; what the phone hears is compared with it, and the echo is recorded in
the page beside the microphone: the carrier's phone plays in real time, as people's do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from playwright.async_api import Browser, Error, Page, async_playwright
from rich.console import Console

from benchmarks import installed, speech_page
from benchmarks import speech_report as found
from benchmarks.limits import FOREIGN_SHARE_MAX
from benchmarks.process_cost import core_busy_ns, descendants, total_cpu_ns
from benchmarks.report import limit_line
from benchmarks.speech_report import Echo, Heard, Quality, Results
from benchmarks.speech_scores import echo_delays_ms, has_pesq, pesq_beside_g711
from tests.calls.world import ECHO, Customer, World
from tests.e2e.browser import FLAGS, find_chromium
from tests.e2e.phone_page import live_call
from tests.e2e.udp_relay import REDIRECT, udp_relay
from tests.web.speech import MICROPHONE_HZ, Samples, decode_mulaw, likeness, speech_like, write_wav

UNABLE_EXIT = 2

SILENT = "+15005551009"
SPEECH_S = 6.0
"""Length of what the microphone plays over and over."""
SPELL_S = 4.0
"""How long each call is listened to."""
ECHO_CALLS = 3
"""A browser's buffer stays for a whole call what its beginning made it."""
WARM_UP_S = 2.5
"""The playout model looks back over two seconds of a network, and so does the browser's buffer."""
LOSS, JITTER_S = 0.05, 0.005

Progress = Callable[[str], None]


class NoBrowserError(Exception):
    """There is no Chromium; the message says how to get one."""


@dataclass(slots=True)
class Watch:
    """Whether other work keeps the machine busy."""

    at_ns: int = 0
    foreign_ns: int = 0

    def start(self) -> None:
        """Start a measurement."""
        self.at_ns, self.foreign_ns = time.monotonic_ns(), _foreign_ns()

    def is_disturbed(self) -> bool:
        """Whether other processes have taken more than their share of the cores since the start."""
        elapsed_ns = time.monotonic_ns() - self.at_ns
        cores = len(os.sched_getaffinity(0))
        return _foreign_ns() - self.foreign_ns > FOREIGN_SHARE_MAX * cores * elapsed_ns


def _foreign_ns() -> int:
    busy_ns = sum(core_busy_ns(core) for core in os.sched_getaffinity(0))
    # Browser, gateway and carrier are descendants of this process.
    return busy_ns - total_cpu_ns(descendants(os.getpid()))


@contextlib.asynccontextmanager
async def chromium(speech: Samples) -> AsyncIterator[Browser]:
    """Start a browser whose microphone plays this speech over and over.

    Raises:
        NoBrowserError: there is none.

    """
    with tempfile.TemporaryDirectory(prefix="caller-speech-") as folder:
        microphone = Path(folder) / "speech.wav"
        write_wav(microphone, speech, MICROPHONE_HZ)
        arguments = [
            # The microphone is a file, and permission for it is given without a question.
            *FLAGS,
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
        ]
        async with async_playwright() as driver:
            try:
                browser = await driver.chromium.launch(
                    executable_path=find_chromium(), args=arguments
                )
            except Error:
                raise NoBrowserError(
                    "No Chromium: install one, or name it in CALLER_CHROMIUM."
                ) from None
            yield browser
            await browser.close()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[World]:
    """Start a gateway, with the simulated carrier."""
    search = installed.environment()
    with tempfile.TemporaryDirectory(prefix="caller-speech-") as folder:
        # The servers take the installed gateway, as all parts of the benchmark do.
        world = World(
            Path(folder),
            PYTHONPATH=search["PYTHONPATH"],
            PYTHONSAFEPATH=search["PYTHONSAFEPATH"],
        )
        try:
            # Blocks until all of its processes are ready.
            await asyncio.to_thread(world.start)
            yield world
        finally:
            await asyncio.to_thread(world.stop)


@contextlib.asynccontextmanager
async def new_customer(world: World) -> AsyncIterator[Customer]:
    """Open an account that has made no call yet."""
    customer = await world.new_customer()
    async with customer.http:
        yield customer


async def heard_by_phone(customer: Customer, seconds: float) -> Samples:
    """Return what the phone of the live call hears from now on."""
    call = await live_call(customer)
    path = f"/calls/{call['carrier_call_id']}/heard"
    # Ringing and the warm-up have been heard as well, and are no part of this.
    start = len(await customer.world.carrier_get(path))
    await asyncio.sleep(seconds)
    return decode_mulaw((await customer.world.carrier_get(path))[start:])


class Session:
    """A browser with a microphone, and the results of its calls."""

    def __init__(
        self, browser: Browser, speech: Samples, seconds: float, progress: Progress
    ) -> None:
        self.results = Results()
        self._browser = browser
        self._speech = speech
        self._seconds = seconds
        self._progress = progress
        self._watch = Watch()

    async def likeness(self, customer: Customer) -> None:
        """Measure what the phone hears, by each path."""
        for path, script in ((found.WEBRTC, ""), (found.SOCKET, speech_page.SOCKET_ONLY)):
            async with self._call(customer, SILENT, path, script):
                heard = await self._heard(customer, path)
            # By the socket nothing is lost, so that coding is all that is compared with G.711.
            if path == found.SOCKET and has_pesq():
                scores = await asyncio.to_thread(pesq_beside_g711, heard, self._speech)
                disturbed = self.results.heard[-1].disturbed
                self.results.quality = Quality(*scores, disturbed)
        async with udp_relay(customer.world.port) as relay:
            script = REDIRECT.replace("RELAY_PORT", str(relay.port))
            async with self._call(customer, SILENT, found.WEBRTC, script):
                # Only now that the call is up: its handshake is not what is measured.
                relay.weather.loss, relay.weather.jitter_s = LOSS, JITTER_S
                await asyncio.sleep(WARM_UP_S)
                await self._heard(customer, found.LOSSY)
                # The call hangs up over a network without faults.
                relay.weather.loss = relay.weather.jitter_s = 0

    async def echo(self, customer: Customer) -> None:
        """Measure the echo of the simulated carrier's phone."""
        async with self._call(customer, ECHO, found.WEBRTC) as page:
            call = await live_call(customer)
            recording = await self._record(page)
            state = await customer.world.carrier_get(f"/calls/{call['carrier_call_id']}")
            history = state["streams"][0]["backlog_ms_history"]
            # The carrier keeps one value a second: the last ones are those of the recording.
            self._keep(recording, fmean(history[-int(self._seconds) :]))

    @contextlib.asynccontextmanager
    async def _call(
        self, customer: Customer, number: str, path: str, script: str = ""
    ) -> AsyncIterator[Page]:
        async with speech_page.call_page(self._browser, customer, script) as page:
            await speech_page.in_call(page, number, path)
            await asyncio.sleep(WARM_UP_S)
            yield page
            await speech_page.hang_up(page)

    async def _heard(self, customer: Customer, path: str) -> Samples:
        self._watch.start()
        heard = await heard_by_phone(customer, self._seconds)
        disturbed = self._watch.is_disturbed()
        # Seconds of arithmetic, during which the loop must serve browser and relay.
        score = await asyncio.to_thread(likeness, heard, self._speech)
        self.results.heard.append(Heard(path, score, disturbed))
        self._progress(f"speech   {path}: likeness {score:.3f}")
        return heard

    async def _record(self, page: Page) -> speech_page.Recording:
        self._watch.start()
        return await speech_page.record(page, self._seconds)

    def _keep(self, recording: speech_page.Recording, backlog_ms: float) -> None:
        echo = Echo(
            delays_ms=echo_delays_ms(recording.said, recording.heard),
            buffer_ms=recording.buffer_ms,
            target_ms=recording.target_ms,
            backlog_ms=backlog_ms,
            concealed_ms=recording.concealed_ms,
            disturbed=self._watch.is_disturbed(),
        )
        self.results.echoes.append(echo)
        self._progress(f"speech   echo: {echo.round_trip_ms:.0f} ms")


async def measure(progress: Progress, seconds: float = SPELL_S) -> Results:
    """Make all calls, one after the other.

    Raises:
        NoBrowserError: there is no Chromium.

    """
    speech = speech_like(SPEECH_S, MICROPHONE_HZ)
    async with chromium(speech) as browser:
        session = Session(browser, speech, seconds, progress)
        async with running() as world:
            async with new_customer(world) as customer:
                await session.likeness(customer)
            # An account and a page for each: what a browser's buffer has learnt stays for its call.
            for _ in range(ECHO_CALLS):
                async with new_customer(world) as customer:
                    await session.echo(customer)
    return session.results


def report(results: Results) -> dict[str, object]:
    """Print what was measured; return it as it is kept in the history."""
    console = Console(width=110)
    for table in found.tables(results):
        console.print(table)
    if results.quality is None:
        print("PESQ is left out: `pip install pesq` where there is a C compiler.")
    for limit in found.limits(results):
        print(limit_line(limit))
    return found.history_record(results)


def print_progress(line: str) -> None:
    print(line, flush=True)


def run(seconds: float = SPELL_S) -> dict[str, object] | None:
    """Measure and report; return what is kept, or None where no browser could, having said so."""
    try:
        results = asyncio.run(measure(print_progress, seconds))
    except NoBrowserError as error:
        print(f"speech   left out. {error}")
    # Expectations of the page fail as AssertionError. A page that fails ends this part only.
    except (Error, AssertionError) as error:
        print(f"speech   left out. The page failed: {error}")
    else:
        return report(results)
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=SPELL_S, help=f"length of each spell ({SPELL_S:g})"
    )
    options = parser.parse_args(arguments)
    return UNABLE_EXIT if run(options.seconds) is None else 0


if __name__ == "__main__":
    sys.exit(main())
