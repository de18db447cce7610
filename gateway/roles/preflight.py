"""Checks, before a node starts, everything it cannot start without.

`caller check` reports the same findings that make `caller serve` refuse to start. Leaves nothing
behind: no file, no table, no connection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.errors import BillingError
from billing.stores.redis_client import connect, disconnect, preflight
from database import refusals, schema
from database.engine import create_engine
from database.errors import (
    DatabaseLockedError,
    StoreRightError,
    StoreUnavailableError,
    UnfitBookError,
    UnfitFileError,
)
from database.url import UrlError
from gateway import regular_files
from gateway.call import number
from gateway.carriers.known import chosen
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE, GatewayError, SettingsError
from gateway.finding import Finding, away, wrong
from gateway.people.address_countries import read_countries
from gateway.people.own_documents import load_documents
from gateway.roles import documents, listening, public_origin, storage
from gateway.roles.branding import load_branding
from gateway.roles.carrier import require_carrier
from gateway.roles.prices import load_deck
from gateway.roles.tracing import compose_tracing
from gateway.settings import Settings
from gateway.sockets import tls
from gateway.stores import append_only, embedded, private_files, rights
from gateway.stores.leases import RedisNodeLeases

CERTIFICATE_DAYS_LEFT_MIN = 14
"""Certificates that renew automatically do so a month before they expire."""

FREE_MIB_MIN = 16
"""What a new database, its log and the first append-only file take at a start, with a margin."""
FREE_MIB_WEAK = 512
"""Below this it warns, while there is still some space left."""
_MEBIBYTE = 1024 * 1024


def exit_code(found: list[Finding]) -> int:
    """Return the exit code of a command with these findings."""
    fatal = [finding for finding in found if finding.is_fatal]
    if not fatal:
        return 0
    # Wrong settings take precedence: waiting for a service would not help.
    return EXIT_UNAVAILABLE if all(finding.is_away for finding in fatal) else EXIT_SETTINGS


async def findings(settings: Settings, *, is_starting: bool) -> list[Finding]:
    """Check everything a start needs; a process that `is_starting` must find its ports free."""
    found = [
        *rates(settings),
        *files(settings),
        *certificate(settings, datetime.now(UTC)),
        *carrier_account(settings),
        *callbacks(settings),
        *sign_up(settings),
        *contact(settings),
        *branding(settings),
        *await own_documents(settings),
        *second_factors(settings),
        *home_countries(settings),
        *countries_of_addresses(settings),
        *traces(settings),
        *await credit_store(settings, is_starting=is_starting),
        await database(settings),
    ]
    # Last, because it may have to ask Redis which nodes are alive.
    return [*found, *await ports(settings, is_starting=is_starting)]


def rates(settings: Settings) -> list[Finding]:
    """Read the rate deck."""
    try:
        deck = load_deck(settings)
    except BillingError as error:
        return [wrong("rates", f"The rate deck cannot be used: {error}")]
    except GatewayError as error:
        return [wrong("rates", str(error))]
    if not settings.rate_deck:
        text = "The bundled deck holds EXAMPLE prices; set CALLER_RATE_DECK to your own."
        return [Finding("rates", text, is_weak=True)]
    text = f"{len(deck)} prefixes are priced."
    if costs := deck.costs():
        text += f" {len(costs)} of them cover the carrier's minute, which the deck names."
    return [Finding("rates", text)]


def branding(settings: Settings) -> list[Finding]:
    """Read the logo, if there is one."""
    try:
        load_branding(settings)
    except SettingsError as error:
        return [wrong("logo", str(error))]
    return []


async def own_documents(settings: Settings) -> list[Finding]:
    """Read the operator's documents, and compare them with what was posted."""
    try:
        own = load_documents(settings)
    except SettingsError as error:
        return [wrong("documents", str(error))]
    if not own.texts:
        return []
    if fault := await documents.fault(own, settings):
        return [wrong("documents", fault)]
    said = " ".join(f"{each.capitalize()}: version {own.version(each)}." for each in own.texts)
    if early := documents.early(own, datetime.now(UTC)):
        text = f"{said} {' and '.join(early)} ends with a day that is yet to come."
        return [Finding("documents", text, is_weak=True)]
    return [Finding("documents", said)]


