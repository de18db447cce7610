"""What all commands have in common while they run."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import typer
from structlog.testing import capture_logs
from typer.core import TyperCommand

from gateway.cli import command
from gateway.errors import EXIT_SETTINGS
from gateway.logs import formats
from gateway.settings import Settings


@pytest.fixture
def switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@contextmanager
def busy_thread() -> Iterator[None]:
    """Let a thread compute without a pause."""
    is_over = threading.Event()

    def compute() -> None:
        while not is_over.is_set():
            pass

    thread = threading.Thread(target=compute)
    thread.start()
    yield
    is_over.set()
    thread.join()


@pytest.mark.usefixtures("switch_interval")
def test_a_thread_that_computes_gives_the_interpreter_back_within_a_millisecond() -> None:
    seen: list[float] = []

    async def work() -> None:
        with busy_thread():
            for _ in range(5):
                await asyncio.sleep(0.001)
                seen.append(sys.getswitchinterval())

    command.run(work())
    assert max(seen) <= 0.001


class Stores:
    """Stores that can be closed."""

    def __init__(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False


@pytest.mark.parametrize(
    ("error", "seen"), [(LookupError, typer.Exit), (KeyError, KeyError), (IndexError, IndexError)]
)
def test_an_account_that_is_not_there_is_a_sentence_and_a_fault_of_ours_is_not(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    error: type[Exception],
    seen: type[Exception],
) -> None:
    stores = Stores()

    async def opening(_settings: Settings) -> Stores:
        return stores

    async def work(_stores: Stores, _settings: Settings) -> None:
        raise error

    context = typer.Context(TyperCommand("test"), obj={"CALLER_DATA_DIR": str(tmp_path)})
    with pytest.raises(seen):
        command.run_with(context, opening, work)
    assert not stores.is_open
    told = "There is no account with this id." in capsys.readouterr().err
    assert told is (seen is typer.Exit)


@pytest.mark.parametrize("is_json", [False, True])
def test_progress_is_a_line_of_the_kind_that_is_wished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_json: bool
) -> None:
    monkeypatch.setattr(formats, "_is_json", is_json)
    with capture_logs() as logs:
        command.announce("Waiting for 2 calls.")
    assert [line["event"] for line in logs] == ["Waiting for 2 calls."] * is_json
    assert capsys.readouterr().err == ("" if is_json else "Waiting for 2 calls.\n")


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_an_amount_is_read_in_micros_and_below_nothing_where_that_may_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.read_amount("10.05") == 10_050_000
    assert command.read_amount("-1", may_be_negative=True) == -1_000_000
    for typed, said in (("-1", "must not be negative"), ("1,5", "is not a number")):
        with pytest.raises(typer.Exit) as ended:
            command.read_amount(typed)
        assert ended.value.exit_code == EXIT_SETTINGS
        assert said in refused(capsys)


def test_a_moment_is_of_utc_where_no_zone_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.read_moment("2026-11-24") == datetime(2026, 11, 24, tzinfo=UTC)
    east = timezone(timedelta(hours=1))
    typed = command.read_moment("2026-11-24T18:30:00+01:00")
    assert typed == datetime(2026, 11, 24, 18, 30, tzinfo=east)
    with pytest.raises(typer.Exit):
        command.read_moment("24.11.2026")
    assert "This is not a date" in refused(capsys)


def test_what_another_process_holds_is_free_in_the_second_after() -> None:
    assert command.when_to_try(None) == "It has ended in the meantime: try again."
    until = datetime(2026, 11, 24, 18, 59, 59, 900_000, tzinfo=UTC)
    assert command.when_to_try(until).startswith("Try again at 19:00:00 UTC")
