"""Implements `caller fraud`: lists the rules of admission, and lifts them from accounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from gateway.administration.ports import LIFTED_MAX
from gateway.cli.administration import AccountId, As, Reason, administration, order_of
from gateway.cli.command import fail, out, read_moment, run_with
from gateway.errors import EXIT_SETTINGS
from gateway.limits.fraud import RULES, Allowance
from gateway.roles import storage
from gateway.settings import Settings

app = typer.Typer(
    add_completion=False, help="The rules of admission, and exceptions.", no_args_is_help=True
)

RuleName = Annotated[Allowance, typer.Argument(help="Name of the rule, as `rules` shows it.")]


@app.command("rules")
def list_rules() -> None:
    """List the rules in the order in which they are checked."""
    table = Table("rule", "looks at", "holds for", "can be lifted")
    for rule in RULES:
        table.add_row(rule.name, rule.looks_at, rule.holds_for, "yes" if rule.lifted_by else "")
    out.print(table)


@app.command("allow")
def allow(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    rule: RuleName,
    until: Annotated[str, typer.Option(help="End, such as 2030-01-31 or 2030-01-31T12:00 (UTC).")],
    reason: Reason,
    by: As = "",
) -> None:
    """Lift a rule from an account until a given time, on every node at once."""
    order, at = order_of(context, by, reason), read_moment(until).astimezone(UTC)
    left = at - datetime.now(UTC)
    if not 0 < left.total_seconds() <= LIFTED_MAX.total_seconds():
        hint = f"Give a time within the next {LIFTED_MAX.days} days."
        fail("This time has passed, or is too far off.", hint, EXIT_SETTINGS)

    async def work(book: storage.Book, settings: Settings) -> None:
        await administration(book, settings).lift(account_id, rule, at, order)
        await book.end_key_epoch()
        end = f"{at:%Y-%m-%d %H:%M} UTC"
        out.print(f"The rule {rule.value} is lifted from {account_id} until {end}.")

    run_with(context, storage.open_book, work)


@app.command("disallow")
def disallow(
    context: typer.Context, account_id: AccountId, rule: RuleName, reason: Reason, by: As = ""
) -> None:
    """Put a rule back in force for an account, on every node at once."""
    order = order_of(context, by, reason)

    async def work(book: storage.Book, settings: Settings) -> None:
        await administration(book, settings).restore(account_id, rule, order)
        await book.end_key_epoch()
        out.print(f"The rule {rule.value} holds for {account_id}.")

    run_with(context, storage.open_book, work)
