"""Implements `caller simulate`: runs the simulated carrier without a demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.command import read_settings, run
from gateway.roles import simulate as role

app = typer.Typer(add_completion=False)


@app.command()
def simulate(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any.")
    ] = role.PORT,
    ring_s: Annotated[
        float, typer.Option(help="How long phones ring before they answer.")
    ] = role.RING_S,
    calls_per_second: Annotated[
        float, typer.Option(help="Calls begun per second; more are queued, as Twilio does.")
    ] = role.CALLS_PER_SECOND,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Certificate of a private authority, in PEM, that is trusted beside the system's.",
        ),
    ] = None,
) -> None:
    """Run the simulated carrier: Twilio's REST API, webhooks and Media Streams, with phones.

    The account is the one of CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN. The gateway's
    CALLER_CARRIER_URL leads here, and its CALLER_PUBLIC_ORIGIN must be reached from here: by https,
    with a certificate that is trusted (--ca), callbacks and media sockets use TLS, by http neither.
    """
    settings = read_settings(context)
    run(
        role.work(
            settings,
            is_child=False,
            host=host,
            port=port,
            ring_s=ring_s,
            calls_per_second=calls_per_second,
            ca=ca,
        )
    )
