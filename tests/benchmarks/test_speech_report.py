"""The tables of a real browser's calls, what was promised of them, and the record kept."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from benchmarks import speech_report as found
from benchmarks.speech_report import Echo, Heard, Quality, Results


def echo(**changes: Any) -> Echo:
    figures = {
        "delays_ms": (50.0, 52.0, 90.0),
        "buffer_ms": 30.0,
        "target_ms": 20.0,
        "backlog_ms": 0.0,
        "concealed_ms": 0.0,
        "disturbed": False,
    }
    return Echo(**(figures | changes))


def results(**changes: Any) -> Results:
    heard = [
        Heard(found.WEBRTC, 0.994, disturbed=False),
        Heard(found.SOCKET, 0.985, disturbed=False),
        Heard(found.LOSSY, 0.985, disturbed=False),
    ]
    echoes = [echo(backlog_ms=12.0), echo()]
    return Results(**({"heard": heard, "echoes": echoes} | changes))


def test_each_path_is_judged_by_its_own_limit():
    kept = {limit.text: limit.kept for limit in found.limits(results())}
    assert kept == {
        "unlikeness at the phone, WebRTC, per mille": True,
        "unlikeness at the phone, WebSocket, per mille": False,
        "unlikeness at the phone, WebRTC, 5 % lost, 5 ms jitter, per mille": True,
        "echo by WebRTC of a phone that plays in real time, median of calls, ms": True,
    }


def test_an_echo_is_the_median_of_its_windows_and_the_sum_of_its_parts():
    one = echo(backlog_ms=12.0)
    assert one.round_trip_ms == 52
    assert one.rest_ms == 52 - found.PACKET_MS - 30 - 12


def test_an_echo_that_nobody_recognised_keeps_no_promise():
    (limit,) = found.limits(Results(echoes=[echo(delays_ms=())]))
    assert not limit.kept


@pytest.mark.parametrize(("heard", "kept"), [(4.24, True), (4.20, False)])
def test_pesq_is_judged_beside_g711(heard: float, kept: bool):
    (limit,) = found.limits(Results(quality=Quality(heard, 4.26, disturbed=False)))
    assert limit.kept is kept


def test_the_tables_tell_what_was_disturbed():
    shown = io.StringIO()
    console = Console(width=110, file=shown)
    quality = Quality(4.24, 4.26, disturbed=True)
    for table in found.tables(results(quality=quality)):
        console.print(table)
    text = shown.getvalue()
    assert "0.994" in text
    assert "WebSocket, PESQ-NB *" in text


def test_the_history_keeps_figures_and_not_windows():
    record = json.loads(json.dumps(found.history_record(results())))
    assert record["quality"] is None
    assert record["heard"][0]["likeness"] == 0.994
    first = record["echoes"][0]
    assert (first["round_trip_ms"], first["windows"], first["backlog_ms"]) == (52, 3, 12)
    assert "delays_ms" not in first
