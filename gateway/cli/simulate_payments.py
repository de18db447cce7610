"""`caller simulate-payments`: the simulated payment service as a process. Knows no store."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated

import typer

from gateway.cli.command import IsChild, fail, read_settings, run, stop_on_signal, wait
from gateway.errors import EXIT_SETTINGS
from simulators.payments import service

app = typer.Typer(add_completion=False)


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
        stop = stop_on_signal(is_child=child)
        serving = asyncio.ensure_future(service.run(simulated))
        await wait(stop, is_child=child)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        stop.leave()

    run(work())
