"""The command line: what an operator types. Thin: each command composes, runs and explains.

Knows the environment only as the mapping it is given.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway import build, check, cli_accounts, cli_ledger, cli_payments, cli_rates, logs, settings
from gateway.children import Pulse, parent_gone
from gateway.command import (
    EXIT_SETTINGS,
    EXIT_UNAVAILABLE,
    err,
    fail,
    out,
    read_settings,
    run,
)
from gateway.demo import Demo
from gateway.node import Node, open_mails
from gateway.notices import Notices

app = typer.Typer(
    help="A phone call behind a button on a web page: the gateway between browsers and phones.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(cli_accounts.app, name="accounts")
app.add_typer(cli_rates.rates, name="rates")
app.add_typer(cli_ledger.app, name="ledger")
app.add_typer(cli_payments.app, name="payments")
IsChild = Annotated[
    bool, typer.Option("--child", hidden=True, help="End when standard input closes.")
]


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
    read = read_settings(context)

    async def work() -> None:
        stop = stop_on_signal()
        node = Node(read, context.obj)
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
    read = read_settings(context)

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
    read = read_settings(context)

    async def work() -> None:
        _yield_to_audio()
        stop, enough = stop_on_signal(), asyncio.Event()
        stores = await build.open_stores(read, is_child=child)
        notices, mails = Notices(read.events_url, read.events_secret), open_mails(read, stores)
        notices.start()

        def notify(name: str, data: Mapping[str, Any]) -> None:
            notices.notify(name, data)
            mails.notify(name, data)

        pulse = Pulse(DRAIN_TURN_S_MAX, time.monotonic)
        drainer = build.build_drainer(stores, read, notify, pulse.turn)
        draining = asyncio.ensure_future(drainer.run(enough, DRAIN_INTERVAL_S))
        pulsing = asyncio.ensure_future(pulse.run()) if child else None
        await wait(stop, is_child=child)
        enough.set()
        await draining
        if pulsing is not None:
            pulsing.cancel()
        await notices.stop()
        await mails.stop()
        await stores.close()

    run(work())


DRAIN_INTERVAL_S = 0.5
"""How soon after its end a call is found in the list."""
DRAIN_TURN_S_MAX = 60.0
"""How long one batch may take before the drainer counts as stuck: several times what all time-outs
of its stores come to."""


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
    # Imported here, for every other process starts sooner without it.
    from gateway.simulator import service  # noqa: PLC0415

    read = read_settings(context)
    if not (read.twilio_account_sid and read.twilio_auth_token):
        fail(
            "CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN are missing.",
            "Choose any: AC and 32 hexadecimal digits, and any secret; the gateway needs the same.",
            EXIT_SETTINGS,
        )
    simulated = service.SimulatorSettings(
        account_sid=read.twilio_account_sid,
        auth_token=read.twilio_auth_token.reveal(),
        host=host,
        port=port,
        ring_s=ring_s,
        cps=calls_per_second,
        plain=not read.tls_certificate,
    )

    async def work() -> None:
        stop = stop_on_signal()
        serving = asyncio.ensure_future(service.run(simulated))
        await wait(stop, is_child=child)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    run(work())


@app.command("simulate-payments")
def simulate_payments(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any.")] = 8095,
    child: IsChild = False,
) -> None:
    """Run the simulated payment service: Stripe's API, a page to pay on, webhooks. No money moves.

    Its key is CALLER_STRIPE_API_KEY; it tells the gateway at CALLER_PUBLIC_ORIGIN, or at the
    gateway's own address, and signs with the first of CALLER_STRIPE_WEBHOOK_SECRETS.
    """
    from gateway.payment_simulator import service  # noqa: PLC0415

    read = read_settings(context)
    if not (read.stripe_api_key and read.stripe_webhook_secrets):
        fail(
            "CALLER_STRIPE_API_KEY and CALLER_STRIPE_WEBHOOK_SECRETS are missing.",
            "Choose any: sk_test_ and some letters, and any secret; the gateway needs the same.",
            EXIT_SETTINGS,
        )
    simulated = service.PaymentSimulatorSettings(
        api_key=read.stripe_api_key.reveal(),
        webhook_secret=read.stripe_webhook_secrets[0].reveal(),
        webhook_url=f"{read.origin}/stripe/webhook",
        host=host,
        port=port,
        # The books outlive the service: what it names now must not have been named before.
        seed=secrets.randbits(62),
    )

    async def work() -> None:
        stop = stop_on_signal()
        serving = asyncio.ensure_future(service.run(simulated))
        await wait(stop, is_child=child)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    run(work())


@app.command("settings")
def settings_command() -> None:
    """Print the reference of all settings as Markdown."""
    sys.stdout.write(settings.markdown())
