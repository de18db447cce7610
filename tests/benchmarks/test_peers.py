"""Every server carries calls without a fault; the comparison runs from end to end."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import PEERS, main, plan_of
from benchmarks.bridge import Plan, Sample, run
from benchmarks.dial import DialError
from benchmarks.peers.peer import server_process

# The gateway mends what comes late: a busy machine is heard in its frames.
SERVERS = [pytest.param("gateway", marks=pytest.mark.alone), "haproxy", "starlette"]


def plan(*loads: int, ladder: tuple[int, ...] = ()) -> Plan:
    cores: Sequence[int] = sorted(os.sched_getaffinity(0))
    return Plan(
        loads=loads,
        ladder=ladder,
        rounds=1,
        windows=1,
        seconds=0.2,
        seconds_max=60,
        calls_max=40,
        server_core=cores[0],
        generator_core=cores[-1],
    )


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_carries_calls(name: str) -> None:
    peer = PEERS[name]()
    if missing := peer.missing():
        pytest.skip(missing)
    seen: list[Sample] = []
    results = run([peer], plan(12), seen.append)
    assert results.samples == seen
    assert not seen[0].faulty, seen[0].trouble
    assert seen[0].cpu_ms[name] > 0


def test_the_ladder_ends_at_the_generators_own_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = PEERS["starlette"]()
    monkeypatch.setattr(type(peer), "warm_up_s", 0.2)
    results = run([peer], replace(plan(11, ladder=(20, 201)), calls_max=200), lambda sample: None)
    assert results.ceiling_calls in (0, 200)
    assert all(sample.calls <= results.ceiling_calls for sample in results.ladder)


def test_the_last_round_goes_on_to_the_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = PEERS["starlette"]()
    monkeypatch.setattr(type(peer), "warm_up_s", 0.2)
    whole = replace(plan(11, 15, ladder=(13,)), calls_max=200, rounds=2)
    results = run([peer], whole, lambda sample: None)
    assert results.rounds == 2
    measured = {(sample.round, sample.calls) for sample in results.samples}
    assert {(1, 11), (2, 11)} <= measured <= {(1, 11), (2, 11), (2, 15)}
    assert {(sample.round, sample.calls) for sample in results.ladder} <= {(2, 13)}


def test_options_become_a_plan() -> None:
    options = argparse.Namespace(quick=True, calls=None, seconds=None, rounds=None, no_ladder=False)
    quick = plan_of(options, [3, 5])
    assert (quick.rounds, quick.ladder) == (1, ())
    assert (quick.server_core, quick.generator_core) == (3, 5)
    options.quick, options.calls = False, [300, 100]
    whole = plan_of(options, [0, 1])
    assert whole.loads == (100, 300)
    assert all(load > 100 for load in whole.ladder)


def test_one_core_is_not_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    history = tmp_path / "history.jsonl"
    assert main(["--quick", "--history", str(history)]) == 2
    assert "two cores" in capsys.readouterr().out
    assert not history.exists()


def test_a_server_that_fails_is_quoted() -> None:
    script = "echo it is Tuesday >&2; exec sleep 60"

    def fail() -> None:
        with server_process(["sh", "-c", script]) as process:
            while Path(f"/proc/{process.pid}/cmdline").read_bytes() != b"sleep\x0060\x00":
                pass
            raise DialError("no answer")

    with pytest.raises(DialError) as caught:
        fail()
    assert "it is Tuesday" in caught.value.__notes__[0]
