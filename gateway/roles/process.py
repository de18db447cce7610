"""What every process of the gateway has in common: running to the end, and telling failures.

Knows no command line: a process that a node or a demo starts for itself carries none.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import FrameType
from typing import Any, Final, NoReturn

import structlog
import uvloop
from rich.text import Text

from billing.errors import (
    BillingError,
    CreditsLostError,
    DatabaseLockedError,
    RateDeckError,
    StoreFullError,
    UnfitBookError,
    UnfitFileError,
)
from gateway import settings
from gateway.errors import (
    EXIT_INTERRUPTED,
    EXIT_SETTINGS,
    EXIT_UNAVAILABLE,
    GatewayError,
    SettingsError,
)
from gateway.logs import formats
from gateway.roles.children import parent_gone
from gateway.roles.console import err
from gateway.settings import Settings

_log = structlog.get_logger(__name__)

SWITCH_S = 0.0005
"""How long a thread that computes, such as one that reads a rate deck, keeps the interpreter from
the loop each time the loop has waited for the kernel. Python's own 5 ms are a gap in every call."""


class EndedError(Exception):
    """A process ends, having said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(work: Coroutine[Any, Any, None], read: Settings | None = None) -> None:
    """Run to completion on uvloop; print a failure as a sentence, with what to do.

    Work that uses a store gives the settings that say where it is. Raises EndedError after a
    failure.
    """
    sys.setswitchinterval(SWITCH_S)
    try:
        with (
            # With this handler, asyncio cancels the work and raises KeyboardInterrupt at its end.
            on_interrupt(signal.default_int_handler),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.get_loop().set_exception_handler(formats.on_loop_error)
            runner.run(work)
    except KeyboardInterrupt:
        raise EndedError(EXIT_INTERRUPTED) from None
    except SettingsError as error:
        _fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    except BillingError as error:
        _fail(*_of_billing(error, read))
    except OSError as error:
        if error.filename is not None:
            hint = "Check CALLER_DATA_DIR and the files that the settings name."
            _fail(f"{error.filename}: {error.strerror}.", hint, EXIT_UNAVAILABLE)
        hint = "Check CALLER_HOST, CALLER_PORT and CALLER_UDP_PORT; another process may use it."
        _fail(error.strerror or str(error), hint, EXIT_UNAVAILABLE)
    except GatewayError as error:
        _fail(str(error), "`caller check` says more.", EXIT_UNAVAILABLE)


def _of_billing(error: BillingError, read: Settings | None) -> tuple[str, str, int]:
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
        case UnfitBookError():
            return what, more, EXIT_SETTINGS if isinstance(error, UnfitFileError) else code
    return what, f"Check {_stores_of(read)}; {more}", code


def _stores_of(read: Settings | None) -> str:
    """Name the settings by which the stores are reached, those that are set."""
    if read is None:
        return "CALLER_REDIS_URL, CALLER_DATABASE_URL and CALLER_DATA_DIR"
    named = {"CALLER_REDIS_URL": read.redis_url, "CALLER_DATABASE_URL": read.database_url}
    used = [name for name, url in named.items() if url]
    if len(used) < len(named):
        used.append(f"the folder of CALLER_DATA_DIR, {read.data_dir.absolute()}")
    return " and ".join(used)


class Stop(asyncio.Event):
    """Set by a signal that asks the process to end; a second one sets `hurry`."""

    def __init__(self) -> None:
        super().__init__()
        self.hurry = asyncio.Event()
        """That what still goes on be broken off, in good order."""
        self._is_interrupted = False

    def on_signal(self, number: int) -> None:
        """Note a signal; from the third on they do what they do by default."""
        self._is_interrupted |= number == signal.SIGINT
        if self.is_set():
            self.hurry.set()
            loop = asyncio.get_running_loop()
            for each in STOP_SIGNALS:
                loop.remove_signal_handler(each)
        self.set()

    async def covers(self, starting: Coroutine[Any, Any, None]) -> bool:
        """Run a start, and break it off when the stop comes first; return whether it did."""
        start, stopping = asyncio.ensure_future(starting), asyncio.ensure_future(self.wait())
        await asyncio.wait((start, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if start.done():
            start.result()
            return False
        start.cancel()
        await asyncio.wait((start,))
        if not start.cancelled():
            start.result()
        return True

    def leave(self) -> None:
        """End the process, everything being closed: after Ctrl-C with the code that shells expect.

        Raises EndedError.
        """
        if self._is_interrupted:
            raise EndedError(EXIT_INTERRUPTED)


STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What a service manager, Ctrl-C and a terminal that closes send."""


def stop_on_signal(*, is_child: bool = False) -> Stop:
    """Return what is set by the signals that end a process in good order.

    A child is ended by its parent, whatever signals say. What was ignored before, as nohup(1) has
    SIGHUP be, stays so.
    """
    stop = Stop()
    if not is_child:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop.on_signal, number)
    return stop


@contextlib.contextmanager
def on_interrupt(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Answer Ctrl-C so, where it is answered at all and this thread is asked."""
    before = signal.getsignal(signal.SIGINT)
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
    await asyncio.gather(*pending, return_exceptions=True)


async def serve_until_stopped(serving: Coroutine[Any, Any, None], *, is_child: bool) -> None:
    """Run a service until the process is to end, then cancel it. Raises EndedError after Ctrl-C."""
    stop = stop_on_signal(is_child=is_child)
    running = asyncio.ensure_future(serving)
    await wait(stop, is_child=is_child)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    stop.leave()


def complain(what: str, hint: str) -> None:
    """Say what is wrong and what to do about it, in the form of log lines if that is JSON."""
    if formats.is_json():
        _log.error(what, hint=hint)
        return
    said = Text.assemble(("Error:", "bold red"), f" {what}\n", (hint, "dim"))
    # Not wrapped: a path that is broken over two lines is none.
    err.print(said, soft_wrap=True)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings of an environment, and log as they say. Raises SettingsError."""
    # Also what is wrong with the settings is told in the form that they ask for.
    formats.prepare(environ)
    read = settings.from_mapping(environ)
    formats.configure(read.log_level, read.log_format)
    return read


def _fail(what: str, hint: str, code: int) -> NoReturn:
    complain(what, hint)
    raise EndedError(code)
