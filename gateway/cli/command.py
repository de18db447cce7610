"""Shared by all commands: running with open stores, printing failures, parsing arguments."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, NoReturn, Protocol, TypeVar

import structlog
import typer
from rich.text import Text

from billing.errors import MoneyError
from billing.money import parse_money
from database.errors import StoreUnavailableError
from gateway.errors import EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_SETTINGS, SettingsError
from gateway.logs import formats
from gateway.roles import process
from gateway.roles.console import err, out
from gateway.roles.process import announce, complain, stop_on_signal
from gateway.settings import Settings
from gateway.stores import settings_files

__all__ = ["announce", "complain", "err", "out", "stop_on_signal"]

_log = structlog.get_logger(__name__)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


UNIT_FOLDER: Final = Path("/var/lib/caller")
"""The data folder of `deploy/systemd/`."""

USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
"""Raised by typer for an unknown command, option or argument; of these exceptions it exports only
this one."""


def run(work: Coroutine[Any, Any, None], settings: Settings | None = None) -> None:
    """Run to completion on uvloop; print a failure as a sentence, with what to do.

    Work that uses a store passes the settings that say where it is.
    """
    try:
        # The failure has been printed; only the exit code is left.
        process.run(work, settings)
    except process.EndedError as ended:
        raise typer.Exit(ended.code) from None


class _Closable(Protocol):
    async def close(self) -> None: ...


_Opened = TypeVar("_Opened", bound=_Closable)


def run_with(
    context: typer.Context,
    open_stores: Callable[[Settings], Awaitable[_Opened]],
    work: Callable[[_Opened, Settings], Awaitable[None]],
    *,
    may_begin: bool = False,
) -> None:
    """Run with open stores; print a sentence if the account does not exist.

    Only a command that `may_begin` creates a data folder: run in a folder other than the gateway's,
    a command would find nothing there, or leave a second store behind.
    """
    settings = read_settings(context)
    if not (settings.redis_url and settings.database_url) and not settings.data_dir.exists():
        folder = settings.data_dir.absolute()
        if not may_begin:
            hint = "Run it where the gateway runs, or set CALLER_DATA_DIR to the gateway's."
            fail(f"There is no store in {folder}.", hint, EXIT_SETTINGS)
        # Announced, because a command in the wrong folder would otherwise start a second book
        # unnoticed.
        announce(f"Creating a new store in {folder}.")
        if UNIT_FOLDER.is_dir():
            announce(
                f"The gateway of this machine's systemd units has another one, in {UNIT_FOLDER}:"
                " docs/operations.md says how to run commands beside it."
            )

    async def opened() -> None:
        # Only while opening: once `work` has begun, "nothing was changed" may be wrong.
        stores = await open_before_changes(open_stores(settings))
        try:
            await work(stores, settings)
        except LookupError as error:
            # Subclasses of LookupError, but these would be bugs: stores raise LookupError itself.
            if isinstance(error, KeyError | IndexError):
                raise
            hint = "`caller accounts create` makes one."
            fail("There is no account with this id.", hint, EXIT_SETTINGS)
        finally:
            await stores.close()

    run(opened(), settings)


async def open_before_changes(opening: Awaitable[_Opened]) -> _Opened:
    """Open stores before anything is changed; if they are away, the error also says so."""
    try:
        return await opening
    except StoreUnavailableError as error:
        # Subclasses (full disk, locked file, unfit database) say themselves what to do.
        if type(error) is not StoreUnavailableError:
            raise  # Its own message says more.
        said = f"{str(error).rstrip('.')}. Nothing was changed."
        raise StoreUnavailableError(said) from error


def fail(what: str, hint: str, code: int) -> NoReturn:
    """Print what is wrong and what to do about it, and exit."""
    complain(what, hint)
    raise typer.Exit(code)


def confirm(question: str, *, yes: bool, default: bool = False) -> None:
    """Ask, unless the command line has the answer; exit if it is no. Enter is `default`."""
    if yes:
        return
    try:
        # A prompt blocks the loop, which otherwise takes Ctrl-C.
        with leaving_at_ctrl_c():
            is_agreed = typer.confirm(question, default=default)
    except typer.Abort:
        err.print()
        hint = "Repeat it with --yes, or at a terminal."
        fail("There was no answer, and nothing was changed.", hint, EXIT_FINDINGS)
    if not is_agreed:
        raise typer.Abort


def prompt(question: str, default: str = "") -> str:
    """Ask for a text; Enter is the default.

    Exits at Ctrl-C; raises typer.Abort if no answer can come any more.
    """
    with leaving_at_ctrl_c():
        return str(typer.prompt(question, default=default, show_default=bool(default)))


def prompt_secret(question: str) -> str:
    """Ask for a text that is not echoed; exits and raises as `prompt` does."""
    # Ctrl-C is raised inside, so that the terminal echoes again. Not with Typer, which shows the
    # question before it turns echo off.
    with leaving_at_ctrl_c():
        try:
            return getpass.getpass(f"{question}: ")
        except EOFError:
            raise typer.Abort from None


def leaving_at_ctrl_c() -> contextlib.AbstractContextManager[None]:
    """Raise typer.Exit at Ctrl-C inside the block, so that code after it still runs."""
    return process.on_interrupt(_end_interrupted)


def _end_interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    err.print()
    raise typer.Exit(EXIT_INTERRUPTED)


def warn_of_open_settings(context: typer.Context) -> None:
    """Warn, before a start, if everyone may read the settings file.

    This does not prevent a start: some containers mount secret files readable by everyone.
    """
    if not (text := settings_files.exposure(settings_files.place(context.obj))):
        return
    if formats.is_json():
        _log.warning(text)
        return
    err.print(Text.assemble(("Warning:", "bold yellow"), f" {text}"), soft_wrap=True)


def read_settings(context: typer.Context) -> Settings:
    """Return the settings from the environment, and set up logging accordingly."""
    try:
        return process.read_settings(context.obj)
    except SettingsError as error:
        fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)


def read_moment(text: str) -> datetime:
    """Parse a typed date or time; UTC unless a zone is given."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "Write it as 2026-11-24, 2026-11-24T18:30 or 2026-11-24T18:30:00+01:00."
        fail("This is not a date, or a date and a time.", hint, EXIT_SETTINGS)
    # UTC like all times that commands print.
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def read_amount(text: str, *, may_be_negative: bool = False) -> int:
    """Parse a typed amount into micros."""
    try:
        micros = parse_money(text)
    except MoneyError:
        fail("The amount is not a number such as 10.00.", "Write it with a point.", EXIT_SETTINGS)
    if micros < 0 and not may_be_negative:
        fail("The amount must not be negative.", "Write one such as 10.00.", EXIT_SETTINGS)
    return micros


def when_to_try(until: datetime | None) -> str:
    """Return advice about what another process holds until a given time; None: no longer."""
    if until is None:
        return "It has ended in the meantime: try again."
    # Rounded up: it may still be held within that second.
    at = until + timedelta(seconds=1)
    return (
        f"Try again at {at:%H:%M:%S} UTC: one that was killed holds it until then, and no longer."
    )
