"""Implements `caller rates`: imports, compares and withdraws rate decks, quotes prices.

Thin: `billing.rate_changes` computes changes and margins, `billing.stores` stores the decks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import phonenumbers
import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from billing.clock import utc_now
from billing.csv_lines import harmless
from billing.errors import RateDeckError
from billing.rate_changes import Margin, at_margin, diff, margins
from billing.rate_deck import DESCRIPTION_CHARS_MAX, DeckEntry, RateDeck, carrier_rate
from billing.rating import SECONDS_MAX
from billing.stores.rate_decks import PAGE_ROWS_MAX, DeckVersion, SqlRateDeckStore
from gateway.call.high_risk import ClosedList
from gateway.call.number import destination
from gateway.carriers.known import chosen
from gateway.carriers.port import CarrierAdapter, PrefixPrice
from gateway.cli import rate_tables
from gateway.cli.command import Yes, confirm, err, fail, out, read_amount, read_settings, run
from gateway.cli.high_risk import closed_list, sync_high_risk
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, RequestRefusedError
from gateway.problems import PROBLEMS
from gateway.roles import storage
from gateway.roles.prices import load_deck
from gateway.settings import Settings

app = typer.Typer(
    add_completion=False,
    help="Rate decks: prices by the longest prefix of the number.",
    no_args_is_help=True,
)

app.command("sync-high-risk")(sync_high_risk)

CostsFile = Annotated[
    Path | None,
    typer.Option("--costs", help="CSV with the carrier's prices: prefix,price_per_minute."),
]
Activate = Annotated[
    str,
    typer.Option(help="When the deck comes into force: now, or a time such as 2026-12-01T00:00Z."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; save nothing.")]


@app.command("import")
def import_deck(  # noqa: PLR0917
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The deck: CSV, see docs/operations.md.")],
    activate: Activate = "now",
    costs: CostsFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Import a deck: show what it changes and earns, ask, and activate it now or later.

    Any error in the file, reported by line and column, imports nothing; so does a price that does
    not cover the carrier's minute as stated in the deck. With --dry-run the exit code is 1 if a
    prefix is sold below cost.
    """
    settings = read_settings(context)
    content = _read_text(file)
    at = _activation(activate)

    async def work() -> None:
        # Inside `work`, where errors in the file are printed like those in a deck.
        known = None if costs is None else RateDeck.from_costs_csv(_read_text(costs))
        await _import(settings, content, file.name, at, known, dry_run=dry_run, yes=yes)

    run(work(), settings)


@app.command("list")
def list_decks(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=PAGE_ROWS_MAX, help="Maximum number.")] = 20,
) -> None:
    """List the imported decks, newest first: in force, scheduled, replaced or withdrawn."""
    settings = read_settings(context)

    async def work() -> None:
        now = utc_now()
        async with _open_decks(settings) as decks:
            versions = await decks.list(limit)
            in_force = await decks.version_in_force(now)
        table = Table("version", "state", "from", "prefixes", "source", "imported", show_edge=False)
        for deck in versions:
            table.add_row(
                str(deck.version),
                _state(deck, in_force, now),
                _time(deck.activates_at),
                str(deck.prefixes),
                deck.source,
                _time(deck.imported_at),
            )
        out.print(table)
        if in_force is None:
            out.print(f"In force: {_fallback_name(settings)}.")

    run(work(), settings)


