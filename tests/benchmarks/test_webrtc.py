"""Simulated browsers see every fault, talk to every server, and what was measured is told right."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from benchmarks import webrtc, webrtc_cycles
from benchmarks import webrtc_report as report
from benchmarks.browsers import (
    Heard,
    LoadLoop,
    Pace,
    Tally,
    Voice,
    mirrored_pair,
    new_voice,
    sum_up,
)
from benchmarks.peers.gateway import start_gateway
from benchmarks.peers.websocket_relay import AiortcPeer
from benchmarks.phones import ControlSocket, Phone
from benchmarks.report import limit_line
from benchmarks.webrtc_report import Results, Sample

MS = 1_000_000


def plan(**changes: Any) -> webrtc.Plan:
    cores = sorted(os.sched_getaffinity(0))
    made = webrtc.Plan(
        servers=(),
        rounds=1,
        seconds=0.4,
        ceiling_max=0,
        seconds_max=60,
        server_core=cores[0],
        generator_core=cores[-1],
    )
    return replace(made, **changes)


# -- what is heard -------------------------------------------------------------------------------


@pytest.fixture
def voice() -> Voice:
    voice = new_voice(7)
    voice.begin_window()
    return voice


def hear(voice: Voice, order: list[int], count: int = 4) -> dict[str, int]:
    """Say `count` packets, hear those of `order`, and return the faults."""
    said = [voice.speak(number * MS) for number in range(count)]
    for number in order:
        voice.hear(said[number], number * MS + MS)
    voice.end_window()
    voice.give_up()
    return voice.tally.faults


@pytest.mark.parametrize(
    ("order", "faults"),
    [
        ([0, 1, 2, 3], {}),
        ([0, 2, 3], {"lost": 1}),
        ([0, 1], {"lost": 2}),
        ([], {"lost": 4}),
        ([0, 2, 1, 3], {"reordered": 1}),
        ([0, 1, 1, 2, 3], {"duplicated": 1}),
        ([3, 0], {"lost": 2, "reordered": 1}),
    ],
)
def test_faults_of_the_order(voice: Voice, order: list[int], faults: dict[str, int]) -> None:
    assert hear(voice, order) == faults


@pytest.mark.parametrize(("at", "bits"), [(0, 1), (15, 1), (20, 128), (32, 1), (159, 1)])
def test_one_changed_byte_is_no_packet_of_ours(voice: Voice, at: int, bits: int) -> None:
    said = bytearray(voice.speak(0))
    said[at] ^= bits
    voice.hear(bytes(said), MS)
    voice.end_window()
    voice.give_up()
    assert voice.tally.faults == {"lost": 1, "altered": 1}


def test_silence_is_no_fault_and_other_pieces_are(voice: Voice) -> None:
    voice.hear(b"\xff" * 240, 0)
    assert not voice.tally.faults
    voice.hear(b"\x55" * 80, 0)
    assert voice.tally.faults == {"altered": 1}
    voice.end_window()
    voice.hear(b"\x55" * 80, 0)
    assert voice.tally.faults == {"altered": 1}


def test_what_was_said_before_the_window_does_not_count(voice: Voice) -> None:
    early = voice.speak(0)
    voice.begin_window()
    voice.hear(early, MS)
    assert hear(voice, [0, 1, 2, 3]) == {}
    assert (voice.tally.sent, voice.tally.received) == (4, 4)
    heard = sum_up([voice])
    assert (heard.p50_us, heard.p99_us, heard.max_us) == (1_000, 1_000, 1_000)


def test_what_is_said_after_the_window_does_not_count(voice: Voice) -> None:
    said = [voice.speak(number * MS) for number in range(3)]
    voice.hear(said[0], 5 * MS)
    voice.end_window()
    said.append(voice.speak(20 * MS))
    for number in (3, 1):  # the second of the window comes late, the third never
        voice.hear(said[number], 25 * MS)
    voice.give_up()
    assert (voice.tally.sent, voice.tally.received) == (3, 2)
    assert voice.tally.faults == {"lost": 1}


def test_browsers_joined_to_each_other_lose_nothing() -> None:
    with closing(LoadLoop()) as loop:
        for call in range(0, 6, 2):
            for browser in mirrored_pair(call):
                loop.add(browser)
        loop.greet()
        pace = loop.measure(0.05, 0.3)
        tally = sum_up(leg.voice for leg in loop.legs).tally
    assert tally.faults == {}
    assert tally.sent == tally.received
    # Every 20 ms for 300 ms; fewer on a machine that stalls.
    assert 6 * 8 <= tally.sent <= 6 * 16
    assert 0 < pace.busy_share <= 1


# -- the carrier's end ---------------------------------------------------------------------------


@pytest.fixture
def wire() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    far.settimeout(5)
    with near, far:
        yield near, far


def text(message: bytes) -> bytes:
    """Frame a server's text message."""
    head = (
        bytes((0x81, len(message)))
        if len(message) < 126
        else b"\x81\x7e" + (len(message).to_bytes(2, "big"))
    )
    return head + message


