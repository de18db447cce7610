"""What the command line's commands share: running to the end, and telling failures in words."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated, Any, Final, NoReturn, Protocol, TypeVar

import structlog
import typer
import uvloop
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from billing.errors import (
    BillingError,
    CreditsLostError,
    DatabaseLockedError,
    MoneyError,
    RateDeckError,
    StoreFullError,
    StoreUnavailableError,
    UnfitBookError,
    UnfitFileError,
)
from billing.money import parse_money
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


class WholeWords(Console):
    """A console that breaks no word of a table, however narrow it is: an id that is cut is none."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does; a table is at least as wide as its longest words together."""
        for table in objects:
            if isinstance(table, Table) and table.columns:
                _keep_words_whole(table, self)
                options["crop"] = False
        super().print(*objects, **options)


def _keep_words_whole(table: Table, console: Console) -> None:
    """Set the widths of a table's columns; Rich itself narrows the widest ones, words or not."""
    wide = console.options.update(max_width=_ANY_WIDTH)
    ranges = [
        [Measurement.get(console, wide, cell) for cell in (column.header, *column.cells)]
        for column in table.columns
    ]
    least = [max(each.minimum for each in column) for column in ranges]
    most = [max(each.maximum for each in column) for column in ranges]
    frame = Measurement.get(console, wide, table).maximum - sum(most)
    if frame + sum(most) <= console.width:
        return
    for _ in range(console.width - frame - sum(least)):
        # What is left goes to the columns that lack least, so that few of them are broken.
        at = min((m - n, i) for i, (m, n) in enumerate(zip(most, least, strict=True)) if m > n)[1]
        least[at] += 1
    for column, width in zip(table.columns, least, strict=True):
        column.width = width
    table.width = frame + sum(least)


_ANY_WIDTH = 100_000

# What is printed may hold anything an operator typed or a vendor said: none of it is markup.
out = WholeWords(markup=False, highlight=False, emoji=False)
err = WholeWords(stderr=True, markup=False, highlight=False, emoji=False)

_log = structlog.get_logger(__name__)


SWITCH_S = 0.0005
"""How long a thread that computes, such as one that reads a rate deck, keeps the interpreter from
the loop each time the loop has waited for the kernel. Python's own 5 ms are a gap in every call."""


Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
"""What typer raises for a command, an option or an argument that it does not know; it exports only
this one of its kinds."""


IsChild = Annotated[
    bool, typer.Option("--child", hidden=True, help="End when standard input closes.")
]
"""Of a command that another process of ours starts."""


def run(work: Coroutine[Any, Any, None], read: Settings | None = None) -> None:
    """Run to the end on uvloop; tell a failure in a sentence, with what to do.

    Work that uses a store gives the settings that say where it is.
    """
    sys.setswitchinterval(SWITCH_S)
    try:
        with (
            # With this handler, asyncio cancels the work and raises KeyboardInterrupt at its end.
            _on_interrupt(signal.default_int_handler),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.get_loop().set_exception_handler(formats.on_loop_error)
            runner.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except SettingsError as error:
        fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    except BillingError as error:
        fail(*_of_billing(error, read))
    except OSError as error:
        if error.filename is not None:
            hint = "Check CALLER_DATA_DIR and the files that the settings name."
            fail(f"{error.filename}: {error.strerror}.", hint, EXIT_UNAVAILABLE)
        hint = "Check CALLER_HOST, CALLER_PORT and CALLER_UDP_PORT; another process may use it."
        fail(error.strerror or str(error), hint, EXIT_UNAVAILABLE)
    except GatewayError as error:
        fail(str(error), "`caller check` says more.", EXIT_UNAVAILABLE)


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
        """End the command, everything being closed: by Ctrl-C as shells expect it, else well."""
        if self._is_interrupted:
            raise typer.Exit(EXIT_INTERRUPTED)


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


async def wait(stop: asyncio.Event, *, is_child: bool) -> None:
    """Return when `stop` is set or, for a child process, when the parent is gone."""
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(stop.wait())]
    if is_child:
        waiting.append(asyncio.ensure_future(parent_gone()))
    _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


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
    """Run with open stores; tell an account that is not there in words.

    Only one that `may_begin` makes a data folder: typed in another folder than the gateway's, a
    command would find nothing there, or leave a second store behind.
    """
    read = read_settings(context)
    if not (read.redis_url and read.database_url) and not read.data_dir.exists():
        folder = read.data_dir.absolute()
        if not may_begin:
            hint = "Run it where the gateway runs, or set CALLER_DATA_DIR to the gateway's."
            fail(f"There is no store in {folder}.", hint, EXIT_SETTINGS)
        announce(f"A new store is begun in {folder}.")

    async def opened() -> None:
        stores = await unchanged(open_stores(read))
        try:
            await work(stores, read)
        except LookupError as error:
            if isinstance(error, KeyError | IndexError):
                raise
            hint = "`caller accounts create` makes one."
            fail("There is no account of this id.", hint, EXIT_SETTINGS)
        finally:
            await stores.close()

    run(opened(), read)


async def unchanged(opening: Awaitable[_Opened]) -> _Opened:
    """Open stores; where they are away, say that nothing was changed."""
    try:
        return await opening
    except StoreUnavailableError as error:
        if type(error) is not StoreUnavailableError:
            raise  # It says more.
        said = f"{str(error).rstrip('.')}. Nothing was changed."
        raise StoreUnavailableError(said) from error


def fail(what: str, hint: str, code: int) -> NoReturn:
    """Say what is wrong and what to do about it, and end."""
    complain(what, hint)
    raise typer.Exit(code)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless the answer was given with the command; end where it is no."""
    if not yes:
        # A prompt blocks the loop, which otherwise takes Ctrl-C.
        with _on_interrupt(_end_interrupted):
            typer.confirm(question, abort=True)


def _end_interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    err.print()
    raise typer.Exit(EXIT_INTERRUPTED)


@contextlib.contextmanager
def _on_interrupt(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
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


def complain(what: str, hint: str) -> None:
    """Say what is wrong and what to do about it, in the form of log lines if that is JSON."""
    if formats.is_json():
        _log.error(what, hint=hint)
        return
    said = Text.assemble(("Error:", "bold red"), f" {what}\n", (hint, "dim"))
    # Not wrapped: a path that is broken over two lines is none.
    err.print(said, soft_wrap=True)


def announce(text: str) -> None:
    """Say how a long-running command stands, in the form of log lines if that is JSON."""
    if formats.is_json():
        _log.info(text)
        return
    # The terminal may be closed, and a node that drains goes on without it.
    with contextlib.suppress(OSError):
        err.print(text, soft_wrap=True)


def read_settings(context: typer.Context) -> Settings:
    """Return the settings of the environment, and log as they say."""
    # Also what is wrong with the settings is told in the form that they ask for.
    formats.prepare(context.obj)
    try:
        read = settings.from_mapping(context.obj)
    except SettingsError as error:
        fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    formats.configure(read.log_level, read.log_format)
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