def files(settings: Settings) -> list[Finding]:
    """Check the data folder, and write to it."""
    folder = settings.data_dir
    # If both stores are elsewhere, erasures are still recorded here.
    has_store = not (settings.redis_url and settings.database_url)
    if problem := private_files.refusal(folder):
        return [wrong("files", problem)]
    found = disk("files", folder, "CALLER_DATA_DIR", has_store=has_store)
    if private_files.is_open_to_everyone(folder):
        text = f"Everyone on this machine may look into {folder}; the next start closes it."
        found.append(Finding("files", text, is_weak=True))
    return found


def disk(subject: str, folder: Path, name: str, *, has_store: bool = True) -> list[Finding]:
    """Write to a folder that a setting names, and measure its free space for a store."""
    where = f"{name}: {folder.absolute()}"
    try:
        private_files.try_to_write(folder)
    except OSError as error:
        # Only writing reveals missing rights, a read-only mount or a quota.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            text = f"{where} cannot be used: {error.strerror}. Choose another folder."
            return [wrong(subject, text)]
        # Full for this user, by a quota or reserved blocks, even if there is free space.
        free_mib = 0
    else:
        if not has_store:
            return []
        free_mib = private_files.free_bytes(folder) // _MEBIBYTE
    if free_mib < FREE_MIB_MIN:
        text = f"{where}: its disk is full ({free_mib} MiB left). Free {FREE_MIB_WEAK} MiB."
        return [away(subject, text)]
    if free_mib < FREE_MIB_WEAK:
        text = f"{where}: its disk has {free_mib} MiB left. On a full disk no call can begin."
        return [Finding(subject, text, is_weak=True)]
    return []


def certificate(settings: Settings, now: datetime) -> list[Finding]:
    """Check the certificate of the port, if it has one."""
    if not settings.tls_certificate:
        return []
    path = Path(settings.tls_certificate)
    try:
        # Loaded as a pair: a key that belongs to another certificate fails only here.
        tls.load(path, Path(settings.tls_key))
        facts = tls.read_facts(path)
    except GatewayError as error:
        return [wrong("tls", str(error))]
    if not facts.valid_from <= now < facts.valid_until:
        text = f"CALLER_TLS_CERTIFICATE is valid from {facts.valid_from} to {facts.valid_until}."
        return [wrong("tls", text)]
    text = f"CALLER_TLS_CERTIFICATE is valid until {facts.valid_until}."
    # Only a warning: the node works until then, and picks up a renewed certificate.
    is_weak = facts.valid_until - now < timedelta(days=CERTIFICATE_DAYS_LEFT_MIN)
    if not facts.covers(settings.origin):
        text, is_weak = f"CALLER_TLS_CERTIFICATE does not name {settings.origin}.", True
    elif facts.is_self_signed:
        text = "CALLER_TLS_CERTIFICATE is self-signed: neither carrier nor browsers trust it."
        is_weak = True
    return [Finding("tls", text, is_weak=is_weak)]


def carrier_account(settings: Settings) -> list[Finding]:
    """Check that the carrier's account is set; whether it can be reached shows later."""
    try:
        require_carrier(settings)
    except GatewayError as error:
        return [wrong("carrier", str(error))]
    return []


def callbacks(settings: Settings) -> list[Finding]:
    """Check that the carrier can use the public origin at all, whatever is listening there."""
    why = chosen(settings).origin_fault(settings)
    return [wrong("origin", f"CALLER_PUBLIC_ORIGIN {why}")] if why else []


def sign_up(settings: Settings) -> list[Finding]:
    """Check that people who sign up can prove an address, which they need before any call."""
    if settings.sign_up != "open" or settings.smtp_url:
        return []
    text = (
        "CALLER_SIGN_UP is open, but without mail no one can prove an address and call: set"
        " CALLER_SMTP_URL and CALLER_MAIL_FROM, or CALLER_SIGN_UP=closed."
    )
    return [Finding("sign-up", text, is_weak=True)]


def contact(settings: Settings) -> list[Finding]:
    """Check that there is a contact for questions about personal data."""
    if settings.contact_email:
        return []
    text = (
        "CALLER_CONTACT_EMAIL is empty: /privacy says that you have named no address for questions,"
        " and mails name none either."
    )
    return [Finding("contact", text, is_weak=True)]


def second_factors(settings: Settings) -> list[Finding]:
    """Check that nodes which share a database share the key of second factors too."""
    if settings.sign_up != "open" or not settings.database_url or settings.second_factor_keys:
        return []
    text = (
        "Codes for signing in cannot be set up: set CALLER_SECOND_FACTOR_KEYS, the same on every"
        " node (openssl rand -base64 32)."
    )
    return [Finding("second factors", text, is_weak=True)]