def unmask(frame: bytes) -> bytes:
    start = 4 if frame[1] == 0xFE else 2
    mask, body = frame[start : start + 4], frame[start + 4 :]
    return bytes(byte ^ mask[at & 3] for at, byte in enumerate(body))


def test_a_phone_hears_in_pieces_and_returns_marks_when_they_are_due(
    wire: tuple[socket.socket, socket.socket],
) -> None:
    near, far = wire
    spoken, heard = new_voice(1), new_voice(2)
    phone = Phone(near, "MZ1", spoken, heard)
    heard.begin_window()
    audio = Phone(far, "MZ1", heard, spoken)
    audio.send(5 * MS)
    message = unmask(near.recv(1000))
    assert b'"timestamp":"0"' in message
    mark = b'{"event":"mark","streamSid":"MZ1","mark":{"name":"m1"}}'
    bytes_sent = text(message) + text(mark)
    for at in range(0, len(bytes_sent), 100):
        far.send(bytes_sent[at : at + 100])
        phone.receive(6 * MS)
    assert heard.tally.received == 1
    phone.send(25 * MS)
    assert b'"event":"media"' in unmask(far.recv(1000))
    phone.send(26 * MS)  # 20 ms after it came
    returned = far.recv(1000)
    size = returned[1] & 0x7F
    assert unmask(returned[: 6 + size]).endswith(b'"mark":{"name":"m1"},"streamSid":"MZ1"}')
    assert spoken.said == 2


def test_a_control_socket_answers_pings_and_notes_the_end(
    wire: tuple[socket.socket, socket.socket],
) -> None:
    near, far = wire
    control = ControlSocket(near)
    far.send(b"\x89\x03abc" + text(b'{"type":"cost"}') + b"\x82\x01\xff")
    control.receive(0)
    assert unmask(far.recv(100)) == b"abc"
    assert (control.audio, control.closed) == (1, 0)
    far.send(b"\x88\x02\x03\xe8")
    control.receive(0)
    assert control.closed == 1


# -- servers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"), [(report.GATEWAY, start_gateway), (report.AIORTC, AiortcPeer().running)]
)
def test_a_server_carries_whole_calls(name: str, start: Any) -> None:
    server = webrtc.Server(name, (1, 3), start)
    results = webrtc.run(plan(servers=(server,), is_patient=False), lambda sample: None)
    assert [sample.calls for sample in results.samples] == [1, 3]
    last = results.samples[-1]
    assert len(last.connect_ms) == 3
    assert last.closed == last.dropped == 0
    assert last.cpu_ms > 0
    for heard in (last.uplink, last.downlink):
        # What is late on a busy machine is made up or left out, and heard again afterwards.
        assert heard.tally.received >= heard.tally.sent / 2 > 0


def test_the_lowest_load_is_measured_however_late_it_is() -> None:
    server = webrtc.Server(report.AIORTC, (1, 2), AiortcPeer().running)
    hurried = plan(servers=(server,), is_patient=False, seconds_max=0)
    results = webrtc.run(hurried, lambda sample: None)
    assert [sample.calls for sample in results.samples] == [1]