@app.command()
def show(
    context: typer.Context,
    prefix: Annotated[str, typer.Option(help="Only prefixes that begin with these digits.")] = "",
    version: Annotated[int | None, typer.Option(help="Default: the deck in force.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="The whole deck, as imported.")] = False,
) -> None:
    """Show the prices of a deck, or print it as CSV to edit and import again."""
    settings = read_settings(context)

    async def work() -> None:
        name, content = await _find(settings, version)
        if as_csv:
            # Byte for byte as imported, except what a spreadsheet could take for a formula.
            sys.stdout.write(harmless(content))
            return
        deck = RateDeck.from_csv(content)
        found = [p for p in deck.prefixes if p.startswith(prefix.removeprefix("+"))]
        out.print(f"{name}: {len(found)} prefixes")
        out.print(rate_tables.deck(deck, found[:limit], settings.currency))
        if len(found) > limit:
            out.print(f"… and {len(found) - limit} more; see --prefix, --limit and --csv.")

    run(work(), settings)


@app.command()
def rollback(
    context: typer.Context,
    version: Annotated[int | None, typer.Option(help="Default: the deck in force.")] = None,
    yes: Yes = False,
) -> None:
    """Withdraw a deck for good: the previous one takes effect. Live calls keep their rates."""
    settings = read_settings(context)

    async def work() -> None:
        now = utc_now()
        async with _open_decks(settings) as decks:
            in_force = await decks.version_in_force(now)
            wanted = in_force if version is None else version
            versions = {d.version: d for d in await decks.list(PAGE_ROWS_MAX)}
            if wanted not in versions or versions[wanted].withdrawn_at is not None:
                hint = "`caller rates list` shows them."
                fail("There is no such deck, or it is withdrawn already.", hint, EXIT_SETTINGS)
            # Withdrawing a scheduled or replaced deck changes no price now.
            if wanted == in_force:
                del versions[wanted]
                name, content = await _following(settings, decks, versions.values(), now)
                out.print(f"In force again would be {name}:")
                before = _read_kept(await decks.content(wanted) or "")
                _print(rate_tables.changes(diff(before, _read_kept(content)), settings.currency))
            confirm(f"Withdraw version {wanted}?", yes=yes)
            await decks.withdraw(wanted)
        out.print(f"Version {wanted} is withdrawn; nodes follow within seconds.")

    run(work(), settings)


@app.command()
def quote(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="Number in full, such as +442079460018.")],
    minutes: Annotated[
        list[int] | None,
        typer.Option(min=1, max=SECONDS_MAX // 60, help="Length of a call whose price is shown."),
    ] = None,
    credit: Annotated[str, typer.Option(help="Show how long this amount lasts.")] = "",
    costs: CostsFile = None,
) -> None:
    """Show the price of a call to a number: rate, prefix, prices, and margin.

    Repeat --minutes for several lengths; default 1, 3 and 10.
    """
    settings = read_settings(context)
    micros = read_amount(credit) if credit else None

    async def work() -> None:
        name, content = await _find(settings, None)
        dialled = _dialled(number, await closed_list(settings))
        entry = RateDeck.from_csv(content).lookup(dialled)
        if entry is None:
            # The API's words, so that an operator recognises what a customer saw.
            message = PROBLEMS["destination_not_priced"].message
            fail(message, f"No prefix of {name} prices it.", EXIT_SETTINGS)
        out.print(rate_tables.quote(entry, settings.currency, minutes or [1, 3, 10], micros))
        carrier = None
        if costs is not None:
            carrier = RateDeck.from_costs_csv(_read_text(costs)).lookup(dialled)
        _print(rate_tables.earnings([Margin(entry.prefix, entry, carrier.rate)] if carrier else []))

    run(work(), settings)


@app.command("sync-twilio", hidden=True)  # Its former name, which scripts may use.
@app.command("sync-prices")
def sync_prices(  # noqa: PLR0917
    context: typer.Context,
    margin: Annotated[str, typer.Option(help="Earned on top of the carrier's price, such as 30%.")],
    increment: Annotated[
        str, typer.Option(help="First and next seconds billed. Carriers bill whole minutes.")
    ] = "60/60",
    countries: Annotated[
        str, typer.Option(help="ISO codes, separated by commas. Default: all.")
    ] = "",
    stream_price: Annotated[
        str, typer.Option(help="What the carrier charges for a minute of media stream, on top.")
    ] = "0",
    file: Annotated[
        Path | None, typer.Option("--out", help="Write the deck there; import nothing.")
    ] = None,
    costs_file: Annotated[
        Path | None,
        typer.Option("--costs-out", help="Write the carrier's prices there, for --costs."),
    ] = None,
    activate: Activate = "now",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Make a deck from the carrier's own price list plus a margin, and write or import it.

    Countries that share a country code with the chosen ones are denied by their own prefixes.
    """
    settings = read_settings(context)
    permille, (first_s, next_s) = _margin(margin), _increment(increment)
    stream_micros = read_amount(stream_price)
    at = _activation(activate)
    wanted = frozenset(filter(None, (name.strip().upper() for name in countries.split(","))))

    async def work() -> None:
        carrier = chosen(settings)
        costs = await _carrier_costs(carrier, settings, wanted, stream_micros)
        # As CSV, so that it is checked and stored like a deck from a file.
        content = at_margin(costs, permille, first_s, next_s).to_csv()
        if costs_file is not None:
            costs_file.write_text(costs.to_costs_csv(), encoding="utf-8")
        if file is not None:
            file.write_text(content, encoding="utf-8")
            out.print(f"{len(costs)} prefixes written.")
            return
        source = f"{carrier.title} + {permille / 10:g} %"
        await _import(settings, content, source, at, costs, dry_run=dry_run, yes=yes)

    run(work(), settings)


# -- decks ---------------------------------------------------------------------------------------


@asynccontextmanager
async def _open_decks(settings: Settings) -> AsyncIterator[SqlRateDeckStore]:
    async with storage.migrated_database(settings) as engine:
        yield SqlRateDeckStore(engine)


async def _import(
    settings: Settings,
    content: str,
    source: str,
    at: datetime | None,
    costs: RateDeck | None,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    async with _open_decks(settings) as decks:
        with err.status("Reading and comparing…"):
            deck = RateDeck.from_csv(content)
            # Compared with the deck that it will follow, possibly a scheduled one.
            name, before = await _in_force(settings, decks, at or utc_now())
            changes = diff(_read_kept(before), deck)
            known = costs or deck.costs()
            earned = [] if known is None else list(margins(deck, known))
        out.print(f"{len(deck)} prefixes, compared with {name}:")
        _print(rate_tables.changes(changes, settings.currency))
        _print(rate_tables.earnings(earned))
        if dry_run:
            is_loss = rate_tables.losing(earned) or any(m.is_short_loss() for m in earned)
            raise typer.Exit(EXIT_FINDINGS if is_loss else 0)
        # Outside the status display, which would hide the question.
        confirm("Import this deck?", yes=yes)
        # Read the clock after the answer: "now" means now.
        activates_at = at or utc_now()
        version = await decks.add(content, source, activates_at)
    since = _time(activates_at)
    out.print(f"Version {version} is in force at {since}; nodes follow it.")


async def _in_force(settings: Settings, decks: SqlRateDeckStore, at: datetime) -> tuple[str, str]:
    """Return name and content of the deck in force at a time."""
    found = await decks.in_force(at)
    if found is None:
        return _fallback_name(settings), load_deck(settings).to_csv()
    return f"version {found[0]}", found[1]


async def _find(settings: Settings, version: int | None) -> tuple[str, str]:
    """Return name and content of a version, or of the deck in force."""
    async with _open_decks(settings) as decks:
        if version is None:
            return await _in_force(settings, decks, utc_now())
        content = await decks.content(version)
    if content is None:
        fail("There is no such version.", "`caller rates list` shows them.", EXIT_SETTINGS)
    return f"version {version}", content


def _read_kept(content: str) -> RateDeck:
    """Read a deck for comparison only; if it cannot be read, treat it as empty."""
    try:
        return RateDeck.from_csv(content)
    except RateDeckError:
        # An unreadable deck must not prevent its own replacement.
        said = "A deck can no longer be read; it is treated as empty in the comparison."
        err.print(Text(said, style="yellow"))
        return RateDeck({})


def _fallback_name(settings: Settings) -> str:
    if settings.rate_deck:
        return "the deck of CALLER_RATE_DECK"
    return "the bundled deck of EXAMPLE prices"


async def _following(
    settings: Settings, decks: SqlRateDeckStore, left: Iterable[DeckVersion], now: datetime
) -> tuple[str, str]:
    """Return name and content of the deck in force once only these are left."""
    # The rule of the store, applied as if the deck were already withdrawn.
    past = [d for d in left if d.withdrawn_at is None and d.activates_at <= now]
    latest = max(past, key=lambda d: (d.activates_at, d.version), default=None)
    if latest is None:
        return _fallback_name(settings), load_deck(settings).to_csv()
    return f"version {latest.version}", await decks.content(latest.version) or ""


def _state(deck: DeckVersion, in_force: int | None, now: datetime) -> str | Text:
    if deck.withdrawn_at is not None:
        return "withdrawn"
    if deck.version == in_force:
        return Text("in force", style="green")
    return "scheduled" if deck.activates_at > now else "replaced"


def _print(parts: Iterable[Table | Text]) -> None:
    for part in parts:
        out.print(part)


# -- the carrier's prices ------------------------------------------------------------------------


async def _carrier_costs(
    carrier: CarrierAdapter, settings: Settings, only: frozenset[str], stream_micros: int
) -> RateDeck:
    """Return the carrier's prices for some countries, and denials for their neighbours.

    Without countries it returns those of all. The price of a minute of media stream is added to
    each. A neighbour shares the country code: +1 alone is two dozen countries.
    """
    if carrier.price_list is None:
        hint = "Write a deck yourself, and import it with `caller rates import`."
        fail(f"{carrier.title} publishes no price list.", hint, EXIT_SETTINGS)
    async with carrier.price_list(settings) as listed:
        known = await listed.countries()
        # A mistyped country would otherwise be denied silently.
        if only - set(known):
            hint = f"{carrier.title} has no prices for: " + ", ".join(sorted(only - set(known)))
            fail("A country is unknown.", hint, EXIT_SETTINGS)
        wanted = only or frozenset(known)
        # Neighbours are read in order to be denied: otherwise the price of `1` holds for all of +1.
        asked = [iso for iso in known if iso in wanted or iso in _neighbours(wanted)]
        prices: list[PrefixPrice] = []
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task(f"{carrier.title}'s prices", total=len(asked))
            for iso in asked:
                prices += await listed.prices(iso, settings.caller_id)
                progress.advance(task)
    # The carrier's billing currency need not be the one that calls are sold in.
    if any(price.currency != settings.currency for price in prices):
        hint = f"No exchange rates are known here: CALLER_CURRENCY is {settings.currency}."
        fail(f"{carrier.title}'s prices are in another currency.", hint, EXIT_SETTINGS)
    return _costs(prices, wanted, stream_micros)


def _neighbours(countries: Iterable[str]) -> frozenset[str]:
    """Return the countries that share a country code with one of these."""
    codes = {phonenumbers.country_code_for_region(iso) for iso in countries}
    return frozenset(
        region
        for code in codes
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    )


def _costs(prices: Iterable[PrefixPrice], wanted: frozenset[str], stream_micros: int) -> RateDeck:
    """Return the prices by prefix, the highest if countries share one; None denies."""
    entries: dict[str, DeckEntry | None] = {}
    for price in prices:
        if price.country not in wanted:
            # Never replaces a price: a prefix shared with a chosen country is sold.
            entries.setdefault(price.prefix, None)
            continue
        held, micros = entries.get(price.prefix), price.per_minute_micros + stream_micros
        # Countries may share a prefix: the highest price, so that none is sold below cost.
        if held is None or held.rate.per_minute_micros < micros:
            # Foreign text goes into CSV files and terminals.
            shown = "".join(filter(str.isprintable, price.description))
            entries[price.prefix] = DeckEntry(
                price.prefix,
                shown[:DESCRIPTION_CHARS_MAX].strip(),
                price.country,
                carrier_rate(micros),
            )
    if not entries:
        raise RateDeckError("the carrier has no prices for these countries")
    return RateDeck(entries)


# -- what was typed ------------------------------------------------------------------------------


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        fail("The file cannot be read as text.", "It must be CSV in UTF-8.", EXIT_SETTINGS)


def _activation(text: str) -> datetime | None:
    """Parse a typed time; None for now."""
    if text == "now":
        return None
    hint = "Write a future time with its zone, such as 2026-12-01T00:00Z, or now."
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail("The activation is not a time.", hint, EXIT_SETTINGS)
    # Unlike elsewhere a zone is required: a deck that starts an hour early sells at wrong prices.
    if at.tzinfo is None or at < utc_now():
        fail("The activation is in the past, or has no time zone.", hint, EXIT_SETTINGS)
    return at


def _margin(text: str) -> int:
    """Return a margin in thousandths."""
    match = re.fullmatch(r"([0-9]{1,4})(?:\.([0-9]))? ?%?", text, re.ASCII)
    if match is None:
        fail("The margin is not a percentage.", "Write it such as 30% or 12.5%.", EXIT_SETTINGS)
    # In whole thousandths, so that prices are computed without floats.
    return 10 * int(match[1]) + int(match[2] or 0)


def _increment(text: str) -> tuple[int, int]:
    """Return first and next seconds billed."""
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text, re.ASCII)
    if match is None:
        fail("The increment is not valid.", "Write it such as 60/60 or 1/1.", EXIT_SETTINGS)
    return int(match[1]), int(match[2])


def _dialled(number: str, closed: ClosedList) -> str:
    try:
        return destination(number, closed).number
    except RequestRefusedError as error:
        fail(str(error), PROBLEMS[error.code].action, EXIT_SETTINGS)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
