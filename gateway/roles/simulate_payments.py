"""Runs the simulated payment service as a process."""

from __future__ import annotations

import secrets

from gateway.errors import SettingsError
from gateway.roles.process import serve_until_stopped
from gateway.settings import Settings
from simulators.payments import service

PORT = 8095


async def work(
    settings: Settings,
    *,
    is_child: bool,
    host: str = "127.0.0.1",
    port: int = PORT,
    listener: int | None = None,
) -> None:
    """Serve until asked to stop; as a child, on the sockets that it has inherited.

    Raises SettingsError, EndedError.
    """
    if not (settings.stripe_api_key and settings.stripe_webhook_secrets):
        raise SettingsError(
            "CALLER_STRIPE_API_KEY and CALLER_STRIPE_WEBHOOK_SECRETS are missing. Choose any: "
            "sk_test_ and some letters, and any secret; the gateway needs the same."
        )
    simulated = service.PaymentSimulatorSettings(
        api_key=settings.stripe_api_key.reveal(),
        webhook_secret=settings.stripe_webhook_secrets[0].reveal(),
        webhook_url=f"{settings.origin}/stripe/webhook",
        host=host,
        port=port,
        listener=listener,
        # The books outlive the service: it must never reuse a name.
        seed=secrets.randbits(62),
    )
    served = service.PaymentSimulatorService(simulated)
    await serve_until_stopped(served, host, port, is_child=is_child)