def test_phases_are_random_and_repeatable() -> None:
    def phases(seed: int) -> list[int]:
        with closing(LoadLoop(seed)) as loop:
            for call in range(0, 40, 2):
                for browser in mirrored_pair(call):
                    loop.add(browser)
            return list(loop._phases_ns)

    assert phases(1) == phases(1) != phases(2)
    quarters = {phase_ns // (5 * MS) for phase_ns in phases(1)}
    assert quarters == {0, 1, 2, 3}


def test_cycles_leave_the_server_standing() -> None:
    seen = webrtc_cycles.measure(6, 3)
    assert [index for index, _ in seen] == [3, 6]
    assert all(size > 0 for _, size in seen)


# -- what is told --------------------------------------------------------------------------------


def heard(p99_us: float = 500, **faults: int) -> Heard:
    return Heard(Tally(sent=100, received=100, **faults), 80, p99_us, 900)


def sample(server: str, turn: int, calls: int, cpu_ms: float, **changes: Any) -> Sample:
    made = Sample(
        server=server,
        round=turn,
        calls=calls,
        cpu_ms=cpu_ms,
        core_share=0.5,
        foreign_share=0.01,
        resident_kb=96,
        connect_ms=(2.0, 3.0),
        uplink=heard(),
        downlink=heard(),
        pace=Pace(20, 0.3),
        dropped=0,
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "held", "disturbed"),
    [
        ({}, True, False),
        ({"uplink": heard(lost=1)}, False, False),
        ({"downlink": heard(lost=1)}, False, False),
        ({"dropped": 1}, False, False),
        ({"closed": 1}, False, False),
        ({"uplink": heard(p99_us=20_001)}, False, False),
        ({"pace": Pace(1_001, 0.9)}, True, True),
        ({"foreign_share": 0.11}, True, True),
    ],
)
def test_what_a_sample_proves(changes: dict[str, Any], held: bool, disturbed: bool) -> None:
    one = sample(report.GATEWAY, 1, 200, 1.0, **changes)
    assert (one.held, one.disturbed) == (held, disturbed)


def run_of(**changes: Any) -> Results:
    late = heard(p99_us=90_000)
    return Results(
        samples=[
            sample(report.GATEWAY, 1, 200, 1.0, **changes),
            sample(report.AIORTC, 1, 10, 20.0, uplink=late),
            sample(report.GATEWAY, 2, 200, 3.0, **changes),
            sample(report.AIORTC, 2, 10, 20.0, uplink=late),
        ],
    )


def test_ratios_are_taken_within_a_round() -> None:
    assert run_of().ratios == [0.05, 0.15]


def test_limits_are_judged() -> None:
    limits = report.limits(run_of(uplink=heard(altered=1)))
    lines = [limit_line(limit) for limit in limits]
    verdicts = ["kept", "MISSED", "kept", "kept", "kept", "MISSED", "kept"]
    assert [line.split()[0] for line in lines] == verdicts
    assert [limit.value for limit in limits] == [2.0, 96, 3.0, 500, 0, 2, pytest.approx(0.1)]
    assert not report.limits(Results(samples=[sample(report.GATEWAY, 1, 100, 1.0)]))


def test_a_busy_machine_is_no_proof_of_a_missed_limit() -> None:
    lines = [limit_line(limit) for limit in report.limits(run_of(foreign_share=0.5, dropped=1))]
    assert lines[4].startswith("unsure")


def test_only_our_own_faults_break_the_run() -> None:
    wrong, starved = {"uplink": heard(lost=1)}, {"foreign_share": 0.5}
    faulty = sample(report.GATEWAY, 1, 100, 4.0, **wrong)
    others = [
        sample(report.GATEWAY, 1, 100, 4.0, **wrong, **starved),
        sample(report.AIORTC, 1, 10, 4.0, **wrong),
        sample(report.GATEWAY, 1, 100, 4.0),
    ]
    assert report.faulty(Results(samples=[faulty, *others])) == [faulty]


def test_everything_is_told() -> None:
    results = run_of()
    console = Console(width=110, record=True, quiet=True)
    console.print(report.table(results))
    record = report.history_record(results)
    servers = record["servers"]
    assert isinstance(servers, list)
    assert [row["server"] for row in servers] == ["gateway", "aiortc"]
    assert record["aiortc_ratio"] == 0.1
    line = report.sample_line(sample("gateway", 1, 500, 1.0, dropped=2, foreign_share=0.4))
    assert line.startswith("round 1  gateway")
    assert "others on the core 40%" in line
    assert line.endswith("2 dropped")


def test_options_become_a_plan() -> None:
    quick, full = (webrtc.plan_of([3, 5], quick=quick) for quick in (True, False))
    assert (quick.server_core, quick.generator_core) == (3, 5)
    assert quick.ceiling_max == 0 < full.ceiling_max
    assert [server.loads for server in quick.servers] == [(report.LOAD,), (10,)]
    assert report.LOAD in full.servers[0].loads


def test_one_core_is_not_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert webrtc.main(["--quick"]) == 2
    assert "two cores" in capsys.readouterr().out
