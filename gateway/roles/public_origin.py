"""Asks the public origin for its health, as the carrier would reach it, and says what is wrong.

Knows no call and no settings.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.unreadable import UNREADABLE

TIMEOUT_S: Final = 4.0
"""How long a carrier waits for a callback's answer."""
_BYTES_MAX: Final = 64 * 1024

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_CERTIFICATE_FAULTS: Final = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed: the carrier trusts public authorities only",
    19: "is signed by an authority of its own, which the carrier does not trust",
    20: "is of an unknown authority, or comes without the intermediate certificates of its chain",
    21: "is of an unknown authority, or comes without the intermediate certificates of its chain",
    62: "is for another host",
    64: "is for another address",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found at an origin."""

    instance: str = ""
    """Random name of the process that answered; empty if it is no gateway."""
    fault: str = ""
    """What is wrong, as a sentence; empty for nothing."""
    is_silent: bool = False
    """Whether nothing answered at all, as if no gateway was started."""


async def ask(origin: str, context: ssl.SSLContext | None = None) -> Answer:
    """Fetch `/healthz` of an origin; verify its certificate by `context`, or the system's roots."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.get(
                f"{origin}/healthz",
                # The carrier's media sockets follow no redirect, so it would be a fault.
                allow_redirects=False,
                ssl=context or ssl.create_default_context(),
            ) as reply,
        ):
            body = bytearray()
            async for part in reply.content.iter_any():
                body += part
                # Whatever answers may not be a gateway, and may never end.
                if len(body) > _BYTES_MAX:
                    break
            return _judge(origin, reply.status, bytes(body))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _failure(origin, error)


def _failure(origin: str, error: Exception) -> Answer:
    match error:
        # Specific errors first: they are subclasses of ClientConnectorError.
        case aiohttp.ClientConnectorCertificateError():
            code = getattr(error.certificate_error, "verify_code", 0)
            fault = _CERTIFICATE_FAULTS.get(code, "is not accepted")
            return Answer(fault=f"The certificate of {origin} {fault}.")
        case aiohttp.ClientConnectorDNSError():
            return Answer(fault=f"The name {urlsplit(origin).hostname} is not known to DNS.")
        case aiohttp.ClientConnectorSSLError():
            return Answer(fault=f"What listens at {origin} does not speak TLS.")
        case TimeoutError():
            fault = f"{origin} does not answer within {TIMEOUT_S:.0f} s."
            return Answer(fault=fault, is_silent=True)
        case aiohttp.ClientConnectorError():
            return Answer(fault=f"Nothing listens at {origin}.", is_silent=True)
        # It accepted the connection, but did not answer in HTTP.
        case _:
            return Answer(fault=f"What answers at {origin} is not this gateway.")


def _judge(origin: str, status: int, body: bytes) -> Answer:
    if 300 <= status < 400:
        return Answer(fault=f"{origin} redirects elsewhere, which the carrier's sockets cannot.")
    try:
        said = msgspec.json.decode(body)
        instance = said["instance"] if status == 200 else ""
    except (*UNREADABLE, KeyError, TypeError):
        instance = ""
    if isinstance(instance, str) and instance:
        return Answer(instance=instance)
    return Answer(fault=f"What answers at {origin} is not this gateway (HTTP {status}).")


def other_gateway(origin: str) -> str:
    """Say that a gateway answers at the origin which is none of this deployment."""
    return f"What answers at {origin} is another gateway, none that shares this one's stores."
