"""The command line: what an operator types. Thin: each command composes, runs and explains.

Knows the environment only as the mapping it is given.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from billing.errors import BillingError, MoneyError, RateDeckError
from billing.money import format_money, parse_money
from gateway import build, check, logs, settings
from gateway.children import parent_gone
from gateway.demo import Demo
from gateway.engine.recovery import bring_credits
from gateway.errors import GatewayError, SettingsError
from gateway.http.auth import key_hash, new_api_key
from gateway.settings import Settings
from gateway.simulator.service import SimulatorSettings
from gateway.simulator.service import run as run_simulator

app = typer.Typer(
    help="A phone call behind a button on a web page: the gateway between browsers and phones.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
accounts = typer.Typer(help="Accounts, their keys and their credit.", no_args_is_help=True)
app.add_typer(accounts, name="accounts")
out = Console()
err = Console(stderr=True)

IsChild = Annotated[
    bool, typer.Option("--child", hidden=True, help="End when standard input closes.")
]

EXIT_SETTINGS = 2
"""The settings must be corrected."""
EXIT_UNAVAILABLE = 3
"""A store or an address was not available; trying again may help."""


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on uvloop; tell a failure in a sentence, with what to do."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except SettingsError as error:
        _fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
    except RateDeckError as error:
        where = f" (line {error.line}, column {error.column})" if error.line else ""
        _fail(f"{error}{where}", "Correct the rate deck.", EXIT_SETTINGS)
    except BillingError as error:
        hint = "Check CALLER_REDIS_URL and CALLER_DATABASE_URL; `caller check` says more."
        _fail(str(error), hint, EXIT_UNAVAILABLE)
    except OSError as error:
        hint = "Check CALLER_HOST and CALLER_PORT; another process may use the port."
        _fail(error.strerror or str(error), hint, EXIT_UNAVAILABLE)
    except GatewayError as error:
        _fail(str(error), "`caller check` says more.", EXIT_UNAVAILABLE)


def _fail(what: str, hint: str, code: int) -> None:
    err.print(f"[bold red]Error:[/] {what}\n[dim]{hint}[/]", highlight=False)
    raise typer.Exit(code)


def _settings(context: typer.Context) -> Settings:
    try:
        read = settings.from_mapping(context.obj)
    except SettingsError as error:
        _fail(str(error), "See docs/configuration.md for every setting.", EXIT_SETTINGS)
        raise AssertionError from None
    logs.configure(read.log_level, read.log_format)
    return read


def stop_on_signal() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets; a second signal ends the process."""
    stop = asyncio.Event()
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


@app.command()
def serve(context: typer.Context) -> None:
    """Run the gateway: pages, API, webhooks and media on one port."""
    read = _settings(context)

    async def work() -> None:
        stop = stop_on_signal()
        node = build.Node(read, context.obj)
        await node.start()
        err.print(f"Caller serves {read.origin} as node {read.node}.", highlight=False)
        await stop.wait()
        err.print("Stopping: no new calls; running ones may finish.", highlight=False)
        await node.stop()

    run(work())


@app.command()
def demo(context: typer.Context) -> None:
    """Run everything at once, with a simulated phone network and an account with credit.

    With Twilio's credentials, a caller id and a public origin in the environment, the same command
    calls real phones.
    """

    async def work() -> None:
        stop = stop_on_signal()
        show = Demo(context.obj)
        read = show.settings()
        logs.configure(
            "warning" if "CALLER_LOG_LEVEL" not in context.obj else read.log_level, "text"
        )
        with err.status("Starting the gateway…"):
            await show.start()
        show.explain(out)
        await stop.wait()
        err.print("\nStopping…", highlight=False)
        await show.stop()

    run(work())


@app.command("check")
def check_command(context: typer.Context) -> None:
    """Validate the settings, reach Redis, SQL and Twilio, and say what is weak."""
    read = _settings(context)

    async def work() -> None:
        findings = await check.findings(read)
        table = Table("", "what", "finding", show_edge=False)
        for finding in findings:
            table.add_row(finding.mark, finding.subject, finding.text)
        out.print(table)
        if any(finding.is_fatal for finding in findings):
            raise typer.Exit(EXIT_UNAVAILABLE)

    run(work())


