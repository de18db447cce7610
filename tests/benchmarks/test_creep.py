"""A run is judged by the best that runs before it have shown, and a bad minute accuses nobody."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import creep, report

CPU, MEMORY = "CPU at 200 calls, in HAProxy's", "RSS KB per call at 200 calls"


def run(ratio: float | None = 1.0, kb: float = 20.0, **changes: Any) -> dict[str, Any]:
    load = {"haproxy_ratio": ratio, "rss_kb": kb, "disturbed": changes.pop("disturbed", False)}
    floor = {"haproxy_ratio": 1.0, "rss_kb": 3.0, "disturbed": changes.pop("floor", False)}
    peers = {"gateway": {"loads": {"200": load}}, "haproxy": {"loads": {"200": floor}}}
    return {"build": "compiled", "python": "3.11.7", "peers": peers, **changes}


def worse(past: list[dict[str, Any]], now: dict[str, Any]) -> set[str]:
    return {each.what for each in creep.judge(past, now) if each.is_worse}


def test_a_figure_a_tenth_worse_than_the_best_median_is_named() -> None:
    past = [run(1.0), run(1.0), run(1.0), run(1.2), run(1.2)]
    assert worse(past, run(1.2)) == {CPU}
    assert worse(past, run(1.0)) == set(), "who mends it need not wait for two runs more"
    past = [run(kb=20), run(kb=20), run(kb=20), run(kb=22.1), run(kb=22.1)]
    assert worse(past, run(kb=22.1)) == {MEMORY}
    assert worse(past, run(kb=22)) == set()


def test_what_grows_bit_by_bit_is_named_once_it_is_a_tenth() -> None:
    past = [run(ratio) for ratio in (1.0, 1.0, 1.0, 1.03, 1.06, 1.09, 1.12, 1.15)]
    assert [sorted(worse(past[:n], past[n])) for n in range(3, 8)] == [[], [], [], [], [CPU]]


def test_one_run_alone_neither_accuses_nor_is_the_best() -> None:
    assert worse([run() for _ in range(3)], run(5.0)) == set()
    assert worse([run(), run(0.5), run(), run()], run()) == set()


def test_what_was_measured_less_than_three_times_is_not_judged() -> None:
    assert creep.judge([run(), run()], run(9.0, 99)) == []
    assert creep.judge([run(None) for _ in range(5)], run(None))[0].what == MEMORY


@pytest.mark.parametrize("busy", ["disturbed", "floor"])
def test_a_busy_machine_says_something_of_memory_only(busy: str) -> None:
    past = [run() for _ in range(3)] + [run(9.0, 30), run(9.0, 30)]
    assert worse(past, run(9.0, 30, **{busy: True})) == {MEMORY}
    calm = [run() for _ in range(3)]
    assert worse([*calm, *(run(9.0, **{busy: True}) for _ in range(2))], run(9.0)) == set()


def test_another_build_and_another_python_are_no_measure() -> None:
    for changes in ({"build": "interpreted"}, {"python": "3.13.1"}):
        others = [run(0.1, 1, **changes) for _ in range(5)]
        assert creep.judge(others, run()) == []
    patched = [run(0.1, 1, python="3.11.9") for _ in range(5)]
    assert worse([*patched, run(), run()], run()) == {CPU, MEMORY}


def webrtc_of(ratio: float, kb: float, disturbed: bool = False) -> dict[str, Any]:
    ours = {"server": "gateway", "calls": 200, "resident_kb": kb, "disturbed": False}
    peer = {"server": "aiortc", "calls": 10, "resident_kb": 480.0, "disturbed": disturbed}
    return {"webrtc": {"aiortc_ratio": ratio, "servers": [ours, peer]}}


def test_webrtc_is_judged_beside_its_own_peer() -> None:
    past = [run(**webrtc_of(0.05, 40)) for _ in range(3)]
    past += [run(**webrtc_of(0.08, 50)) for _ in range(2)]
    memory = "RSS KB per call at 200 calls by WebRTC"
    assert worse(past, run(**webrtc_of(0.08, 50))) == {"CPU of WebRTC, in aiortc's", memory}
    assert worse(past, run(**webrtc_of(0.08, 50, disturbed=True))) == {memory}


def test_the_history_that_is_kept_can_judge() -> None:
    past = report.read_history(bench.HISTORY)
    judged = {each.what: each for each in creep.judge(past, run(**webrtc_of(0.05, 40)))}
    assert {CPU, MEMORY, "CPU of WebRTC, in aiortc's"} <= set(judged)
    assert judged[CPU].best < 1, "of HAProxy's CPU"
    assert judged[CPU].line().endswith(f"at most {1.1 * judged[CPU].best:.3g})")


def test_a_history_that_is_not_there_yet_judges_nothing(tmp_path: Any) -> None:
    assert report.read_history(tmp_path / "none.jsonl") == []
