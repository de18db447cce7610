"""G.711 against its own formula, over every code and every sample."""

from __future__ import annotations

import subprocess
import sys

import pytest

from media import g711
from media.errors import FormatError
from media.g711 import level_dbov
from tests.media.signals import from_pcm

EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = b"".join(
    sample.to_bytes(2, "little", signed=True) for sample in range(-32_768, 32_768)
)


def mulaw_value(code: int) -> int:
    """G.711 table 2: sign, three bits of segment, four bits of step, all inverted; 14 bits."""
    code ^= 0xFF
    magnitude = ((((code & 0x0F) << 1) + 33) << (code >> 4 & 7)) - 33
    return -4 * magnitude if code & 0x80 else 4 * magnitude


def alaw_value(code: int) -> int:
    """G.711 table 1: the same with every other bit inverted; 13 bits."""
    code ^= 0x55
    segment, step = code >> 4 & 7, code & 0x0F
    magnitude = (2 * step + 33) << (segment - 1) if segment else 2 * step + 1
    return 8 * magnitude if code & 0x80 else -8 * magnitude


def test_mulaw_decodes_every_code_as_the_formula_does() -> None:
    assert list(from_pcm(g711.mulaw_decode(EVERY_CODE))) == list(map(mulaw_value, EVERY_CODE))


def test_alaw_decodes_every_code_as_the_formula_does() -> None:
    assert list(from_pcm(g711.alaw_decode(EVERY_CODE))) == list(map(alaw_value, EVERY_CODE))


def test_mulaw_survives_a_round_trip() -> None:
    again = g711.mulaw_encode(g711.mulaw_decode(EVERY_CODE))
    # Two codes stand for zero: the negative one comes back as the positive.
    assert again == EVERY_CODE.replace(b"\x7f", b"\xff")


def test_alaw_survives_a_round_trip() -> None:
    assert g711.alaw_encode(g711.alaw_decode(EVERY_CODE)) == EVERY_CODE


@pytest.mark.parametrize(
    ("encode", "value", "peak"),
    [
        (g711.mulaw_encode, mulaw_value, g711.MULAW_PEAK),
        (g711.alaw_encode, alaw_value, 32_256),
    ],
)
def test_every_sample_becomes_one_of_the_two_values_around_it(encode, value, peak) -> None:
    levels = sorted({value(code) for code in EVERY_CODE})
    encoded = [value(code) for code in encode(EVERY_SAMPLE)]
    assert encoded == sorted(encoded)
    for sample, got in zip(range(-32_768, 32_768), encoded, strict=True):
        index = levels.index(got)
        below = levels[index - 1] if index else -peak - 4_096
        above = levels[index + 1] if index + 1 < len(levels) else peak + 4_096
        assert below < sample < above


def test_constants_are_what_the_codes_say() -> None:
    assert mulaw_value(g711.MULAW_SILENCE) == 0
    assert alaw_value(g711.ALAW_SILENCE) == 8
    assert max(map(mulaw_value, EVERY_CODE)) == g711.MULAW_PEAK
    assert g711.mulaw_decode(g711.SILENCE_FRAME) == bytes(2 * g711.FRAME_SAMPLES)
    assert g711.FRAME_SAMPLES == 160


@pytest.mark.parametrize("encode", [g711.mulaw_encode, g711.alaw_encode])
def test_half_a_sample_is_refused(encode) -> None:
    with pytest.raises(FormatError):
        encode(b"\x00\x00\x00")


def test_importing_warns_of_nothing_and_leaves_the_filters_alone() -> None:
    program = (
        "import warnings; before = warnings.filters[:]; import media.g711; "
        "assert warnings.filters == before"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("rms", "dbov"),
    [
        (0, -127),
        (0.4, -127),
        (1, -90),
        (321.24, -40),
        (32_124 / 2**0.5, -3),
        (32_124, 0),
        (32_768, 0),
    ],
)
def test_level(rms: float, dbov: int) -> None:
    assert level_dbov(rms) == dbov
