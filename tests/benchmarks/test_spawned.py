"""Clients in a process of their own: asked, ended, and not waited for once they have died."""

import os

import pytest

from benchmarks.spawned import Spawned


def count(pipe, step):
    pipe.send(None)
    counted = 0
    while True:
        pipe.recv()
        counted += step
        pipe.send(counted)


def die(_pipe):
    raise SystemExit(1)


def test_what_was_counted_is_told_whenever_asked():
    spawned = Spawned(count, 3)
    try:
        assert spawned.pid != os.getpid()
        assert [spawned.ask(), spawned.ask()] == [3, 6]
    finally:
        spawned.close()


def test_who_dies_before_all_are_connected_is_not_waited_for():
    with pytest.raises(EOFError):
        Spawned(die)
