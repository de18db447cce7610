"""Implements `caller rates sync-high-risk`: installs the carrier's list of high-risk prefixes.

Thin: the carrier's adapter reads the list, `call.high_risk` applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.progress import Progress
from rich.text import Text

from gateway.call.high_risk import HIGH_RISK, PREFIXES_MAX, ClosedList
from gateway.carriers.known import chosen
from gateway.cli.command import Yes, confirm, err, fail, out, read_settings, run
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.roles import storage
from gateway.settings import Settings
from gateway.stores.high_risk import SqlHighRiskLists

SHOWN_MAX = 20
"""Prefixes listed by name if many change."""


def sync_high_risk(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; save nothing.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Close the prefixes that the carrier lists as high risk, on every node.

    The list is read as a whole; if any part of it cannot be read, the current list stays in force.
    Run this regularly: `caller check` shows the age of the list.
    """
    settings = read_settings(context)

    async def work() -> None:
        # Read completely before SQL is opened: it takes some 250 requests.
        found, warning = await _listed(settings)
        async with storage.migrated_database(settings) as engine:
            lists = SqlHighRiskLists(engine)
            before = await lists.newest()
            _show(
                ClosedList(settings.open_high_risk, found),
                {} if before is None else before.prefixes,
            )
            if warning:
                out.print(Text.assemble(("Warning:", "yellow"), f" {warning}"))
            if dry_run:
                return
            confirm("Put this list in force?", yes=yes)
            version = await lists.replace(found)
        out.print(f"Version {version} is in force; nodes follow within seconds.")

    run(work(), settings)


async def closed_list(settings: Settings) -> ClosedList:
    """Return what is closed on every node."""
    async with storage.migrated_database(settings) as engine:
        found = await SqlHighRiskLists(engine).newest()
    return ClosedList(settings.open_high_risk, None if found is None else found.prefixes)


async def _listed(settings: Settings) -> tuple[dict[str, str], str]:
    """Return the carrier's prefixes with the first country of each, and what it warns of."""
    adapter = chosen(settings)
    if adapter.high_risk_list is None:
        hint = f"The {len(HIGH_RISK)} prefixes that this version closes stay closed."
        fail(f"{adapter.title} publishes no list of high-risk prefixes.", hint, EXIT_SETTINGS)
    found: dict[str, str] = {}
    async with adapter.high_risk_list(settings) as listed:
        countries = await listed.countries()
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task(f"{adapter.title}'s prefixes", total=len(countries))
            for country in countries:
                # A failing country ends the command: a prefix missing from the list would be open.
                for prefix in await listed.prefixes(country):
                    # Countries may share a prefix; the first one is shown, which changes no
                    # refusal.
                    found.setdefault(prefix, country)
                progress.advance(task)
        warning = listed.warning()
    # An empty list would open everything that the current one closes.
    if not 0 < len(found) <= PREFIXES_MAX:
        hint = f"It lists {len(found)} prefixes; the current list stays in force."
        fail("The carrier's list is empty, or longer than any can be.", hint, EXIT_UNAVAILABLE)
    return found, warning


def _show(closed: ClosedList, before: Mapping[str, str]) -> None:
    found = closed.carriers
    out.print(f"{len(found)} prefixes, compared with the list in force:")
    dropped = before.keys() - found.keys()
    # A shorter prefix in either list still closes these: they must not be announced as open.
    still_closed = set(filter(closed.closes, dropped))
    for word, prefixes in (
        ("closed", found.keys() - before.keys()),
        ("open again", dropped - still_closed),
        ("dropped, and closed by a shorter prefix", still_closed),
    ):
        if prefixes:
            out.print(f"{len(prefixes)} {word}: {_named(sorted(prefixes))}")
    if found.keys() == before.keys():
        out.print("Nothing changes.")


def _named(prefixes: list[str]) -> str:
    return ", ".join(f"+{p}" for p in prefixes[:SHOWN_MAX]) + (
        ", …" if len(prefixes) > SHOWN_MAX else ""
    )
