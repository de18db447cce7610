"""`caller simulate`: the simulated carrier as a process. Knows no store."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from gateway.cli.command import IsChild, fail, read_settings, run, stop_on_signal, wait
from gateway.errors import EXIT_SETTINGS
from simulators.carrier import service

app = typer.Typer(add_completion=False)


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
        stop = stop_on_signal(is_child=child)
        serving = asyncio.ensure_future(service.run(simulated))
        await wait(stop, is_child=child)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        stop.leave()

    run(work())
