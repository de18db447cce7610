"""Checks everything a start needs and every service a node talks to, for `caller check`.

Read-only: no call is placed, no mail sent, no table created.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import sqlalchemy as sa

from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import disconnect
from database import schema
from database.engine import create_engine
from database.errors import StoreUnavailableError
from database.url import UrlError
from gateway.call.high_risk import HIGH_RISK, ClosedList
from gateway.carriers.known import chosen
from gateway.charging.outbox_alarm import DRAINED_AGE_S_MAX
from gateway.errors import PaymentError, SettingsError
from gateway.finding import Finding, away, wrong
from gateway.fleet.shared_secret import HINT, apart, proof_of
from gateway.limits.velocity import LIMITS
from gateway.post import mail
from gateway.roles import machine_check, preflight, reach, storage
from gateway.roles.addresses import webrtc_addresses
from gateway.roles.preflight import credit_client
from gateway.roles.tracing import compose_tracing
from gateway.settings import Settings
from gateway.stores import settings_files
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.high_risk import SqlHighRiskLists, SyncedList
from gateway.stores.leases import RedisNodeLeases
from gateway.stores.node_facts import RedisNodeDirectory

SYNCED_DAYS_MAX = 35
"""A list that is synced every month is never this old."""

_WHY_VAIN = "no listed prefix begins it. A listed prefix is opened by itself or by longer ones."


async def findings(settings: Settings, file: Path | None = None) -> list[Finding]:
    """Check everything, in the order of the report; `file` is the settings file."""
    start = await preflight.findings(settings, is_starting=False)
    return [
        build_finding(_frame_path()),
        _kept(file),
        *start,
        *await machine_check.findings(settings),
        await _high_risk(settings),
        _velocity(settings),
        _webrtc(settings),
        await _drainer(settings),
        *await _nodes(settings),
        *await carrier(settings),
        *await reach.findings(settings),
        *await _payments(settings),
        *await _mail(settings),
        *await _traces(settings),
    ]


def _kept(file: Path | None) -> Finding:
    if text := settings_files.exposure(file):
        return Finding("settings", text, is_weak=True)
    return Finding("settings", "All are known and within their bounds.")


def _frame_path() -> str:
    """Return where the frame path would be loaded from."""
    # One module represents it, because it is compiled as a whole. Looked for and not imported:
    # numpy would come along.
    found = find_spec("media.playout")
    assert found is not None
    return found.origin or ""


def build_finding(module_file: str) -> Finding:
    """Assess where a module of the frame path is loaded from; see docs/design/0005-compiled.md."""
    if not module_file.endswith(".py"):
        return Finding("build", "The frame path is compiled.")
    text = (
        "The frame path is interpreted: calls take a quarter more CPU. Install with a C compiler."
    )
    return Finding("build", text, is_weak=True)


async def _high_risk(settings: Settings) -> Finding:
    try:
        synced = await _synced_list(settings)
    except (StoreUnavailableError, sa.exc.DBAPIError):
        # The database has a finding of its own; this one says what that means for the list.
        text = "The carrier's list is not known: the database does not answer, or is an older one."
        return high_risk_finding(settings, None, datetime.now(UTC), unknown=text)
    return high_risk_finding(settings, synced, datetime.now(UTC))


async def _synced_list(settings: Settings) -> SyncedList | None:
    """Return the carrier's list; None if it was never synced. Creates no database."""
    try:
        engine = create_engine(storage.database_url(settings))
    except UrlError:
        raise StoreUnavailableError("the database is not usable") from None
    try:
        # Connecting would create a missing SQLite file.
        if engine.dialect.name == "sqlite" and not _is_file(engine.url.database):
            return None
        # An empty database is normal before the first start.
        if (await schema.look(engine)).age is schema.Age.NEW:
            return None
        return await SqlHighRiskLists(engine).newest()
    finally:
        await engine.dispose()


def _is_file(name: str | None) -> bool:
    return Path(name or "").is_file()


def high_risk_finding(
    settings: Settings, synced: SyncedList | None, now: datetime, *, unknown: str = ""
) -> Finding:
    """Assess what is closed: the age of the carrier's list, and what the operator opens."""
    # The class that admission uses, so that the report matches what is refused.
    closed = ClosedList(settings.open_high_risk, None if synced is None else synced.prefixes)
    adapter = chosen(settings)
    texts, is_weak = [f"{len(HIGH_RISK)} prefixes are closed by this version."], bool(unknown)
    if synced is not None:
        age_days = (now - synced.synced_at).days
        texts.append(
            f"{len(synced.prefixes)} of {adapter.title}'s list, synced {age_days} days ago."
        )
        if age_days > SYNCED_DAYS_MAX:
            texts.append("Run `caller rates sync-high-risk` again.")
            is_weak = True
    elif unknown:
        texts.append(unknown)
    elif adapter.high_risk_list is None:
        texts.append(f"{adapter.title} publishes no list of its own.")
    elif not preflight.carrier_account(settings):
        texts.append(f"{adapter.title}'s list was never synced: run `caller rates sync-high-risk`.")
        is_weak = True
    opened = [(prefix, closed.opens(prefix)) for prefix in settings.open_high_risk]
    if named := ", ".join(f"+{prefix} ({whose})" for prefix, whose in opened if whose):
        texts.append(f"CALLER_OPEN_HIGH_RISK opens {named}: watch what is called there.")
    if vain := ", ".join(f"+{prefix}" for prefix, whose in opened if not whose):
        texts.append(f"CALLER_OPEN_HIGH_RISK names {vain}, which opens nothing: {_WHY_VAIN}")
    return Finding("high risk", " ".join(texts), is_weak=is_weak or bool(opened))


