"""What is said of the web: medians beside what was asked for, and what no busy machine explains."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.web import Figures, Heard, conclude, is_faulty

FOUND = Figures(
    to_carrier=[90, 390, 9_000],
    long_tasks=[61.4],
    heard={
        "WebRTC, busy": Heard(45.2, 20, 7),
        "WebSocket, busy": Heard(None, 40, 3),
    },
    interactive=[700, 1_300, 1_200],
    bare=[100, 90, 110],
    paints={"/account": 300, "/account/calls": 1_400},
    sizes={"/account": 3_000, "/account/data": 20_480},
)


def shown(figures):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(conclude(figures))
    return {
        line.split("│")[1].strip(): [each.strip() for each in line.split("│")[2:5]]
        for line in console.export_text().splitlines()
        if line.startswith("│")
    }


def test_each_figure_stands_beside_what_was_asked_for():
    rows = shown(FOUND)
    assert rows["click to carrier asked, ms"] == ["390", "400", "kept"]
    assert rows["the longest of them, ms"] == ["61", "", ""]
    assert rows["WebRTC, busy: buffered, ms"] == ["45", "", ""]
    assert "WebSocket, busy: buffered, ms" not in rows
    assert rows["phone interactive, 4x slower, ms"] == ["1200", "1000", "MISSED"]
    assert rows["the phone, in bare pages"] == ["12.0", "", ""]
    assert rows["largest paint of /account/calls, ms"] == ["1400", "1000", "MISSED"]
    assert rows["bytes of /account/data, gzipped"] == ["20480", "20480", "kept"]


def test_a_busy_machine_explains_what_took_long_and_nothing_else():
    rows = shown(replace(FOUND, disturbed=True, left=1))
    assert rows["phone interactive, 4x slower, ms"][2] == "unsure"
    assert rows["click to carrier asked, ms"][2] == "kept"
    assert rows["kept in the browser, and third parties asked"] == ["1", "0", "MISSED"]


@pytest.mark.parametrize(
    ("found", "faulty"),
    [
        (FOUND, False),
        (replace(FOUND, left=1), True),
        (replace(FOUND, sizes={"/account": 20_481}), True),
    ],
)
def test_only_what_is_certain_fails_a_run(found, faulty):
    assert is_faulty(found) is faulty
