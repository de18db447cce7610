"""How many descriptors the process may hold."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from gateway.roles import descriptors
from gateway.roles.descriptors import media_limits, raise_limit
from gateway.sockets.limits import MediaLimits


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield soft, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_is_raised_as_far_as_asked(limits: tuple[int, int]) -> None:
    soft, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 100, hard))
    assert raise_limit(soft - 50) == soft - 50
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft - 50, hard)


def test_a_limit_that_is_high_enough_stays(limits: tuple[int, int]) -> None:
    assert raise_limit(limits[0] - 1) == limits[0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


def test_the_hard_limit_is_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [100, 300]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(held))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: held.__setitem__(0, limits[0]))
    assert raise_limit(500) == 300


def test_a_system_that_refuses_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit(500) == 100


def test_each_call_has_a_place_beside_the_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda wanted: wanted)
    limits = media_limits(1_000)
    assert limits.connections_max >= 3_000
    assert limits.strangers_max == MediaLimits().strangers_max


def test_few_descriptors_leave_few_for_strangers_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda _: 400)
    with capture_logs() as logs:
        limits = media_limits(1_000)
    assert (limits.strangers_max, limits.strangers_per_network_max) == (100, 50)
    (line,) = logs
    assert (line["event"], line["granted"], line["strangers_max"]) == (
        "few file descriptors",
        400,
        100,
    )