def _velocity(settings: Settings) -> Finding:
    off = [name for name, amount in settings.velocity_limits if amount is None]
    if not off:
        return Finding("velocity", f"{len(LIMITS)} limits hold.")
    text = f"CALLER_VELOCITY_LIMITS switches off {', '.join(off)}: a leaked key calls without end."
    return Finding("velocity", text, is_weak=True)


def _webrtc(settings: Settings) -> Finding:
    if settings.webrtc == "off":
        return Finding("webrtc", "Off: browsers send their audio on the socket.")
    addresses, port = webrtc_addresses(settings)
    given = f"Browsers are told {', '.join(addresses)}, UDP port {port}"
    # An explicit setting is trusted: private addresses are right inside a company.
    if settings.public_ips or any(ip_address(address).is_global for address in addresses):
        return Finding("webrtc", f"{given}.")
    text = f"{given}, which the internet cannot reach; set CALLER_PUBLIC_IPS."
    return Finding("webrtc", text, is_weak=True)


async def _drainer(settings: Settings) -> Finding:
    redis = credit_client(settings)
    if redis is None:
        return Finding("drainer", "Not looked for: it runs with `caller serve`.")
    try:
        # The drainer leaves a mark in Redis, because its process may be on another machine.
        age_s = await RedisDrainMark(redis).age_s()
        waiting_count = await RedisSpendGate(redis).outbox_length()
        # While no node runs, a stopped drainer is not a fault.
        is_served = bool(await RedisNodeLeases(redis).alive())
    except StoreUnavailableError:
        text = "Not known: the credit store does not answer."
        # An embedded server ends with its node, so being unreachable is normal.
        return Finding("drainer", text, is_weak=bool(settings.redis_url))
    finally:
        await disconnect(redis)
    return drainer_finding(age_s, waiting_count, is_served=is_served)


def drainer_finding(age_s: float | None, waiting_count: int, *, is_served: bool) -> Finding:
    """Assess when the outbox was last drained completely; None for never, as far as is known.

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
        return away("drainer", f"{text} {hint}")
    return Finding("drainer", text)


async def _nodes(settings: Settings) -> list[Finding]:
    """Compare the secret of these settings with those of the nodes that run."""
    redis = credit_client(settings)
    # Settings that lack a secret have a finding of their own.
    if redis is None or not settings.shared_secret:
        return []
    try:
        nodes = await RedisNodeDirectory(redis).read()
    except StoreUnavailableError:
        # As above, Redis has a finding of its own.
        return []
    finally:
        await disconnect(redis)
    if not nodes:
        return []
    if strangers := apart(nodes, proof_of(settings.shared_secret)):
        text = (
            f"{', '.join(strangers)}: another CALLER_FLEET_SECRET than these settings. Limits are"
            f" counted twice, and challenges of one node are refused by another. {HINT}"
        )
        return [wrong("nodes", text)]
    return [Finding("nodes", "All that run and say so have the secret of these settings.")]


async def carrier(settings: Settings) -> list[Finding]:
    """Check everything about the carrier's account; stop at the first step that fails."""
    # The preflight has already reported missing credentials.
    if preflight.carrier_account(settings):
        return []
    found: list[Finding] = []
    for step in chosen(settings).steps:
        found += await step.check(settings)
        if any(finding.is_fatal for finding in found):
            break
    return found


async def _payments(settings: Settings) -> list[Finding]:
    if not settings.stripe_api_key:
        return []
    # Imported here, because a gateway without payments starts faster without the vendor's library.
    from gateway.payments.stripe_client import StripePayments  # noqa: PLC0415

    service = StripePayments(api_key=settings.stripe_api_key.reveal(), origin=settings.stripe_url)
    try:
        await service.reach()
    except PaymentError as error:
        # Tells a wrong or restricted key from an unreachable service.
        if error.status in (401, 403):
            text = f"Stripe refuses CALLER_STRIPE_API_KEY (HTTP {error.status})."
            return [away("payments", text)]
        status = f" (HTTP {error.status})" if error.status else ""
        return [away("payments", f"{error} Check CALLER_STRIPE_URL{status}.")]
    finally:
        await service.close()
    # Only a warning: the reconciler finds payments within a minute.
    if not settings.stripe_webhook_secrets:
        text = "Stripe answers; without CALLER_STRIPE_WEBHOOK_SECRETS payments are found late."
        return [Finding("payments", text, is_weak=True)]
    return [Finding("payments", "Stripe answers.")]


async def _mail(settings: Settings) -> list[Finding]:
    if not settings.smtp_url:
        return []
    try:
        fault = await mail.try_server(settings.smtp_url, settings.mail_from)
    except SettingsError as error:
        return [wrong("mail", str(error))]
    if fault:
        return [away("mail", fault)]
    return [Finding("mail", "The mail server answers, and takes our credentials.")]


async def _traces(settings: Settings) -> list[Finding]:
    try:
        exporter = compose_tracing(settings, {}, settings.node).exporter
    except SettingsError:
        # Already reported, among what a start needs.
        return []
    if exporter is None:
        return []
    if failure := await exporter.reach():
        # Calls work anyway.
        text = f"The collector of CALLER_OTLP_URL takes no traces: {failure}."
        return [Finding("traces", text, is_weak=True)]
    return [Finding("traces", "The collector takes traces.")]
