"""A start waits for what a killed supervisor has left, and names what does not end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import EXIT_UNAVAILABLE
from gateway.roles import earlier_run
from gateway.roles.process import EndedError
from gateway.settings import Settings
from gateway.settings_variables import from_mapping


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_mapping(
        {
            "CALLER_DATA_DIR": str(tmp_path),
            "CALLER_PORT": "9000",
            "CALLER_REDIS_URL": "redis://127.0.0.1:1",
        }
    )


@contextlib.contextmanager
def left(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Leave a process of a run whose supervisor is gone."""
    shared = asyncio.run(earlier_run.hold_shared(settings))
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[shared]
    ) as child:
        os.close(shared)
        try:
            yield child
        finally:
            child.kill()


def test_where_nothing_was_left_nothing_is_waited_for_or_made(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(earlier_run.ended(settings))
    assert not list(settings.data_dir.iterdir())
    os.close(asyncio.run(earlier_run.hold_shared(settings)))
    asyncio.run(earlier_run.ended(settings))
    assert capsys.readouterr().err == ""


def test_a_start_waits_until_the_last_has_ended_and_says_so_once(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async def wait(child: subprocess.Popen[bytes]) -> None:
        waiting = asyncio.create_task(earlier_run.ended(settings))
        # Longer than several looks.
        await asyncio.sleep(0.5)
        assert not waiting.done()
        child.kill()
        await waiting

    with left(settings) as child:
        asyncio.run(wait(child))
    assert capsys.readouterr().err.count("Waiting up to 30 s") == 1


def test_what_does_not_end_is_named(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_run, "PATIENCE_S", 0.3)
    with left(settings) as child:
        with pytest.raises(EndedError) as ended:
            asyncio.run(earlier_run.ended(settings))
        assert f"`kill -9 {child.pid}`" in capsys.readouterr().err
    assert ended.value.code == EXIT_UNAVAILABLE
    # The next one is in nobody's way.
    os.close(earlier_run.hold_own(settings))


def test_nothing_is_waited_for_where_a_supervisor_lives(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    own = earlier_run.hold_own(settings)
    with left(settings):
        asyncio.run(earlier_run.ended(settings))
    assert capsys.readouterr().err == ""
    with pytest.raises(EndedError) as ended:
        earlier_run.hold_own(settings)
    assert ended.value.code == EXIT_UNAVAILABLE
    assert "CALLER_PORT" in capsys.readouterr().err
    os.close(own)
