"""What `caller check` looks at: settings and the files they name, the stores, the carrier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.text import Text

from billing.errors import BillingError
from billing.stores.database import create_engine
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect, preflight
from gateway import build, high_risk
from gateway.addresses import webrtc_addresses
from gateway.carriers import public_origin
from gateway.carriers.twilio import TRIAL
from gateway.engine.outbox_alarm import DRAINED_AGE_S_MAX
from gateway.errors import CarrierError, GatewayError
from gateway.settings import Settings
from gateway.sockets import tls
from gateway.stores import embedded, private_files
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.leases import RedisNodeLeases
from gateway.velocity import LIMITS
from media import playout

CERTIFICATE_DAYS_LEFT_MIN = 14
"""Certificates that renew themselves do so a month before their end."""


_ORIGIN_HINT = "The carrier reaches this gateway by CALLER_PUBLIC_ORIGIN only."


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    subject: str
    text: str
    is_fatal: bool = False
    is_weak: bool = False

    @property
    def mark(self) -> Text:
        """A sign that also reads without colour."""
        if self.is_fatal:
            return Text("✗", style="red")
        return Text("!", style="yellow") if self.is_weak else Text("✓", style="green")


async def findings(settings: Settings) -> list[Finding]:
    """Look at everything; nothing is changed."""
    return [
        build_finding(playout.__file__),
        *_settings(settings),
        *_files(settings),
        _high_risk(settings),
        _velocity(settings),
        *_tls(settings, datetime.now(UTC)),
        _webrtc(settings),
        await _redis(settings),
        await _drainer(settings),
        await _database(settings),
        await _carrier(settings),
        await _reach(settings),
    ]


def build_finding(module_file: str) -> Finding:
    """Judge where a module of the frame path was loaded from; see docs/design/0005-compiled.md."""
    if not module_file.endswith(".py"):
        return Finding("build", "The frame path is compiled.")
    text = (
        "The frame path is interpreted: calls take a quarter more CPU. Install with a C compiler."
    )
    return Finding("build", text, is_weak=True)


def _settings(settings: Settings) -> list[Finding]:
    found = [Finding("settings", "All are known and within their bounds.")]
    if not settings.origin.startswith("https://"):
        text = f"CALLER_PUBLIC_ORIGIN is {settings.origin}; Twilio and microphones need https."
        found.append(Finding("origin", text, is_weak=True))
    try:
        deck = build.load_deck(settings)
    except (BillingError, GatewayError) as error:
        found.append(Finding("rates", str(error), is_fatal=True))
    else:
        if not settings.rate_deck:
            text = "The bundled deck holds EXAMPLE prices; set CALLER_RATE_DECK to your own."
            found.append(Finding("rates", text, is_weak=True))
        else:
            text = f"{len(deck)} prefixes are priced."
            if costs := deck.costs():
                text += f" {len(costs)} of them cover the carrier's minute, which the deck names."
            found.append(Finding("rates", text))
    return found


def _files(settings: Settings) -> list[Finding]:
    if settings.redis_url and settings.database_url:
        return []
    folder = settings.data_dir
    if problem := private_files.refusal(folder):
        return [Finding("files", problem, is_fatal=True)]
    if private_files.is_open(folder):
        text = f"Everyone on this machine may look into {folder}; the next start closes it."
        return [Finding("files", text, is_weak=True)]
    return []


def _high_risk(settings: Settings) -> Finding:
    opened = settings.open_high_risk
    if not opened:
        text = f"Closed; {len(high_risk.HIGH_RISK)} prefixes are listed."
        return Finding("high risk", text)
    named = (f"+{prefix} ({high_risk.opens(prefix) or 'was not closed'})" for prefix in opened)
    text = f"CALLER_OPEN_HIGH_RISK opens {', '.join(named)}: watch what is called there."
    return Finding("high risk", text, is_weak=True)


def _velocity(settings: Settings) -> Finding:
    off = [name for name, amount in settings.velocity_limits if amount is None]
    if not off:
        return Finding("velocity", f"{len(LIMITS)} limits hold.")
    text = f"CALLER_VELOCITY_LIMITS switches off {', '.join(off)}: a leaked key calls without end."
    return Finding("velocity", text, is_weak=True)


def _tls(settings: Settings, now: datetime) -> list[Finding]:
    if not settings.tls_certificate:
        return []
    certificate = Path(settings.tls_certificate)
    try:
        tls.load(certificate, Path(settings.tls_key))
        facts = tls.read_facts(certificate)
    except GatewayError as error:
        return [Finding("tls", str(error), is_fatal=True)]
    if not facts.valid_from <= now < facts.valid_until:
        text = f"CALLER_TLS_CERTIFICATE is valid from {facts.valid_from} to {facts.valid_until}."
        return [Finding("tls", text, is_fatal=True)]
    text = f"CALLER_TLS_CERTIFICATE is valid until {facts.valid_until}."
    is_weak = facts.valid_until - now < timedelta(days=CERTIFICATE_DAYS_LEFT_MIN)
    if not facts.covers(settings.origin):
        text, is_weak = f"CALLER_TLS_CERTIFICATE does not name {settings.origin}.", True
    return [Finding("tls", text, is_weak=is_weak)]


def _webrtc(settings: Settings) -> Finding:
    if settings.webrtc == "off":
        return Finding("webrtc", "Off: browsers send their audio on the socket.")
    addresses, port = webrtc_addresses(settings)
    told = f"Browsers are told {', '.join(addresses)}, UDP port {port}"
    if settings.public_ips or any(ip_address(address).is_global for address in addresses):
        return Finding("webrtc", f"{told}.")
    text = f"{told}, which the internet cannot reach; set CALLER_PUBLIC_IPS."
    return Finding("webrtc", text, is_weak=True)


async def _redis(settings: Settings) -> Finding:
    if not settings.redis_url:
        text = f"Embedded Valkey in {settings.data_dir}: fine for one machine."
        return Finding("redis", text, is_weak=True)
    try:
        redis = connect(settings.redis_url.reveal())
    except ValueError as error:
        return Finding("redis", f"CALLER_REDIS_URL is not usable: {error}.", is_fatal=True)
    try:
        report = await preflight(redis)
    except BillingError as error:
        return Finding("redis", str(error), is_fatal=True)
    finally:
        await disconnect(redis)
    text = "; ".join([f"Answers, version {report.version}.", *report.warnings])
    return Finding("redis", text, is_weak=bool(report.warnings))


async def _drainer(settings: Settings) -> Finding:
    redis = _credit_store(settings)
    if redis is None:
        return Finding("drainer", "Not looked for: it runs with `caller serve`.")
    try:
        age_s = await RedisDrainMark(redis).age_s()
        waiting_count = await RedisSpendGate(redis).outbox_length()
        is_served = bool(await RedisNodeLeases(redis).alive())
    except BillingError:
        text = "Not known: the credit store does not answer."
        return Finding("drainer", text, is_weak=bool(settings.redis_url))
    finally:
        await disconnect(redis)
    return drainer_finding(age_s, waiting_count, is_served=is_served)


def drainer_finding(age_s: float | None, waiting_count: int, *, is_served: bool) -> Finding:
    """Judge when the outbox was last drained to its end; None for never, as far as is known.

    A deployment that is down needs no drainer, unless something waits for the book of record.
    """
    when = "has not been drained yet" if age_s is None else f"was last drained {age_s:.0f} s ago"
    text = f"The outbox {when}; {waiting_count} entries wait."
    is_late = age_s is None or age_s > DRAINED_AGE_S_MAX
    if is_late and (is_served or waiting_count):
        hint = (
            "The drainer is stopped, stuck or cannot reach the database: see the log of"
            " `caller serve`, or run `caller drain` beside it."
        )
        return Finding("drainer", f"{text} {hint}", is_fatal=True)
    return Finding("drainer", text)


async def _database(settings: Settings) -> Finding:
    if not settings.database_url:
        text = f"SQLite in {settings.data_dir}: fine for one machine."
        return Finding("database", text, is_weak=True)
    try:
        engine = create_engine(build.database_url(settings))
    except (ValueError, sa.exc.ArgumentError):
        text = "CALLER_DATABASE_URL must be sqlite:///file or postgresql://…"
        return Finding("database", text, is_fatal=True)
    file = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
    if file is not None and not file.exists():
        # SQLite would make it, for everyone to read.
        private_files.close_database(file)
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
    except Exception:
        return Finding("database", "Does not answer; check CALLER_DATABASE_URL.", is_fatal=True)
    finally:
        await engine.dispose()
    if file is not None and private_files.is_open(file):
        text = "Answers, but everyone on this machine may read its file; the next start closes it."
        return Finding("database", text, is_weak=True)
    return Finding("database", "Answers.")


async def _reach(settings: Settings) -> Finding:
    """Ask the public origin, and see that this gateway answers there."""
    answer = await public_origin.ask(settings.origin)
    served = await _instances(settings)
    if answer.instance in served:
        return Finding("reach", f"{settings.origin} leads to this gateway.")
    if answer.instance and served:
        text = f"{public_origin.other_gateway(settings.origin)} {_ORIGIN_HINT}"
        return Finding("reach", text, is_fatal=True)
    if answer.instance:
        text = f"A gateway answers at {settings.origin}; whether this one, is not known."
        return Finding("reach", text, is_weak=True)
    if answer.is_silent and not served:
        text = f"{answer.fault} Start `caller serve`, then check again."
        return Finding("reach", text, is_weak=True)
    return Finding("reach", f"{answer.fault} {_ORIGIN_HINT}", is_fatal=True)


async def _instances(settings: Settings) -> frozenset[str]:
    """Return what the processes call themselves that serve on these stores."""
    redis = _credit_store(settings)
    if redis is None:
        return frozenset()
    try:
        return await RedisNodeLeases(redis).instances()
    except BillingError:
        return frozenset()
    finally:
        await disconnect(redis)


def _credit_store(settings: Settings) -> Any:
    """Return a client of the credit store, None where there is none yet."""
    url = settings.redis_url.reveal() or embedded.url_of(settings.data_dir / "valkey")
    try:
        return connect(url) if url else None
    except ValueError:
        return None


async def _carrier(settings: Settings) -> Finding:
    try:
        carrier = build.build_carrier(settings)
    except GatewayError as error:
        return Finding("carrier", str(error), is_fatal=True)
    try:
        status = await carrier.reach()
    except CarrierError as error:
        text = f"{error} Check CALLER_CARRIER_URL and Twilio's credentials (HTTP {error.status})."
        return Finding("carrier", text, is_fatal=True)
    finally:
        await carrier.close()
    if not status:
        return Finding("carrier", "Answers; the API key may place calls, not read the account.")
    text = f"Answers; the account is {status}."
    if is_trial := status.endswith(TRIAL):
        text += " It reaches verified numbers only, and announces itself before each call."
    return Finding("carrier", text, is_weak=is_trial)
