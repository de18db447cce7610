"""A process says which release it runs, also where none is installed."""

from importlib import metadata

from gateway.roles.release import release


def test_the_release_is_that_of_the_package(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: f"1.2 of {name}")
    assert release() == "1.2 of caller"


def test_of_sources_that_are_not_installed_nobody_knows_it(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert "not installed" in release()