@app.command()
def drain(context: typer.Context, child: IsChild = False) -> None:
    """Empty the outbox of the credit store into the SQL book of record, until told to stop.

    `caller serve` runs this itself, in a process of its own.
    """
    read = _settings(context)

    async def work() -> None:
        _yield_to_audio()
        stop, enough = stop_on_signal(), asyncio.Event()
        stores = await build.open_stores(read)
        drainer = build.build_drainer(stores)
        draining = asyncio.ensure_future(drainer.run(enough, DRAIN_INTERVAL_S))
        await wait(stop, is_child=child)
        enough.set()
        await draining
        await stores.close()

    run(work())


DRAIN_INTERVAL_S = 0.25
"""How soon after its end a call is found in the list."""


def _yield_to_audio() -> None:
    """Run only where nothing else wants the core: books can wait, audio cannot.

    A nicer process is not enough on Linux: once running it keeps the core for its whole slice of
    some milliseconds, and every call on that core would hear it. SCHED_IDLE gives way at once.
    """
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(10)


@app.command()
def simulate(  # noqa: PLR0917
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any.")] = 8090,
    ring_s: Annotated[float, typer.Option(help="How long phones ring before they answer.")] = 2.0,
    calls_per_second: Annotated[
        float, typer.Option(help="Calls begun per second; more are queued, as Twilio does.")
    ] = 50.0,
    child: IsChild = False,
) -> None:
    """Run the simulated carrier: Twilio's REST API, webhooks and Media Streams, with phones.

    The account is the one of CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN.
    """
    read = _settings(context)
    if not (read.twilio_account_sid and read.twilio_auth_token):
        _fail(
            "CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN are missing.",
            "Choose any: AC and 32 hexadecimal digits, and any secret; the gateway needs the same.",
            EXIT_SETTINGS,
        )
    simulated = SimulatorSettings(
        account_sid=read.twilio_account_sid,
        auth_token=read.twilio_auth_token,
        host=host,
        port=port,
        ring_s=ring_s,
        cps=calls_per_second,
    )

    async def work() -> None:
        stop = stop_on_signal()
        serving = asyncio.ensure_future(run_simulator(simulated))
        await wait(stop, is_child=child)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    run(work())


@app.command("settings")
def settings_command() -> None:
    """Print the reference of all settings as Markdown."""
    sys.stdout.write(settings.markdown())


@accounts.command("create")
def create_account(
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Id of the account, such as acme.")],
    credit: Annotated[str, typer.Option(help="Credit to begin with, such as 10.00.")] = "0",
) -> None:
    """Create an account and print its API key, which is shown only once."""
    read = _settings(context)
    micros = _amount(credit)

    async def work() -> None:
        stores = await build.open_stores(read)
        try:
            if not await stores.accounts.create_account(account_id, read.currency):
                _fail("An account of this id exists.", "Choose another id.", EXIT_SETTINGS)
            key = new_api_key()
            await stores.accounts.add_api_key(account_id, key_hash(key), "first key")
            if micros:
                await _grant(stores, account_id, micros, f"grant:{account_id}:first")
        finally:
            await stores.close()
        out.print(key, highlight=False)

    run(work())


@accounts.command("credit")
def credit_account(
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Id of the account.")],
    amount: Annotated[str, typer.Argument(help="Amount, such as 10.00; negative to take back.")],
    reference: Annotated[str, typer.Option(help="Names this credit; it is booked only once.")],
) -> None:
    """Grant an account credit, once per reference."""
    read = _settings(context)
    micros = _amount(amount)

    async def work() -> None:
        stores = await build.open_stores(read)
        try:
            is_new = await _grant(stores, account_id, micros, f"grant:{account_id}:{reference}")
            balance = await stores.gate.balance(account_id)
        except LookupError:
            hint = "`caller accounts create` makes one."
            _fail("There is no account of this id.", hint, EXIT_SETTINGS)
        finally:
            await stores.close()
        state = "Granted" if is_new else "Granted before"
        out.print(f"{state}. Balance: {format_money(balance, read.currency)}", highlight=False)

    run(work())


async def _grant(stores: build.Stores, account_id: str, micros: int, reference: str) -> bool:
    sequence = await stores.ledger.add_credit(account_id, micros, reference=reference, kind="grant")
    await bring_credits(stores.gate, stores.ledger, account_id)
    return sequence is not None


def _amount(text: str) -> int:
    try:
        return parse_money(text)
    except MoneyError:
        _fail("The amount is not a number such as 10.00.", "Write it with a point.", EXIT_SETTINGS)
        raise AssertionError from None
