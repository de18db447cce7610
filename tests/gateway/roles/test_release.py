"""A process says which release it runs, also where none is installed."""

from importlib import metadata

import pytest

from gateway.roles.release import release


@pytest.fixture(autouse=True)
def forgotten():
    release.cache_clear()
    yield
    release.cache_clear()


def test_what_a_process_says_many_times_it_looks_up_once(monkeypatch):
    asked = []

    def version(name):
        asked.append(name)
        return "1.2"

    monkeypatch.setattr(metadata, "version", version)
    assert [release() for _ in range(3)] == ["1.2"] * 3
    assert asked == ["caller"]


def test_the_release_is_that_of_the_package(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: f"1.2 of {name}")
    assert release() == "1.2 of caller"


def test_of_sources_that_are_not_installed_nobody_knows_it(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert "not installed" in release()
