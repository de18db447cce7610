"""Checks whether the carrier can reach this gateway: its public origin, from end to end.

If no gateway runs, a probe listens in its place during the check.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from billing.stores.redis_client import disconnect
from database.errors import StoreUnavailableError
from gateway.carriers.known import chosen
from gateway.finding import Finding, away, wrong
from gateway.roles import probe, public_origin
from gateway.roles.preflight import CERTIFICATE_DAYS_LEFT_MIN, credit_client
from gateway.roles.probe import Probe
from gateway.roles.public_origin import OriginAnswer
from gateway.roles.unnamed_proxy import what_to_set
from gateway.settings import Settings
from gateway.sockets.addresses import Proxies
from gateway.stores.leases import RedisNodeLeases
from gateway.stores.unnamed_proxy import RedisUnnamedProxy

_ONLY: Final = "The carrier reaches this gateway by CALLER_PUBLIC_ORIGIN only."
_LOOK_S: Final = 10.0
"""How long a proxy may take to notice that something listens where nothing did."""
_LOOK_AGAIN_S: Final = 0.3
_BELOW: Final = "Let the proxy pass WebSockets below /n/ (headers Upgrade and Connection)."


async def findings(settings: Settings) -> list[Finding]:
    """Ask the public origin for this gateway, and report where the way ends."""
    found = _scheme(settings)
    served = await _instances(settings)
    if served:
        found += await _of_gateway(settings, served)
    else:
        # Not known to be alone if Redis does not say which processes serve.
        async with probe.listening(settings, is_alone=served is not None) as listening:
            if listening is None:
                found += await _of_gateway(settings, frozenset())
            else:
                found += await _of_probe(settings, listening)
    return [*found, *await _proxy(settings), *await _certificate(settings)]


def _scheme(settings: Settings) -> list[Finding]:
    if settings.origin.startswith("https://"):
        return []
    adapter = chosen(settings)
    text = f"CALLER_PUBLIC_ORIGIN is {settings.origin}; {adapter.title} and microphones need https."
    # Only a warning if the carrier is simulated: the demo runs this way.
    if adapter.needs_https(settings):
        return [wrong("origin", f"{text} Put a proxy with a certificate in front.")]
    return [Finding("origin", text, is_weak=True)]


async def _of_probe(settings: Settings, listening: Probe) -> list[Finding]:
    """Ask for the probe that listens in the gateway's place."""
    answer = await _once_it_is_found(settings, listening)
    if answer.instance != listening.instance:
        if answer.is_silent or not (await public_origin.ask(settings.origin)).instance:
            return [away("reach", _told(answer, settings))]
        # For example when this is run beside the gateway's container and its stores.
        text = f"A gateway answers at {settings.origin}; whether this one, is not known."
        elsewhere = f"It does not listen on port {settings.port} of this machine."
        return [Finding("reach", f"{text} {elsewhere}", is_weak=True)]
    text = f"{settings.origin} leads to port {settings.port} of this machine."
    fault = await public_origin.upgrade(settings.origin, listening.path, said=listening.instance)
    if fault:
        return [Finding("reach", text), away("sockets", f"{fault} {_BELOW}")]
    return [Finding("reach", text), Finding("sockets", "WebSockets pass.")]


async def _once_it_is_found(settings: Settings, listening: Probe) -> OriginAnswer:
    """Ask until the proxy has noticed what listens; return the last answer."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _LOOK_S
    while True:
        answer = await public_origin.ask(settings.origin, path=listening.path)
        if not answer.is_from_proxy or loop.time() >= until_s:
            return answer
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _of_gateway(settings: Settings, served: frozenset[str]) -> list[Finding]:
    """Ask for the running gateway, by its instance name."""
    # Asked from this machine: a firewall may still keep the carrier out.
    answer = await public_origin.ask(settings.origin, known=served)
    # Compared by random instance names, since any gateway could answer there.
    if answer.instance in served:
        text = f"{settings.origin} leads to this gateway."
        return [Finding("reach", text), await _sockets(settings)]
    if answer.instance and served:
        return [away("reach", f"{public_origin.other_gateway(settings.origin)} {_ONLY}")]
    if answer.instance:
        text = f"A gateway answers at {settings.origin}; whether this one, is not known."
        return [Finding("reach", text, is_weak=True)]
    # Nothing runs yet, so silence is not a fault of the origin.
    if answer.is_silent and not served:
        text = f"{answer.fault} Start `caller serve`, then check again."
        return [Finding("reach", text, is_weak=True)]
    return [away("reach", _told(answer, settings))]


async def _proxy(settings: Settings) -> list[Finding]:
    """Report that all requests to the running gateway come from one untrusted address."""
    redis = credit_client(settings)
    if redis is None:
        return []
    try:
        address = await RedisUnnamedProxy(redis).address()
    except StoreUnavailableError:
        # The credit store has a finding of its own.
        return []
    finally:
        await disconnect(redis)
    return proxy_finding(settings, address)


def proxy_finding(settings: Settings, address: str) -> list[Finding]:
    """Assess the one address that all requests come from; empty for none."""
    if not address:
        return []
    text = f"All requests come from {address}, which is not trusted."
    if address in Proxies(settings.trusted_proxies):
        hint = "It will be from the next start of `caller serve` on."
    else:
        hint = what_to_set(settings, address)
    return [Finding("proxy", f"{text} {hint}", is_weak=True)]


def _told(answer: OriginAnswer, settings: Settings) -> str:
    hint = answer.hint or f"Let it lead to TCP port {settings.port} of this machine."
    if answer.is_from_proxy:
        well = "If it does, see that it asks there for GET /healthz or /readyz."
        hint = f"A proxy answers that reaches no gateway. {hint} {well}"
    return f"{answer.fault} {hint}"


async def _sockets(settings: Settings) -> Finding:
    """Open the socket that a browser opens, and say nothing on it."""
    path = f"/n/{settings.node}/media/browser"
    fault = await public_origin.upgrade(settings.origin, path)
    if not fault:
        return Finding("sockets", "WebSockets pass.")
    # Another node may answer there, or refuse for a reason of its own.
    return Finding("sockets", f"Not known whether they pass: {fault} {_BELOW}", is_weak=True)


async def _certificate(settings: Settings) -> list[Finding]:
    """Report how long the origin's certificate is valid; `reach` reports an invalid one."""
    until = await public_origin.certificate_end(settings.origin)
    return [] if until is None else [certificate_finding(until, datetime.now(UTC))]


def certificate_finding(until: datetime, now: datetime) -> Finding:
    """Assess how much longer the origin's certificate is valid."""
    days = (until - now).days
    text = f"The origin's certificate is valid for {days} days, until {until:%Y-%m-%d %H:%M} UTC."
    # One that renews automatically does so earlier.
    if until - now < timedelta(days=CERTIFICATE_DAYS_LEFT_MIN):
        return Finding("certificate", f"{text} Renew it.", is_weak=True)
    return Finding("certificate", text)


async def _instances(settings: Settings) -> frozenset[str] | None:
    """Return the instance names of the processes that serve on these stores; None if unknown."""
    redis = credit_client(settings)
    if redis is None:
        return frozenset()
    try:
        return await RedisNodeLeases(redis).instances()
    except StoreUnavailableError:
        return None
    finally:
        await disconnect(redis)
