"""Runs the simulated carrier as a process."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import SettingsError
from gateway.roles.process import serve_until_stopped
from gateway.settings import Settings
from simulators.carrier import service
from simulators.carrier.trust import client_tls

PORT = 8090
RING_S = 2.0
CALLS_PER_SECOND = 50.0


async def work(
    settings: Settings,
    *,
    is_child: bool,
    host: str = "127.0.0.1",
    port: int = PORT,
    listener: int | None = None,
    ring_s: float = RING_S,
    calls_per_second: float = CALLS_PER_SECOND,
    ca: Path | None = None,
) -> None:
    """Serve until asked to stop; as a child, on the sockets that it has inherited.

    Raises SettingsError, EndedError.
    """
    if not (settings.twilio_account_sid and settings.twilio_auth_token):
        raise SettingsError(
            "CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN are missing. Choose any: "
            "AC and 32 hexadecimal digits, and any secret; the gateway needs the same."
        )
    if ca is not None:
        try:
            client_tls(ca)
        except OSError as error:
            raise SettingsError(
                f"--ca: {ca} cannot be read, or holds no certificate in PEM."
            ) from error
    simulated = service.SimulatorSettings(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token.reveal(),
        host=host,
        port=port,
        listener=listener,
        ring_s=ring_s,
        cps=calls_per_second,
        ca_file=ca,
    )
    served = service.SimulatorService(simulated)
    await serve_until_stopped(served, host, port, is_child=is_child)
