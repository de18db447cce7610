"""A process says which release it runs, also where none is installed."""

from importlib import metadata

from gateway.roles.release import release


def test_the_release_is_that_of_the_package(monkeypatch):
    assert release() == metadata.version("caller")

    def missing(_name):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", missing)
    assert "not installed" in release()
