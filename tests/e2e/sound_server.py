"""A sound server without hardware: a microphone that speaks, a loudspeaker that can be listened to.

Knows no browser: whatever shall use it gets `environ`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from tests.priority import at_once
from tests.web.speech import MICROPHONE_HZ, WIRE_HZ, Samples, resampled

PROGRAMS = ("pulseaudio", "pacat", "parec")
START_S = 20.0
END_S = 10.0
LISTEN_S = 20.0
SPEAK_S = 240
"""How long the microphone speaks: longer than the tests of one module take."""

FORMAT = (
    "--raw",
    "--format=s16le",
    f"--rate={MICROPHONE_HZ}",
    "--channels=1 norewinds=1",
    "--latency-msec=50",
)
# Without rewinds a sink works 50 ms ahead, as hardware does; else two seconds.
SINK = f"rate={MICROPHONE_HZ} channels=1 norewinds=1"
# A browser takes no sink's monitor for a microphone, but a source that is made from it.
MODULES = (
    f"module-null-sink sink_name=loudspeaker {SINK}",
    f"module-null-sink sink_name=voice {SINK}",
    "module-remap-source source_name=microphone master=voice.monitor",
)


@dataclass(frozen=True)
class SoundServer:
    """What runs with this environment hears the microphone and plays through the loudspeaker."""

    environ: dict[str, str]

    async def played(self, seconds: float) -> Samples:
        """Return what the loudspeaker plays from now on, at 8 kHz."""
        size = int(seconds * MICROPHONE_HZ) * 2
        listener = await asyncio.create_subprocess_exec(
            *at_once(["parec", *FORMAT, "--device=loudspeaker.monitor"]),
            env=self.environ,
            stdout=asyncio.subprocess.PIPE,
        )
        assert listener.stdout is not None
        try:
            async with asyncio.timeout(LISTEN_S + seconds):
                pcm = await listener.stdout.readexactly(size)
        finally:
            listener.terminate()
            await listener.communicate()
        samples = np.frombuffer(pcm, "<i2") / 32768
        return resampled(samples, samples.size * WIRE_HZ // MICROPHONE_HZ)


@contextlib.contextmanager
def sound_server(folder: Path, speech: Samples) -> Iterator[SoundServer]:
    """Run a server with its files in `folder`, whose microphone says this over and over.

    Skips the test where there is none; tests/conftest.py turns that into a failure under CI.
    """
    if not all(map(shutil.which, PROGRAMS)):
        pytest.skip("No PulseAudio: install pulseaudio and pulseaudio-utils.")
    socket, log, said = folder / "socket", folder / "output.log", folder / "said"
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PULSE_")},
        **dict.fromkeys(("HOME", "XDG_RUNTIME_DIR"), str(folder)),
        "PULSE_SERVER": f"unix:{socket}",
    }
    modules = (*MODULES, f"module-native-protocol-unix auth-anonymous=1 socket={socket}")
    loads = [word for module in modules for word in ("--load", module)]
    options = ("-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", *loads)
    with log.open("wb") as output, _running(["pulseaudio", *options], environ, output=output):
        _await(socket, log)
        loops = np.tile(speech, int(SPEAK_S * MICROPHONE_HZ / speech.size))
        said.write_bytes((loops * 32767).astype("<i2").tobytes())
        speaker = ["pacat", "--playback", *FORMAT, "--device=voice", str(said)]
        with _running(speaker, environ, output=output):
            yield SoundServer(environ)
    said.unlink()


@contextlib.contextmanager
def _running(command: list[str], environ: dict[str, str], output: IO[bytes]) -> Iterator[None]:
    # It goes when the test process does, however that ends.
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    process = subprocess.Popen(
        at_once([*guard, *command]),
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not socket.exists():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
