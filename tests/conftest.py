"""What holds for every test: under CI nothing is skipped in silence, and examples are repeatable.

A test that needs a server, a browser or a compiler skips with its reason on a person's machine.
Under CI (the variable `CI` is set) the same skip is a failure, because a check that did not run
has proven nothing. A reason that begins with `platform:` may skip anywhere: it says that the test
can never run on this operating system or Python.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.postgres", "tests.valkey")

IS_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
ALWAYS_ALLOWED = "platform:"

# Time limits per example say more about a busy machine than about the code. Under CI Hypothesis
# loads a profile of its own that has none either and tries the same examples every time.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not IS_CI:
    settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, lest everybody waits for one of them in the end."""
    folders = ("benchmarks", "calls", "e2e", "web", "money")
    first = ("tests/test_compiled", *(f"tests/{folder}/" for folder in folders))
    items.sort(key=lambda item: (*map(item.nodeid.startswith, first), True).index(True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one under CI."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped test file into a failed one under CI."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: Any) -> None:
    if not (IS_CI and report.skipped):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALWAYS_ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI, where every test must run: {reason}"
