"""Runs a gateway process to its end: event loop, signals, readable failures, exit codes.

Independent of the command line: a process that a node or a demo starts for itself has none.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import FrameType
from typing import Any, Final, NoReturn, Protocol

import structlog
import uvloop
from rich.text import Text

from billing.errors import BillingError, CreditsLostError, RateDeckError
from database.errors import (
    DatabaseLockedError,
    StoreFullError,
    StoreUnavailableError,
    UnfitBookError,
    UnfitFileError,
)
from gateway.errors import (
    EXIT_INTERRUPTED,
    EXIT_SETTINGS,
    EXIT_UNAVAILABLE,
    GatewayError,
    SettingsError,
)
from gateway.logs import formats
from gateway.roles import listening
from gateway.roles.children import give_sign, parent_gone
from gateway.roles.console import err
from gateway.settings import Settings
from gateway.settings_variables import from_mapping
from gateway.stores import secret_files, settings_files

_log = structlog.get_logger(__name__)

SWITCH_S = 0.0005
"""How long a computing thread, such as one that reads a rate deck, may keep the interpreter from
the loop each time the loop has waited for the kernel. Python's own 5 ms are a gap in every call."""


class EndedError(Exception):
    """The process is to end with this code; the reason has already been printed."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(work: Coroutine[Any, Any, None], settings: Settings | None = None) -> None:
    """Run to completion on uvloop; print a failure as a sentence, with what to do.

    Work that uses a store passes the settings that say where it is. Raises EndedError after a
    failure.
    """
    # Both apply to the whole process.
    sys.setswitchinterval(SWITCH_S)
    _collect_from_now_on()
    try:
        with (
            # With this handler, asyncio cancels the work and raises KeyboardInterrupt at its end.
            on_interrupt(signal.default_int_handler),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            # The default handler prints callbacks with their arguments, which may be secrets.
            runner.get_loop().set_exception_handler(formats.on_loop_error)
            runner.run(work)
    except KeyboardInterrupt:
        raise EndedError(EXIT_INTERRUPTED) from None
    except SettingsError as error:
        _fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    except (BillingError, StoreUnavailableError) as error:
        _fail(*_of_failure(error, settings))
    # Store outages have an error of their own, so this is about files and ports.
    except OSError as error:
        if error.filename is not None:
            hint = "Check CALLER_DATA_DIR and the files that the settings name."
            _fail(f"{error.filename}: {error.strerror}.", hint, EXIT_UNAVAILABLE)
        hint = "Check CALLER_HOST, CALLER_PORT and CALLER_UDP_PORT; another process may use it."
        _fail(error.strerror or str(error), hint, EXIT_UNAVAILABLE)
    # After SettingsError, which is a subclass with a hint of its own.
    except GatewayError as error:
        _fail(str(error), "`caller check` says more.", EXIT_UNAVAILABLE)


def _collect_from_now_on() -> None:
    """Turn garbage collection back on, if it was off during imports, sparing imported objects."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _of_failure(
    error: BillingError | StoreUnavailableError, settings: Settings | None
) -> tuple[str, str, int]:
    """Return what failed, what to do about it, and the exit code."""
    what, code, more = str(error), EXIT_UNAVAILABLE, "`caller check` says more."
    match error:
        case RateDeckError():
            return what, "Correct the rate deck.", EXIT_SETTINGS
        case CreditsLostError():
            hint = (
                "The database was restored from an older copy. `caller payments reconcile --since"
                " DATE` finds what was paid since; `caller ledger rebuild` names what is lacking"
                " then."
            )
            return f"Nothing was booked: {what}.", hint, code
        case DatabaseLockedError():
            hint = f"`fuser {error.file}` names the process; end it, or wait for it, and try again."
            return f"SQL did not answer: {what}.", hint, code
        case StoreFullError():
            return f"{what}.", "Free some space there, and try again.", code
        # The message is complete. A file that is not a database is a wrong setting; a database that
        # refuses us is an unavailable service.
        case UnfitBookError():
            return what, more, EXIT_SETTINGS if isinstance(error, UnfitFileError) else code
    return what, f"Check {_stores_of(settings)}; {more}", code


def _stores_of(settings: Settings | None) -> str:
    """Name the settings that lead to the stores, if they are set."""
    if settings is None:
        return "CALLER_REDIS_URL, CALLER_DATABASE_URL and CALLER_DATA_DIR"
    named = {"CALLER_REDIS_URL": settings.redis_url, "CALLER_DATABASE_URL": settings.database_url}
    used = [name for name, url in named.items() if url]
    # At least one store is embedded.
    if len(used) < len(named):
        used.append(f"the folder of CALLER_DATA_DIR, {settings.data_dir.absolute()}")
    return " and ".join(used)


