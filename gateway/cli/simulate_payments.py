"""Implements `caller simulate-payments`: runs the simulated payment service without a demo."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.command import read_settings, run
from gateway.roles import simulate_payments as role

app = typer.Typer(add_completion=False)


@app.command("simulate-payments")
def simulate_payments(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any.")
    ] = role.PORT,
) -> None:
    """Run the simulated payment service: Stripe's API, a page to pay on, webhooks. No money moves.

    Its key is CALLER_STRIPE_API_KEY; it sends webhooks to CALLER_PUBLIC_ORIGIN, or to the gateway's
    own address, signed with the first of CALLER_STRIPE_WEBHOOK_SECRETS.
    """
    run(role.work(read_settings(context), is_child=False, host=host, port=port))
