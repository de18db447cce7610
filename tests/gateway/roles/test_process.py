"""A process until its end: signals, a parent that goes, and failures as sentences."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from billing.errors import CreditsLostError, RateDeckError
from database.errors import (
    DatabaseLockedError,
    StoreFullError,
    StoreUnavailableError,
    UnfitBookError,
    UnfitFileError,
)
from gateway.cause import Cause
from gateway.errors import (
    EXIT_INTERRUPTED,
    EXIT_SETTINGS,
    EXIT_UNAVAILABLE,
    CarrierError,
    SettingsError,
)
from gateway.logs import formats
from gateway.roles.process import (
    STOP_SIGNALS,
    EndedError,
    StopSignal,
    complain,
    on_interrupt,
    run,
    serve_until_stopped,
    stop_on_signal,
)
from gateway.settings_variables import from_mapping

pytestmark = pytest.mark.usefixtures("heeded_signals")


@pytest.fixture(autouse=True)
def _signals_stay_as_they_were():
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Service:
    """A service that does nothing, or fails at one of its steps."""

    def __init__(self, failing="", error=ZeroDivisionError):
        self._failing, self._error = failing, error
        self.did = []
        self.serving = asyncio.Event()

    def _do(self, what):
        self.did.append(what)
        if what == self._failing:
            raise self._error

    async def start(self):
        self._do("start")

    async def serve(self):
        self._do("serve")
        self.serving.set()
        await asyncio.Event().wait()

    async def stop(self):
        self._do("stop")


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", None), ("SIGINT", EXIT_INTERRUPTED)])
async def test_a_service_is_stopped_by_a_signal(number, code):
    service = Service()
    running = asyncio.ensure_future(serve_until_stopped(service, "", 0, is_child=False))
    await service.serving.wait()
    signal.raise_signal(signal.Signals[number])
    with contextlib.nullcontext() if code is None else pytest.raises(EndedError) as ended:
        await running
    assert code is None or ended.value.code == code
    assert service.did == ["start", "serve", "stop"]


@pytest.mark.parametrize("step", ["start", "serve"])
async def test_a_fault_of_a_service_ends_the_process(step):
    service = Service(step)
    with pytest.raises(ZeroDivisionError):
        await serve_until_stopped(service, "", 0, is_child=False)
    assert service.did == {"start": ["start"], "serve": ["start", "serve", "stop"]}[step]


async def test_an_address_that_is_taken_is_told(capsys):
    service = Service("start", OSError(errno.EADDRINUSE, "taken"))
    with pytest.raises(EndedError) as ended:
        await serve_until_stopped(service, "127.0.0.1", 8090, is_child=False)
    assert ended.value.code == EXIT_UNAVAILABLE
    assert "TCP port 8090 of 127.0.0.1 is in use" in capsys.readouterr().err
    assert service.did == ["start"]


@pytest.fixture
def parent(monkeypatch):
    """The parent's end of this process's standard input."""
    ours, its = socket.socketpair()
    with ours, open(its.detach(), "rb", buffering=0) as line:
        monkeypatch.setattr(sys, "stdin", line)
        yield ours
    signal.alarm(0)


async def test_a_child_gives_a_sign_when_it_serves_and_ends_with_its_parent(parent):
    service = Service()
    running = asyncio.ensure_future(serve_until_stopped(service, "", 0, is_child=True))
    await service.serving.wait()
    assert parent.recv(2) == b"."
    parent.close()
    await running
    assert service.did == ["start", "serve", "stop"]
    assert signal.alarm(0) > 0, "the kernel ends what does not end by itself"


# Signals.


async def test_the_second_signal_ends_at_once_and_the_third_has_its_default_effect():
    stop = stop_on_signal()
    signal.raise_signal(signal.SIGTERM)
    await stop.wait()
    assert not stop.end_now.is_set()
    signal.raise_signal(signal.SIGHUP)
    await stop.end_now.wait()
    left = {signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    assert left == {signal.SIG_DFL}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    stop.leave()


async def test_a_signal_that_was_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop_on_signal()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


async def test_a_child_takes_no_signal():
    before = signal.getsignal(signal.SIGTERM)
    stop_on_signal(is_child=True)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_is_handled_inside_the_block_alone():
    before, seen = signal.getsignal(signal.SIGINT), []
    with on_interrupt(lambda number, _: seen.append(number)):
        signal.raise_signal(signal.SIGINT)
    assert seen == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.default_int_handler])
def test_an_interrupt_that_is_ignored_or_not_ours_is_left_alone(before):
    signal.signal(signal.SIGINT, before)
    inside = []

    def look():
        with on_interrupt(lambda *_: None):
            inside.append(signal.getsignal(signal.SIGINT))

    if before is signal.SIG_IGN:
        look()
    else:
        # Python lets no other thread set it.
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert inside == [before]


# A start that a stop may overtake.


async def test_a_start_that_nothing_overtakes_is_what_it_is():
    async def start():
        pass

    async def fails():
        raise ZeroDivisionError

    assert not await StopSignal().covers(start())
    stop = StopSignal()
    stop.set()
    with pytest.raises(ZeroDivisionError):
        await stop.covers(fails())


@pytest.mark.parametrize("ending", ["cleanly", "although", "in vain"])
async def test_a_start_that_a_stop_overtakes_closes_what_it_opened(ending):
    stop, did = StopSignal(), []

    async def start():
        stop.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            did.append("closed")
            if ending == "cleanly":
                raise
            if ending == "in vain":
                raise ZeroDivisionError from None

    outcome = pytest.raises(ZeroDivisionError) if ending == "in vain" else contextlib.nullcontext()
    with outcome:
        assert await stop.covers(start())
    assert did == ["closed"]


# Failures.

LOCKED = DatabaseLockedError("/data/caller.db")
FULL = StoreFullError("the disk of the database is full")
AWAY = StoreUnavailableError("the store is away")
NO_FILE = FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/rates.csv")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingsError("CALLER_X is wrong."), EXIT_SETTINGS, "CALLER_X is wrong. See docs/"),
        (RateDeckError("line 7: not a price"), EXIT_SETTINGS, "line 7: not a price Correct the"),
        (CreditsLostError(), EXIT_UNAVAILABLE, "Nothing was booked: the book of record lacks"),
        (LOCKED, EXIT_UNAVAILABLE, "SQL did not answer: another process holds"),
        (LOCKED, EXIT_UNAVAILABLE, "`fuser /data/caller.db` names the process"),
        (FULL, EXIT_UNAVAILABLE, "is full. Free some space there, and try again."),
        (UnfitBookError("Another release's."), EXIT_UNAVAILABLE, "release's. `caller check` says"),
        (UnfitFileError("No database."), EXIT_SETTINGS, "No database. `caller check` says"),
        (
            AWAY,
            EXIT_UNAVAILABLE,
            "away Check CALLER_REDIS_URL, CALLER_DATABASE_URL and CALLER_DATA",
        ),
        (
            NO_FILE,
            EXIT_UNAVAILABLE,
            "/data/rates.csv: No such file or directory. Check CALLER_DATA",
        ),
        (OSError(98, "Address in use"), EXIT_UNAVAILABLE, "Address in use Check CALLER_HOST"),
        (CarrierError("no answer", cause=Cause.NO_ANSWER), EXIT_UNAVAILABLE, "`caller check` says"),
        (KeyboardInterrupt(), EXIT_INTERRUPTED, ""),
    ],
)
def test_a_failure_is_a_sentence_and_what_to_do(capsys, error, code, words):
    async def work():
        raise error

    with pytest.raises(EndedError) as ended:
        run(work())
    assert ended.value.code == code
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert words or not said


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "Check the folder of CALLER_DATA_DIR, {folder};"),
        ({"REDIS_URL": "redis://r"}, "Check CALLER_REDIS_URL and the folder of CALLER_DATA_DIR, "),
        (
            {"REDIS_URL": "redis://r", "DATABASE_URL": "postgresql://d/caller"},
            "Check CALLER_REDIS_URL and CALLER_DATABASE_URL;",
        ),
    ],
)
def test_the_stores_that_are_set_are_named(capsys, environ, named):
    async def work():
        raise AWAY

    settings = from_mapping({f"CALLER_{name}": value for name, value in environ.items()})
    with pytest.raises(EndedError):
        run(work(), settings)
    said = capsys.readouterr().err
    assert named.format(folder=Path(".caller").absolute()) in said


def test_what_is_wrong_is_a_line_for_machines_where_those_are_wished(capsys, monkeypatch):
    monkeypatch.setattr(formats, "_is_json", True)
    with capture_logs() as logs:
        complain("It is wrong.", "Mend it.")
    assert [(line["event"], line["hint"]) for line in logs] == [("It is wrong.", "Mend it.")]
    assert capsys.readouterr().err == ""
