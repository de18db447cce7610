"""Implements `caller accounts departures`: pending deletions, and credit left over from them.

Read-only; needs SQL alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec
import typer
from rich.table import Column, Table
from rich.text import Text

from accounts.erasure import ErasureState
from billing.csv_lines import as_text
from billing.money import format_exact, in_units
from database.engine import TIMEOUT_S, reading
from gateway.administration.leaving_accounts import LeavingAccount, leaving_accounts
from gateway.cli.administration import AsJson, print_json
from gateway.cli.command import out, run_with
from gateway.roles import storage
from gateway.settings import Settings

LISTED_MAX = 1_000
"""Accounts shown of each kind."""

AsCsv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]


def departures(context: typer.Context, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List pending deletions, and credit of deleted accounts that no card has taken.

    A refund that fails is tried three times, six hours apart or more. What is left then is yours:
    pay it out in another way, and `caller accounts delete ACCOUNT --write-off` writes it off.
    """

    async def work(book: storage.Book, _settings: Settings) -> None:
        async with reading(book.engine, TIMEOUT_S) as connection:
            found = await leaving_accounts(connection, limit=LISTED_MAX)
        if as_json:
            print_json(found)
        elif as_csv:
            _print_csv(found)
        else:
            _print_table(found)

    run_with(context, storage.open_book, work)


def _print_table(found: Sequence[LeavingAccount]) -> None:
    table = Table(Column("account", no_wrap=True), "credit", "refund of", "failed", "next (UTC)")
    for each in found:
        failed = "" if each.attempts is None else f"{each.attempts} x"
        credit = format_exact(each.balance_micros, each.currency)
        cells = (each.account_id, credit, each.payment_id or "", failed, _next(each))
        # Neither markup nor links: an id is a stranger's text.
        table.add_row(*map(Text, cells))
    out.print(table if found else "No account is being deleted, and no refund of one has failed.")
    if any(each.payment_id and each.retry_at is None for each in found):
        out.print(
            "What is left to you: pay it out in another way where you can, then"
            " `caller accounts delete ACCOUNT --write-off --reason …`."
        )


def _next(each: LeavingAccount) -> str:
    if each.state == ErasureState.ERASING:
        return f"being deleted: {each.step}"
    if each.retry_at is not None:
        return f"tried again {each.retry_at:%Y-%m-%d %H:%M}"
    if each.payment_id is not None:
        return "left to you"
    return f"begins {each.due_at:%Y-%m-%d %H:%M}"


def _print_csv(found: Sequence[LeavingAccount]) -> None:
    # Plain decimal amounts and ISO times, for spreadsheets.
    names = LeavingAccount.__struct_fields__
    head = [name.removesuffix("_micros") for name in names]
    rows = (
        [
            Decimal(in_units(value)) if name.endswith("_micros") and value is not None else value
            for name, value in msgspec.structs.asdict(each).items()
        ]
        for each in found
    )
    sys.stdout.write(as_text([head, *rows]))
