"""Asks the public origin for its gateway, as the carrier would, and says what is wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.fleet.instances import NONCE, PROOF, found_in, new_nonce
from gateway.knobs import SCHEME_PORTS
from gateway.unreadable import UNREADABLE

TIMEOUT_S: Final = 4.0
"""How long a carrier waits for the answer to a callback."""
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
_CERTIFICATE: Final = "Serve one of a public authority for this name, with its whole chain."
_DNS: Final = "Make an A or AAAA record that leads to this machine, or correct the name."
_TLS: Final = "Put a proxy with TLS in front, or set CALLER_TLS_CERTIFICATE and CALLER_TLS_KEY."
_PROXY_STATUSES: Final = frozenset({502, 503, 504})
"""How a proxy answers that cannot reach its backend (RFC 9110, 15.6.3 to 15.6.5)."""
_OPEN: Final = "Open its port in the firewall, and see that the proxy runs."
UNKNOWN: Final = "unknown"
"""A gateway, but none of the known ones."""


@dataclass(frozen=True, slots=True)
class OriginAnswer:
    """What was found at an origin."""

    instance: str = ""
    """Random name of the process that answered; empty if it is not a gateway."""
    fault: str = ""
    """What is wrong, as a sentence; empty for nothing."""
    hint: str = ""
    """What to do about it, as far as that follows from the fault."""
    is_silent: bool = False
    """Whether nothing answered at all, as if no gateway was started."""
    is_from_proxy: bool = False
    """Whether a proxy answered that reaches no backend; it may just not have checked again yet."""


async def ask(
    origin: str,
    context: ssl.SSLContext | None = None,
    *,
    known: Iterable[str] = (),
    path: str = "/healthz",
) -> OriginAnswer:
    """Fetch the page that tells the instance; verify by `context`, or the system's roots.

    A gateway only tells whether it is one of those that are `known`; otherwise it is `UNKNOWN`.
    """
    nonce = new_nonce()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.get(
                f"{origin}{path}",
                params={NONCE: nonce},
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
            return _judge(origin, reply.status, bytes(body), known, nonce)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _failure(origin, error)


async def upgrade(
    origin: str, path: str, context: ssl.SSLContext | None = None, *, said: str = ""
) -> str:
    """Open a WebSocket, expecting `said` as the first message if given; return what is wrong.

    Empty if everything between here and the gateway lets the handshake through.
    """
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"{origin}{path}",
                origin=origin,
                ssl=context or ssl.create_default_context(),
                max_msg_size=_BYTES_MAX,
            ) as socket,
        ):
            if said and (await socket.receive()).data != said:
                return f"A WebSocket to {origin} carries no messages."
    except aiohttp.WSServerHandshakeError as error:
        return f"A WebSocket to {origin} was answered with HTTP {error.status}."
    except (aiohttp.ClientError, OSError, ValueError):
        return f"A WebSocket to {origin} could not be opened."
    return ""


async def certificate_end(origin: str, context: ssl.SSLContext | None = None) -> datetime | None:
    """Return when an origin's certificate expires; None without TLS, or if none is accepted."""
    parts = urlsplit(origin)
    if parts.scheme != "https":
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or SCHEME_PORTS["https"],
                ssl=context or ssl.create_default_context(),
            )
            certificate = writer.get_extra_info("peercert")
            # No orderly close: a server might never answer it.
            writer.transport.abort()
    except (OSError, ValueError):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def _failure(origin: str, error: Exception) -> OriginAnswer:
    match error:
        # Specific errors first: they are subclasses of ClientConnectorError.
        case aiohttp.ClientConnectorCertificateError():
            code = getattr(error.certificate_error, "verify_code", 0)
            fault = _CERTIFICATE_FAULTS.get(code, "is not accepted")
            return OriginAnswer(fault=f"The certificate of {origin} {fault}.", hint=_CERTIFICATE)
        case aiohttp.ClientConnectorDNSError():
            fault = f"The name {urlsplit(origin).hostname} is not known to DNS."
            return OriginAnswer(fault=fault, hint=_DNS)
        case aiohttp.ClientConnectorSSLError():
            return OriginAnswer(fault=f"What listens at {origin} does not speak TLS.", hint=_TLS)
        case TimeoutError():
            fault = f"{origin} does not answer within {TIMEOUT_S:.0f} s."
            return OriginAnswer(fault=fault, hint=_OPEN, is_silent=True)
        case aiohttp.ClientConnectorError():
            return OriginAnswer(fault=f"Nothing listens at {origin}.", hint=_OPEN, is_silent=True)
        # It accepted the connection, but did not answer in HTTP.
        case _:
            return OriginAnswer(fault=f"What answers at {origin} is not this gateway.")


def _judge(origin: str, status: int, body: bytes, known: Iterable[str], nonce: str) -> OriginAnswer:
    if 300 <= status < 400:
        fault = f"{origin} redirects elsewhere, which the carrier's sockets cannot."
        return OriginAnswer(fault=fault, hint="Name the origin that it leads to.")
    try:
        said = msgspec.json.decode(body) if status == 200 else {}
        # The probe that listens in a gateway's place gives its name.
        instance = said.get("instance", "")
        if isinstance(proof := said.get(PROOF), str):
            instance = found_in(known, nonce, proof) or UNKNOWN
    except (*UNREADABLE, AttributeError):
        instance = ""
    if isinstance(instance, str) and instance:
        return OriginAnswer(instance=instance)
    fault = f"What answers at {origin} is not this gateway (HTTP {status})."
    return OriginAnswer(fault=fault, is_from_proxy=status in _PROXY_STATUSES)


def other_gateway(origin: str) -> str:
    """Return the finding for a gateway at the origin that does not belong to this deployment."""
    return f"What answers at {origin} is another gateway, none that shares this one's stores."
