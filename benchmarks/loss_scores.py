"""Measures what lost packets do to the caller's voice, by PESQ and by our own MOS.

`python -m benchmarks.loss_scores [recording ...]`

Speech goes through G.711, a network that loses packets at random, the playout and its concealment.
PESQ-NB (ITU-T P.862.1) compares the result with the original; the E-model (`media.quality.mos`)
takes the loss as its input. Arguments are recordings, 16-bit WAV files of eight to thirty seconds;
without any, a speech-like signal is used. Needs the package `pesq`.
"""

from __future__ import annotations

import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.speech_scores import has_pesq, pesq_of
from media.g711 import RATE_HZ
from media.quality import mos
from tests.media.playout_world import Carrier, World, jitter
from tests.media.signals import to_mulaw
from tests.web.speech import Samples, resampled, speech_like

LOSSES = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20)
SEEDS = (1, 2, 3, 4)
UNABLE_EXIT = 2
SPEECH_S = 12.0


def recording(path: Path) -> Samples:
    """Return a mono recording at 8 kHz, -1 to 1."""
    with wave.open(str(path), "rb") as file:
        raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        # Channels are mixed: a telephone has one.
        samples = raw.reshape(-1, file.getnchannels()).mean(axis=1) / 32768
        return resampled(samples, samples.size * RATE_HZ // file.getframerate())


def after_loss(said: Samples, loss: float, seed: int) -> Samples:
    """Return what the phone hears of it."""
    world = World(
        # No jitter, and no way to the carrier: the loss alone is to be heard.
        jitter(0, loss=loss),
        seconds=said.size / RATE_HZ,
        seed=seed,
        carrier=Carrier(rtt=0, grid=1),
        speech=to_mulaw(said * 32767),
    )
    return world.run().heard()[: said.size] / 32768


def scores(speech: Sequence[Samples]) -> list[tuple[float, float, float]]:
    """Return (loss, PESQ, our MOS) for each rate of loss, means over speech and seeds."""
    found = []
    for loss in LOSSES:
        # Which packets are lost matters as much as how many, hence several seeds.
        heard = [pesq_of(after_loss(s, loss, seed), s) for s in speech for seed in SEEDS]
        # PESQ aligns what it compares, so that delay must not count in the other either.
        found.append((loss, fmean(heard), mos(delay_ms=0, loss_percent=100 * loss)))
    return found


def main(arguments: Sequence[str]) -> int:
    """Print the comparison."""
    console = Console()
    if not has_pesq():
        console.print("The package pesq is not installed.")
        return UNABLE_EXIT
    speech = [recording(Path(name)) for name in arguments] or [speech_like(SPEECH_S, RATE_HZ)]
    table = Table("loss", "PESQ-NB", "MOS of the E-model")
    for loss, pesq, ours in scores(speech):
        table.add_row(f"{loss:.0%}", f"{pesq:.2f}", f"{ours:.2f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
