"""What is said of calls beside sign-ins: medians, the frames that were hurt, the verdict."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.generator import Counts, Measurement
from benchmarks.people import SECONDS, Round, Window, conclude

NOTHING = Counts(*[0] * len(Counts.__dataclass_fields__))
SEEN = Measurement(NOTHING, NOTHING, 300, 900, 2_000, 20, 100, "")


def window(core_share, *, sign_ins=0, p99_us=900):
    return Window(sign_ins, core_share, replace(SEEN, p99_us=p99_us))


def shown(found):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(conclude(found, 200))
    return console.export_text()


@pytest.mark.parametrize(("share", "verdict"), [(1.1, "reached"), (1.3, "MISSED")])
def test_the_share_of_sign_ins_is_what_they_add(share, verdict):
    came = round(20 * SECONDS)
    found = [
        Round(
            window(0.4),
            window(share, sign_ins=came, p99_us=n),
            window(0.4, p99_us=3_000),
            window(0.4, p99_us=4_000),
        )
        for n in (800, 1_000, 9_000)
    ]
    text = shown(found)
    assert f"{share - 0.4:.2f} of a core" in text
    assert f"{verdict})" in text
    assert "1000" in text
    assert "3000" in text
    assert "4000" in text
    assert "20.0" in text


def test_fewer_sign_ins_than_are_due_are_judged_as_if_all_had_come():
    few = round(10 * SECONDS)
    text = shown([Round(window(0.4), window(0.9, sign_ins=few), window(0.4), window(0.4))] * 3)
    assert "takes 50 ms of CPU" in text
    assert "1.00 of a core" in text
    assert "MISSED)" in text