def home_countries(settings: Settings) -> list[Finding]:
    """Check that people can only call countries chosen by the operator, and that those exist."""
    if unknown := [code for code in settings.home_countries if code not in number.countries()]:
        named = ", ".join(unknown)
        text = (
            f"CALLER_HOME_COUNTRIES names {named}, which has no numbers. The United Kingdom is GB."
        )
        return [wrong("countries", text)]
    if settings.sign_up != "open" or settings.home_countries:
        return []
    text = (
        "CALLER_SIGN_UP is open, and every country that has a price can be called: stolen cards are"
        " used to call far away. Name the countries of your customers in"
        " CALLER_HOME_COUNTRIES; each person opens others for themselves."
    )
    return [Finding("countries", text, is_weak=True)]


def countries_of_addresses(settings: Settings) -> list[Finding]:
    """Read the file that maps addresses to countries, if one is set."""
    try:
        read_countries(settings.address_countries)
    except SettingsError as error:
        return [wrong("addresses", str(error))]
    return []


def traces(settings: Settings) -> list[Finding]:
    """Compose what sends traces, if a collector is set."""
    try:
        compose_tracing(settings, {}, settings.node)
    except SettingsError as error:
        return [wrong("traces", str(error))]
    return []


async def credit_store(settings: Settings, *, is_starting: bool) -> list[Finding]:
    """Reach Redis; assess whether credits may be kept there and all commands be used."""
    if not settings.redis_url:
        # Read without starting a server: a check starts nothing.
        if fault := append_only.fault(settings.data_dir / private_files.VALKEY):
            return [away("redis", f"Valkey's file {fault}")]
        text = f"Embedded Valkey in {settings.data_dir}: fine for one machine."
        return [Finding("redis", text, is_weak=True)]
    try:
        redis = connect(settings.redis_url.reveal())
    except ValueError as error:
        return [wrong("redis", f"CALLER_REDIS_URL is not usable: {error}.")]
    try:
        report = await preflight(redis)
        lacking = await rights.missing(redis)
    except StoreUnavailableError as error:
        return await _without_report(redis, error, is_starting=is_starting)
    finally:
        await disconnect(redis)
    text = "; ".join([f"Answers, version {report.version}.", *report.warnings])
    found = Finding("redis", text, is_weak=bool(report.warnings))
    return [found, *_rights(redis, lacking, is_starting=is_starting)]


async def _without_report(
    redis: Any, error: StoreUnavailableError, *, is_starting: bool
) -> list[Finding]:
    """Report why a server was not checked, perhaps because of a missing right."""
    with contextlib.suppress(StoreUnavailableError):
        try:
            lacking = await rights.missing(redis)
        except StoreRightError as refused:
            # Without it not even a connection can be made.
            lacking = refused.rules
        if lacking:
            return _rights(redis, lacking, is_starting=is_starting)
    return [away("redis", _sentence(error))]


def _rights(redis: Any, lacking: Sequence[str], *, is_starting: bool) -> list[Finding]:
    """Assess what our user may not do: a node starts if calls can still be made."""
    if not lacking:
        return []
    text = rights.what_to_write(redis, lacking)
    spared = rights.SPARED | (rights.WATCHING if is_starting else frozenset())
    if rights.WATCHING & set(lacking):
        text += " Live calls cannot be watched until then."
    if "+bgrewriteaof" in lacking:
        text += " Erased data stay in its files until it rewrites them by itself."
    if set(lacking) <= spared:
        return [Finding("redis rights", text, is_weak=True)]
    return [away("redis rights", text)]


async def database(settings: Settings) -> Finding:
    """Reach SQL; check that its tables are known and that we may migrate them."""
    try:
        engine = create_engine(storage.database_url(settings))
    except UrlError as error:
        return wrong("database", f"CALLER_DATABASE_URL {error}.")
    file = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
    if file is not None and (problem := _file_problem(settings, file)):
        return problem
    try:
        # Read-only: a check must not migrate, and nodes of an older release may be running.
        found = await _schema(engine, file)
    except StoreUnavailableError as error:
        return _unreached(error)
    finally:
        await engine.dispose()
    if file is not None:
        # SQLite has no rights on tables: write access to the file is enough.
        return _of_sqlite(settings, file, found.age)
    if found.age is not schema.Age.CURRENT and not found.may_change:
        return away("database", refusals.RIGHTS)
    return Finding("database", _answers(found.age))