class StopSignal(asyncio.Event):
    """Set by a signal that asks the process to end; a second signal sets `end_now`."""

    def __init__(self) -> None:
        super().__init__()
        self.end_now = asyncio.Event()
        """Set to end running work in good order instead of waiting for it."""
        self._is_interrupted = False

    def on_signal(self, number: int) -> None:
        """Handle a signal; from the third on, signals have their default effect."""
        self._is_interrupted |= number == signal.SIGINT
        if self.is_set():
            self.end_now.set()
            loop = asyncio.get_running_loop()
            for each in STOP_SIGNALS:
                # A process that hangs while stopping must still react to Ctrl-C.
                loop.remove_signal_handler(each)
        self.set()

    async def covers(self, starting: Coroutine[Any, Any, None]) -> bool:
        """Run a start, and cancel it if the stop comes first; return whether it was stopped."""
        start, stopping = asyncio.ensure_future(starting), asyncio.ensure_future(self.wait())
        await asyncio.wait((start, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        # Checked first: a failed start must not be hidden by a simultaneous signal.
        if start.done():
            start.result()
            return False
        start.cancel()
        # A cancelled start closes what it has opened before it ends.
        await asyncio.wait((start,))
        # It finished or failed despite the cancellation; a failure is raised here.
        if not start.cancelled():
            start.result()
        return True

    def leave(self) -> None:
        """Call when everything is closed: after Ctrl-C, end with the exit code that shells expect.

        Raises EndedError.
        """
        if self._is_interrupted:
            raise EndedError(EXIT_INTERRUPTED)


STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Sent by a service manager, Ctrl-C and a closing terminal."""


def stop_on_signal(*, is_child: bool = False) -> StopSignal:
    """Return an event that is set by the signals that end a process in good order.

    A child ignores signals, because its parent ends it. A signal that was ignored before, such as
    SIGHUP under nohup(1), stays ignored.
    """
    stop = StopSignal()
    if not is_child:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop.on_signal, number)
    return stop


@contextlib.contextmanager
def on_interrupt(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Handle Ctrl-C by `handler` inside the block.

    Does nothing outside the main thread, or if Ctrl-C is ignored.
    """
    before = signal.getsignal(signal.SIGINT)
    # `signal.signal` raises ValueError in other threads.
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or before in (None, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def wait(stop: asyncio.Event, *, is_child: bool) -> None:
    """Return when `stop` is set or, for a child process, when the parent is gone."""
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(stop.wait())]
    if is_child:
        waiting.append(asyncio.ensure_future(parent_gone()))
    _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    # Wait for the cancellation, or asyncio reports pending tasks at the end.
    await asyncio.gather(*pending, return_exceptions=True)


class BoundServer(Protocol):
    """A server on one address."""

    async def start(self) -> None:
        """Listen, and serve in the background. Raises OSError if that is not possible."""

    async def serve(self) -> None:
        """Return when it has ended by itself."""

    async def stop(self) -> None:
        """Close the port and release everything."""


async def serve_until_stopped(
    service: BoundServer, host: str, port: int, *, is_child: bool
) -> None:
    """Run a service until it ends or the process is to end.

    `host` and `port` are the options that chose the address. Raises EndedError if the service
    cannot listen there, and after Ctrl-C.
    """
    stop = stop_on_signal(is_child=is_child)
    running = asyncio.ensure_future(_serve(service, host, port, is_child=is_child))
    ending = asyncio.ensure_future(wait(stop, is_child=is_child))
    await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
    # The service closes its port in a `finally` of its own.
    running.cancel()
    ending.cancel()
    failure, _ = await asyncio.gather(running, ending, return_exceptions=True)
    # The cancellation itself is not a failure.
    if isinstance(failure, Exception):
        raise failure
    stop.leave()


async def _serve(service: BoundServer, host: str, port: int, *, is_child: bool) -> None:
    try:
        await service.start()
    except OSError as error:
        address = f"TCP port {port} of {host}"
        text, code = listening.refusal("--host", "--port", address, error)
        # A parent chooses the port, a free one at each start.
        hint = "Start it again." if is_child else "The same command with --help says more."
        _fail(text, hint, code)
    try:
        if is_child:
            give_sign()
        await service.serve()
    finally:
        await service.stop()


def announce(text: str) -> None:
    """Print what the process does; as a log line if logs are JSON."""
    if formats.is_json():
        _log.info(text)
        return
    with contextlib.suppress(OSError):  # the terminal may be closed
        err.print(text, soft_wrap=True)


def complain(what: str, hint: str) -> None:
    """Print what is wrong and what to do about it; as a log line if logs are JSON."""
    if formats.is_json():
        _log.error(what, hint=hint)
        return
    said = Text.assemble(("Error:", "bold red"), f" {what}\n", (hint, "dim"))
    # Not wrapped: a path broken over two lines cannot be copied.
    err.print(said, soft_wrap=True)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings of an environment and of the file that goes with it.

    Sets up logging accordingly. Raises SettingsError.
    """
    # Prepared first, so that errors in the settings are printed in the requested format.
    formats.prepare(environ)
    settings = from_mapping(secret_files.filled(settings_files.overlaid(environ)))
    formats.configure(settings.log_level, settings.log_format)
    return settings


def _fail(what: str, hint: str, code: int) -> NoReturn:
    complain(what, hint)
    raise EndedError(code)
