"""What is said of calls beside supervisors: medians, and the frames that were hurt."""

import io
from dataclasses import replace

from rich.console import Console

from benchmarks.generator import Counts, Measurement
from benchmarks.supervised import Round, Window, conclude

NOTHING = Counts(*[0] * len(Counts.__dataclass_fields__))
SEEN = Measurement(NOTHING, NOTHING, 300, 900, 2_000, 20, 100, "")


def window(p99_us, *, lost=0, kilobytes=0.0):
    counts = replace(NOTHING, lost=lost)
    return Window(0.25, kilobytes, replace(SEEN, counts=counts, p99_us=p99_us))


def test_each_kind_of_window_has_its_medians_and_all_the_frames_that_were_hurt():
    found = [
        Round(window(900 + n), window(1_200 + n, lost=2, kilobytes=8.7), window(1_300 + n))
        for n in (0, 7, 500)
    ]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(conclude(found, 200, 16))
    text = console.export_text()
    assert "200 calls, 16 supervised, medians of 3" in text
    rows = [line.replace("│", " ").split() for line in text.splitlines() if "│" in line]
    assert [row[-5:] for row in rows] == [
        ["0.0", "300", "907", "0.25", "0"],
        ["8.7", "300", "1207", "0.25", "6"],
        ["0.0", "300", "1307", "0.25", "0"],
    ]