def _file_problem(settings: Settings, file: Path) -> Finding | None:
    """Return what is wrong with SQLite's file, or with its disk."""
    if regular_files.is_other(file):
        return wrong("database", storage.no_file(settings))
    # The data folder has already been checked.
    if not settings.database_url:
        return None
    if not file.parent.is_dir():
        text = "CALLER_DATABASE_URL names a file in a folder that does not exist."
        return wrong("database", text)
    # Creating a file needs write access to its folder.
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return wrong("database", "CALLER_DATABASE_URL names a file that may not be written.")
    found = disk("database", file.parent, "CALLER_DATABASE_URL")
    return found[0] if found else None


async def _schema(engine: AsyncEngine, file: Path | None) -> schema.Schema:
    """Look at the tables; a missing file is not created."""
    if file is not None and not os.access(file, os.F_OK):
        # Connecting would create the file.
        return schema.Schema(schema.Age.NEW, may_change=True)
    return await schema.look(engine)


def _unreached(error: StoreUnavailableError) -> Finding:
    if isinstance(error, UnfitFileError):
        return wrong("database", str(error))
    if isinstance(error, DatabaseLockedError):
        return away("database", f"Does not answer: {error}.")
    # These messages are complete; for others the driver's error says more.
    if isinstance(error, UnfitBookError) or error.__cause__ is None:
        return away("database", _sentence(error))
    return away("database", f"{refusals.passing(error.__cause__)} Check CALLER_DATABASE_URL.")


def _of_sqlite(settings: Settings, file: Path, age: schema.Age) -> Finding:
    if not settings.database_url:
        text = f"SQLite in {settings.data_dir}: fine for one machine."
        if age is schema.Age.OLDER:
            text += f" It {age.value}."
        return Finding("database", text, is_weak=True)
    if private_files.is_open_to_everyone(file):
        text = "Answers, but everyone on this machine may read its file; the next start closes it."
        return Finding("database", text, is_weak=True)
    return Finding("database", _answers(age))


def _answers(age: schema.Age) -> str:
    return "Answers." if age is schema.Age.CURRENT else f"Answers; it {age.value}."


async def ports(settings: Settings, *, is_starting: bool) -> list[Finding]:
    """Check that the ports can be bound, unless this node is running on them already."""
    problems = list(dict.fromkeys(_port_problems(settings)))
    # Beside a running node, a check finds the ports taken by that node. A start must fail
    # nevertheless.
    if problems and not is_starting and await _is_running(settings):
        return [Finding("ports", f"In use, by this node itself ({settings.node}) as it seems.")]
    return problems


async def _is_running(settings: Settings) -> bool:
    """Tell whether this node runs: by its lease or, if that is inconclusive, by its answer."""
    redis = credit_client(settings)
    if redis is None:
        return False
    try:
        nodes = await RedisNodeLeases(redis).nodes()
    except StoreUnavailableError:
        # Redis has a finding of its own.
        nodes = {settings.node: False}
    finally:
        await disconnect(redis)
    # On a full disk nothing is written, so the lease of a live node expires.
    return settings.node in nodes and (nodes[settings.node] or await _gateway_answers(settings))


async def _gateway_answers(settings: Settings) -> bool:
    """Ask the port itself whether a gateway is behind it."""
    context = ssl.create_default_context()
    # Certificates are for the public name, which need not lead here.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    here = replace(settings, public_origin="").origin
    return bool((await public_origin.ask(here, context)).instance)


def credit_client(settings: Settings) -> Any:
    """Return a client of Redis; None if the embedded Valkey does not run, or for a wrong URL."""
    url = settings.redis_url.reveal() or embedded.url_of(settings.data_dir / private_files.VALKEY)
    try:
        return connect(url) if url else None
    except ValueError:
        return None


def _port_problems(settings: Settings) -> Iterator[Finding]:
    wanted = [("CALLER_PORT", socket.SOCK_STREAM, settings.port)]
    if settings.webrtc == "on":
        name = "CALLER_UDP_PORT" if settings.udp_port else "CALLER_PORT"
        wanted.append((name, socket.SOCK_DGRAM, settings.udp_port or settings.port))
    for name, kind, port in wanted:
        protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As for the server, a port in TIME_WAIT counts as free. For UDP it would hide a
                # taken port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                address = f"{protocol} port {port} of {settings.host}"
                text, code = listening.refusal("CALLER_HOST", name, address, error)
                yield Finding("ports", text, is_fatal=True, is_away=code == EXIT_UNAVAILABLE)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}".rstrip(".") + "."
