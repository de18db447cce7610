"""What the command line's commands share: running to the end, and telling failures in words."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol, TypeVar

import typer
import uvloop
from rich.console import Console

from billing.errors import BillingError, CreditsLostError, MoneyError, RateDeckError
from billing.money import parse_money
from gateway import logs, settings
from gateway.errors import GatewayError, SettingsError
from gateway.settings import Settings

out = Console()
err = Console(stderr=True)

EXIT_FINDINGS = 1
"""The command did its work and found something that is wrong."""
EXIT_SETTINGS = 2
"""The settings or the arguments must be corrected."""
EXIT_UNAVAILABLE = 3
"""A store or an address was not available; trying again may help."""

SWITCH_S = 0.0005
"""How long a thread that computes, such as one that reads a rate deck, keeps the interpreter from
the loop each time the loop has waited for the kernel. Python's own 5 ms are a gap in every call."""

EXIT_CRASHED = 70
"""The program itself is wrong (EX_SOFTWARE of sysexits.h)."""


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on uvloop; tell a failure in a sentence, with what to do."""
    sys.setswitchinterval(SWITCH_S)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(logs.on_loop_error)
            runner.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except SettingsError as error:
        fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    except RateDeckError as error:
        fail(str(error), "Correct the rate deck.", EXIT_SETTINGS)
    except CreditsLostError as error:
        hint = (
            "The database was restored from an older copy. `caller payments reconcile --since DATE`"
            " finds what was paid since; `caller ledger rebuild` names what is lacking then."
        )
        fail(f"Nothing was booked: {error}.", hint, EXIT_UNAVAILABLE)
    except BillingError as error:
        hint = "Check CALLER_REDIS_URL and CALLER_DATABASE_URL; `caller check` says more."
        fail(str(error), hint, EXIT_UNAVAILABLE)
    except OSError as error:
        hint = "Check CALLER_HOST, CALLER_PORT and CALLER_UDP_PORT; another process may use it."
        fail(error.strerror or str(error), hint, EXIT_UNAVAILABLE)
    except GatewayError as error:
        fail(str(error), "`caller check` says more.", EXIT_UNAVAILABLE)


class _Closable(Protocol):
    async def close(self) -> None: ...


_Opened = TypeVar("_Opened", bound=_Closable)


def run_with(
    context: typer.Context,
    open_stores: Callable[[Settings], Awaitable[_Opened]],
    work: Callable[[_Opened, Settings], Awaitable[None]],
) -> None:
    """Run with open stores; tell an account that is not there in words."""
    read = read_settings(context)

    async def opened() -> None:
        stores = await open_stores(read)
        try:
            await work(stores, read)
        except LookupError as error:
            if isinstance(error, KeyError | IndexError):
                raise
            hint = "`caller accounts create` makes one."
            fail("There is no account of this id.", hint, EXIT_SETTINGS)
        finally:
            await stores.close()

    run(opened())


def fail(what: str, hint: str, code: int) -> NoReturn:
    """Say what is wrong and what to do about it, and end."""
    err.print(f"[bold red]Error:[/] {what}\n[dim]{hint}[/]", highlight=False)
    raise typer.Exit(code)


def read_settings(context: typer.Context) -> Settings:
    """Return the settings of the environment, and log as they say."""
    try:
        read = settings.from_mapping(context.obj)
    except SettingsError as error:
        fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    logs.configure(read.log_level, read.log_format)
    return read


def read_moment(text: str) -> datetime:
    """Return a moment that was typed; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "Write it as 2026-11-24, 2026-11-24T18:30 or 2026-11-24T18:30:00+01:00."
        fail("This is not a date, or a date and a time.", hint, EXIT_SETTINGS)
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def read_amount(text: str, *, may_be_negative: bool = False) -> int:
    """Return the micros of an amount that was typed."""
    try:
        micros = parse_money(text)
    except MoneyError:
        fail("The amount is not a number such as 10.00.", "Write it with a point.", EXIT_SETTINGS)
    if micros < 0 and not may_be_negative:
        fail("The amount must not be negative.", "Write one such as 10.00.", EXIT_SETTINGS)
    return micros
