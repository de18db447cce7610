"""What every process of the gateway has in common: running to the end, and telling failures.

Knows no command line: a process that a node or a demo starts for itself carries none.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, NoReturn

import structlog
import uvloop
from rich.console import Console
from rich.text import Text

from billing.errors import (
    BillingError,
    CreditsLostError,
    DatabaseLockedError,
    RateDeckError,
    UnfitBookError,
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
from gateway.settings import Settings

# What is printed may hold anything an operator typed or a vendor said: none of it is markup.
err = Console(stderr=True, markup=False, highlight=False, emoji=False)

_log = structlog.get_logger(__name__)

SWITCH_S = 0.0005
"""How long a thread that computes, such as one that reads a rate deck, keeps the interpreter from
the loop each time the loop has waited for the kernel. Python's own 5 ms are a gap in every call."""


class EndedError(Exception):
    """A process ends, having said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on uvloop; tell a failure in a sentence, with what to do.

    Raises EndedError after a failure.
    """
    sys.setswitchinterval(SWITCH_S)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(formats.on_loop_error)
            runner.run(work)
    except KeyboardInterrupt:
        raise EndedError(EXIT_INTERRUPTED) from None
    except SettingsError as error:
        _fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    except RateDeckError as error:
        _fail(str(error), "Correct the rate deck.", EXIT_SETTINGS)
    except CreditsLostError as error:
        hint = (
            "The database was restored from an older copy. `caller payments reconcile --since DATE`"
            " finds what was paid since; `caller ledger rebuild` names what is lacking then."
        )
        _fail(f"Nothing was booked: {error}.", hint, EXIT_UNAVAILABLE)
    except DatabaseLockedError as error:
        hint = f"`fuser {error.file}` names the process; end it, or wait for it, and try again."
        _fail(f"SQL did not answer: {error}.", hint, EXIT_UNAVAILABLE)
    except UnfitBookError as error:
        _fail(str(error), "`caller check` says more.", EXIT_UNAVAILABLE)
    except BillingError as error:
        hint = "Check CALLER_REDIS_URL and CALLER_DATABASE_URL; `caller check` says more."
        _fail(str(error), hint, EXIT_UNAVAILABLE)
    except OSError as error:
        if error.filename is not None:
            hint = "Check CALLER_DATA_DIR and the files that the settings name."
            _fail(f"{error.filename}: {error.strerror}.", hint, EXIT_UNAVAILABLE)
        hint = "Check CALLER_HOST, CALLER_PORT and CALLER_UDP_PORT; another process may use it."
        _fail(error.strerror or str(error), hint, EXIT_UNAVAILABLE)
    except GatewayError as error:
        _fail(str(error), "`caller check` says more.", EXIT_UNAVAILABLE)


def stop_on_signal(*, is_child: bool = False) -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets; a second signal ends the process.

    A child is ended by its parent, whatever signals say.
    """
    stop = asyncio.Event()
    if is_child:
        return stop
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


async def wait(stop: asyncio.Event, *, is_child: bool) -> None:
    """Return when `stop` is set or, for a child process, when the parent is gone."""
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(stop.wait())]
    if is_child:
        waiting.append(asyncio.ensure_future(parent_gone()))
    _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


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
