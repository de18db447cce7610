"""The table's medians and ratios, the limits, the verdict and the history."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.bridge import Results, Sample, highest_held, is_hopeless
from benchmarks.generator import Counts, Measurement

NO_COUNT = Counts(*[0] * 13)
NO_FAULT = Counts(100, 100, *[0] * 11)
ONE_LOST = Counts(100, 99, 1, *[0] * 10)
TWICE = Counts(100, 100, 0, 1, *[0] * 9)


def sample(peer: str, turn: int, calls: int, cpu_ms: float, **changes: Any) -> Sample:
    seen = Measurement(
        counts=changes.pop("counts", NO_FAULT),
        before=changes.pop("before", NO_COUNT),
        p50_us=50,
        p99_us=changes.pop("p99_us", 200),
        max_us=900,
        late_p99_us=changes.pop("late_p99_us", 20),
        late_max_us=changes.pop("late_max_us", 300),
        last_text="",
    )
    parts = {peer: cpu_ms, **changes.pop("beside", {})}
    foreign = changes.pop("foreign", 0.01)
    return Sample(
        peer, turn, calls, parts, 0.5, foreign, 8192, changes.pop("seen", seen), **changes
    )


def results(*samples: Sample, **more: Any) -> Results:
    return Results(ceiling_calls=1200, samples=list(samples), **more)


def test_ratios_are_taken_within_a_round_and_then_their_median() -> None:
    found = report.rows(
        results(
            sample("gateway", 1, 400, 3.0),
            sample("haproxy", 1, 400, 2.0),
            sample("gateway", 2, 400, 2.0),
            sample("haproxy", 2, 400, 1.0),
            sample("gateway", 3, 400, 9.0),
            sample("haproxy", 3, 400, 2.0),
        )
    )
    ours = next(row for row in found if row.peer == "gateway")
    assert ours.ratio == 2.0
    assert ours.cpu_ms == 3.0
    assert ours.resident_kb == 8


def test_a_server_without_haproxy_at_its_load_has_no_ratio() -> None:
    (row,) = report.rows(results(sample("ws", 1, 400, 2.0)))
    assert row.ratio is None


def test_parts_beside_the_server_are_told_apart() -> None:
    found = results(sample("gateway", 1, 400, 2.0, beside={"valkey": 0.012}))
    (row,) = report.rows(found)
    assert row.beside_ms == {"valkey": 0.012}
    assert "valkey 0.012" in report.table(found)


@pytest.mark.parametrize(
    ("changes", "intact", "held", "disturbed"),
    [
        ({}, True, True, False),
        ({"counts": ONE_LOST}, False, False, False),
        ({"p99_us": 20_001}, True, False, False),
        ({"counts": ONE_LOST, "before": ONE_LOST}, True, True, False),
        ({"counts": TWICE, "before": TWICE}, False, False, False),
        ({"late_p99_us": 1_001}, True, True, True),
        ({"late_max_us": 8_001}, True, True, True),
        ({"foreign": 0.11}, True, True, True),
        ({"seen": None}, False, False, False),
    ],
)
def test_what_a_sample_proves(
    changes: dict[str, Any], intact: bool, held: bool, disturbed: bool
) -> None:
    one = sample("gateway", 1, 400, 2.0, **changes)
    assert (one.intact, one.held, one.disturbed) == (intact, held, disturbed)


def test_disturbed_rounds_count_only_where_there_are_no_others() -> None:
    quiet = sample("gateway", 1, 400, 2.0)
    noisy = sample("gateway", 2, 400, 9.0, foreign=0.5, counts=ONE_LOST)
    (row,) = report.rows(results(quiet, noisy))
    assert (row.cpu_ms, row.disturbed, row.held) == (2.0, False, False)
    noisy_run = results(noisy)
    assert report.rows(noisy_run)[0].disturbed
    assert "disturbed" in report.table(noisy_run)


def test_only_our_own_faults_break_the_run() -> None:
    late = sample("gateway", 1, 400, 2.0, p99_us=30_000)
    faulty = sample("gateway", 2, 400, 2.0, counts=ONE_LOST)
    starved = sample("gateway", 3, 400, 2.0, counts=ONE_LOST, foreign=0.5)
    rival = sample("ws", 1, 400, 2.0, counts=ONE_LOST)
    assert report.faulty(results(late, faulty, starved, rival)) == [faulty]


@pytest.mark.parametrize("fault", ["duplicated", "reordered", "corrupted", "closed"])
def test_no_disturbance_excuses_wrong_audio(fault: str) -> None:
    wrong = replace(NO_FAULT, **{fault: 1})
    starved = sample("gateway", 1, 400, 2.0, counts=wrong, foreign=0.5)
    assert report.faulty(results(starved)) == [starved]


@pytest.mark.parametrize(("load", "hopeless"), [(300, False), (440, False), (441, True)])
def test_a_load_far_beyond_a_core_is_not_tried(load: int, hopeless: bool) -> None:
    half_a_core = sample("starlette", 1, 200, 2.5)
    assert is_hopeless(half_a_core, load) is hopeless


def test_a_fault_beyond_the_loads_compared_ends_the_ladder_only() -> None:
    beyond = sample("gateway", 1, 900, 1.0, counts=ONE_LOST)
    assert report.faulty(results(ladder=[beyond])) == []


@pytest.mark.parametrize(
    ("loads", "highest"),
    [
        ([(200, {}), (400, {})], 400),
        ([(200, {}), (400, {"counts": ONE_LOST})], 200),
        ([(400, {}), (400, {"p99_us": 30_000})], 0),
        ([(400, {}), (400, {"counts": ONE_LOST, "foreign": 0.5})], 400),
        ([(400, {"counts": ONE_LOST, "foreign": 0.5})], 0),
    ],
)
def test_the_highest_load_held(loads: list[tuple[int, dict[str, Any]]], highest: int) -> None:
    samples = [sample("ws", 1, calls, 2.0, **changes) for calls, changes in loads]
    assert highest_held([sample("gateway", 1, 900, 1.0), *samples], "ws") == highest


def test_limits_are_judged_where_they_were_measured() -> None:
    found = report.limits(
        results(
            sample("gateway", 1, 200, 2.0, p99_us=1_200),
            sample("starlette", 1, 200, 5.0),
            sample("gateway", 1, 400, 1.5),
            sample("haproxy", 1, 400, 1.0),
            ladder=[sample("gateway", 1, 500, 1.0)],
            calls_held={"gateway": 500, "starlette": 250},
        )
    )
    assert [(limit.value, limit.kept) for limit in found] == [
        (1.5, True),
        (0.4, True),
        (1_200, False),
        (8, True),
        (50, False),
    ]
    assert report.limit_line(found[2]).startswith("MISSED")


def test_a_busy_machine_is_no_proof_of_a_missed_limit() -> None:
    slow = sample("gateway", 1, 200, 2.0, p99_us=9_000, foreign=0.5)
    latency, memory = report.limits(results(slow))
    assert report.limit_line(latency).startswith("unsure")
    assert report.limit_line(memory).startswith("kept")


def test_limits_without_a_measurement_are_not_judged() -> None:
    assert report.limits(results(sample("ws", 1, 200, 2.0))) == []


def test_a_line_of_progress_says_what_was_wrong() -> None:
    line = report.sample_line(
        sample("ws", 1, 400, 2.0, counts=ONE_LOST, late_p99_us=3_000, trouble="1 lost")
    )
    assert "NOT HELD: 1 lost" in line
    assert "disturbed: generator late by p99 3.0 ms" in line
    unreached = sample("ws", 1, 400, 2.0, seen=None, trouble="call 7 did not come up")
    assert "call 7 did not come up" in report.sample_line(unreached)


def test_a_run_is_one_line_of_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    run = results(sample("gateway", 1, 400, 2.0), calls_held={"gateway": 550})
    for _ in range(2):
        report.append_history(path, report.history_record(run, {"commit": "abc"}))
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == second
    assert first["commit"] == "abc"
    assert first["generator_calls"] == 1200
    assert first["peers"]["gateway"]["calls_held"] == 550
    assert first["peers"]["gateway"]["loads"]["400"]["cpu_ms"] == 2.0


def test_a_request_beside_the_calls_is_told_and_judged() -> None:
    found = results(
        sample("gateway", 1, 200, 2.0, request_ms=4.0, request_ratio=1.5),
        sample("gateway", 2, 200, 2.0, request_ms=8.0, request_ratio=3.5),
        sample("haproxy", 1, 200, 2.0),
    )
    assert "meanwhile: 6.0 ms" in report.table(found)
    (limit,) = [limit for limit in report.limits(found) if "a request" in limit.text]
    assert (limit.value, limit.kept) == (2.5, False)
