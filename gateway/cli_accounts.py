"""`caller accounts`: accounts, their keys, their credit and their limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.table import Table

from billing.money import format_money
from gateway import build
from gateway.command import EXIT_SETTINGS, fail, out, read_amount, read_settings, run
from gateway.engine.recovery import bring_credits
from gateway.http.auth import key_hash, new_api_key
from gateway.settings import Settings

app = typer.Typer(help="Accounts, their keys, credit and limits.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(help="Id of the account.")]


@app.command("create")
def create_account(
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Id of the account, such as acme.")],
    credit: Annotated[str, typer.Option(help="Credit to begin with, such as 10.00.")] = "0",
) -> None:
    """Create an account and print its API key, which is shown only once."""
    micros = read_amount(credit)

    async def work(stores: build.Stores, read: Settings) -> None:
        if not await stores.accounts.create_account(account_id, read.currency):
            fail("An account of this id exists.", "Choose another id.", EXIT_SETTINGS)
        key = new_api_key()
        await stores.accounts.add_api_key(account_id, key_hash(key), "first key")
        if micros:
            await _grant(stores, account_id, micros, f"grant:{account_id}:first")
        out.print(key, highlight=False)

    _with_stores(context, work)


@app.command("credit")
def credit_account(
    context: typer.Context,
    account_id: AccountId,
    amount: Annotated[str, typer.Argument(help="Amount, such as 10.00; negative to take back.")],
    reference: Annotated[str, typer.Option(help="Names this credit; it is booked only once.")],
) -> None:
    """Grant an account credit, once per reference."""
    micros = read_amount(amount)

    async def work(stores: build.Stores, read: Settings) -> None:
        is_new = await _grant(stores, account_id, micros, f"grant:{account_id}:{reference}")
        balance = await stores.gate.balance(account_id)
        state = "Granted" if is_new else "Granted before"
        out.print(f"{state}. Balance: {format_money(balance, read.currency)}", highlight=False)

    _with_stores(context, work)


@app.command("limit")
def limit_account(
    context: typer.Context,
    account_id: AccountId,
    call: Annotated[str, typer.Option(help="Most that one call may cost; none lifts it.")] = "",
    day: Annotated[str, typer.Option(help="Most in one day (UTC); none lifts it.")] = "",
    month: Annotated[str, typer.Option(help="Most in one month (UTC); none lifts it.")] = "",
) -> None:
    """Show or set what an account may spend. It holds for calls that begin from now on."""
    wanted = {"call": call, "day": day, "month": month}
    changes = {
        name: None if text == "none" else read_amount(text) for name, text in wanted.items() if text
    }

    async def work(stores: build.Stores, read: Settings) -> None:
        caps = await stores.accounts.set_caps(account_id, changes)
        for name, micros in caps.items():
            shown = "no limit" if micros is None else format_money(micros, read.currency)
            out.print(f"{name:<7}{shown}", highlight=False)

    _with_stores(context, work)


@app.command("keys")
def list_keys(context: typer.Context, account_id: AccountId) -> None:
    """List an account's API keys by their ids; the keys themselves are kept nowhere."""

    async def work(stores: build.Stores, read: Settings) -> None:
        table = Table("key", "label", "made (UTC)", "most a day", "state")
        for key in await stores.accounts.keys(account_id):
            cap = key.day_cap_micros
            table.add_row(
                key.id,
                key.label,
                key.created_at.strftime("%Y-%m-%d %H:%M"),
                "no limit" if cap is None else format_money(cap, read.currency),
                "revoked" if key.revoked_at else "valid",
            )
        out.print(table)

    _with_stores(context, work)


@app.command("new-key")
def make_key(
    context: typer.Context,
    account_id: AccountId,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    day: Annotated[str, typer.Option(help="Most its calls may cost in one day (UTC).")] = "",
) -> None:
    """Make an API key and print it; it is shown only once."""
    cap = read_amount(day) if day else None

    async def work(stores: build.Stores, _read: Settings) -> None:
        key = new_api_key()
        key_id = await stores.accounts.add_api_key(account_id, key_hash(key), label)
        if cap is not None:
            await stores.accounts.set_key_cap(account_id, key_id, cap)
        out.print(key, highlight=False)

    _with_stores(context, work)


@app.command("revoke-key")
def revoke_key(
    context: typer.Context,
    account_id: AccountId,
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys` shows it.")],
) -> None:
    """Refuse a key from now on; the calls it has bought go on."""

    async def work(stores: build.Stores, _read: Settings) -> None:
        if key_id not in {key.id for key in await stores.accounts.keys(account_id)}:
            fail(
                "The account has no such key.", "`caller accounts keys` lists them.", EXIT_SETTINGS
            )
        await stores.accounts.revoke_api_key(account_id, key_id)
        out.print("Revoked.")

    _with_stores(context, work)


@app.command("freeze")
def freeze_account(context: typer.Context, account_id: AccountId) -> None:
    """Let an account place no calls, and end those that it has."""
    _freeze(context, account_id, frozen=True)


@app.command("unfreeze")
def unfreeze_account(context: typer.Context, account_id: AccountId) -> None:
    """Let a frozen account place calls again."""
    _freeze(context, account_id, frozen=False)


def _freeze(context: typer.Context, account_id: str, *, frozen: bool) -> None:
    async def work(stores: build.Stores, _read: Settings) -> None:
        if await stores.accounts.account(account_id) is None:
            raise LookupError
        # The book first: the spend gate is brought in line with it when it was away.
        await stores.ledger.freeze(account_id, frozen)
        await stores.gate.freeze(account_id, frozen)
        out.print("Frozen." if frozen else "No longer frozen.")

    _with_stores(context, work)


def _with_stores(
    context: typer.Context, work: Callable[[build.Stores, Settings], Awaitable[None]]
) -> None:
    """Run with open stores; tell an account that is not there in words."""
    read = read_settings(context)

    async def with_stores() -> None:
        stores = await build.open_stores(read)
        try:
            await work(stores, read)
        except LookupError:
            hint = "`caller accounts create` makes one."
            fail("There is no account of this id.", hint, EXIT_SETTINGS)
        finally:
            await stores.close()

    run(with_stores())


async def _grant(stores: build.Stores, account_id: str, micros: int, reference: str) -> bool:
    sequence = await stores.ledger.add_credit(account_id, micros, reference=reference, kind="grant")
    await bring_credits(stores.gate, stores.ledger, account_id)
    return sequence is not None
