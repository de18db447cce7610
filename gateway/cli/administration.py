"""Implements operators' acts on accounts: `caller accounts find`, `freeze` and so on.

Each act needs a reason, which the audit log keeps with the operator's name. Commands change SQL
first, and then notify Redis, so that they work while Redis is away.
"""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Column, Table
from rich.text import Text

from accounts.stores.sessions import RedisSessions
from billing.money import format_money
from billing.stores.redis import RedisSpendGate
from database.errors import StoreUnavailableError
from gateway.administration.ports import FOUND_MAX, LINES_MAX, QUERY_MIN, AccountState, FoundAccount
from gateway.administration.store import SqlAdministration
from gateway.cli.command import fail, out, run_with
from gateway.errors import EXIT_SETTINGS
from gateway.operators import Order
from gateway.roles import storage
from gateway.settings import Settings
from gateway.stores.mail_outbox import queue_notice

AccountId = Annotated[str, typer.Argument(help="Id of the account.")]
Reason = Annotated[
    str,
    typer.Option(
        "--reason", help="Why; kept in the audit log, for the holder of an account to read."
    ),
]
Why = Annotated[
    str,
    typer.Option("--reason", help="Why; kept in the audit log, for its holder to read."),
]
NO_WHY: Final = "no reason given"
As = Annotated[str, typer.Option("--as", help="Who acts; kept too. Default: this machine's user.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=FOUND_MAX, help="Maximum number shown.")]
Lines = Annotated[int, typer.Option(min=1, max=LINES_MAX, help="Maximum number shown.")]
Before = Annotated[int | None, typer.Option(min=1, max=2**63 - 1, help="Only lines before this.")]
After = Annotated[str, typer.Option(help="Continue after this account.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to `caller accounts`."""
    acts = (freeze, unfreeze, lock, unlock, sign_out, reset_second_factor)
    for command in (find, show, log, *acts):
        app.command(command.__name__.replace("_", "-"))(command)
    # A function `list` would shadow the builtin.
    app.command("list")(list_all)


def order_of(context: typer.Context, operator: str, reason: str) -> Order:
    """Return who acts and why; exit if that is missing."""
    environ: Mapping[str, str] = context.obj
    try:
        return Order(operator or _user(environ), reason)
    except ValueError as error:
        fail(
            f"This cannot be logged: {error}.", "Give --reason, and --as if needed.", EXIT_SETTINGS
        )


def _user(environ: Mapping[str, str]) -> str:
    """Return who is signed in to this machine, even behind `sudo`."""
    # The variables of `getpass.getuser`, which reads the process's own environment.
    for name in ("SUDO_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        if user := environ.get(name):
            return user
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        # In a container the number may have no name.
        return f"uid {number}"


def administration(book: storage.Book, settings: Settings) -> SqlAdministration:
    """Return the book as operators use it; the gate is notified of freezes."""

    async def freeze_gate(account_id: str, is_frozen: bool) -> None:
        # Opened only now; if it is away, it follows the book within a minute.
        async with storage.open_redis_alone(settings) as redis:
            await RedisSpendGate(redis).freeze(account_id, is_frozen)

    return SqlAdministration(book.engine, queue_notice, on_freeze=freeze_gate)


def list_all(
    context: typer.Context, limit: Limit = 20, after: After = "", as_json: AsJson = False
) -> None:
    """List accounts by their ids, page by page."""
    _print_found(context, "", limit, after, as_json=as_json)


def find(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Part of an account's id, or of an address.")],
    limit: Limit = 20,
    after: After = "",
    as_json: AsJson = False,
) -> None:
    """Find accounts by their ids and their holders' addresses."""
    if len(text) < QUERY_MIN:
        hint = f"Give {QUERY_MIN} characters or more; `caller accounts list` shows all."
        fail("That would find everybody.", hint, EXIT_SETTINGS)
    _print_found(context, text, limit, after, as_json=as_json)


def _print_found(
    context: typer.Context, text: str, limit: int, after: str, *, as_json: bool
) -> None:
    """Print the accounts that contain a text, one page of them."""

    async def work(book: storage.Book, settings: Settings) -> None:
        found = await administration(book, settings).find(text, limit=limit, after=after)
        if as_json:
            print_json(found)
            return
        table = Table(Column("account", no_wrap=True), "address", "made (UTC)", "state")
        for each in found:
            # Neither markup nor links: an address is a stranger's text.
            table.add_row(
                Text(each.id), Text(each.email), f"{each.created_at:%Y-%m-%d}", _state(each)
            )
        out.print(table if found else "No account.")
        if len(found) == limit:
            out.print(f"There may be more: --after {found[-1].id}")

    run_with(context, storage.open_book, work)


def show(context: typer.Context, account_id: AccountId, as_json: AsJson = False) -> None:
    """Show the state of an account: credit, sessions, lifted rules and refusals."""

    async def work(book: storage.Book, settings: Settings) -> None:
        state = await administration(book, settings).state(account_id)
        sessions = await _count_sessions(settings, state)
        if as_json:
            print_json({**msgspec.to_builtins(state), "sessions": sessions})
            return
        for name, value in _lines(state, sessions):
            # Neither markup nor links: an address is a stranger's text.
            out.print(Text(f"{name:<18}{value}"), soft_wrap=True)

    run_with(context, storage.open_book, work)


def log(
    context: typer.Context,
    account_id: AccountId,
    limit: Lines = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List what was done with an account, by whom and why, newest first."""
    show_log(context, account_id, limit, before, as_json=as_json)


def show_log(
    context: typer.Context, account_id: str, limit: int, before: int | None, *, as_json: bool
) -> None:
    """Print lines of the audit log, newest first."""

    async def work(book: storage.Book, settings: Settings) -> None:
        lines = await administration(book, settings).lines(account_id, limit=limit, before=before)
        if as_json:
            print_json(lines)
            return
        table = Table("line", "at (UTC)", "act", "by", "reason")
        for each in lines:
            by = f"{each.actor.value} {each.operator}".rstrip()
            cells = (f"{each.at:%Y-%m-%d %H:%M:%S}", each.act.value, by, each.reason)
            table.add_row(str(each.number), *map(Text, cells))
        out.print(table)

    run_with(context, storage.open_book, work)


def freeze(context: typer.Context, account_id: AccountId, reason: Reason, by: As = "") -> None:
    """Freeze an account: it may place no calls, and its live calls end."""
    _freeze(context, account_id, order_of(context, by, reason), frozen=True)


def unfreeze(context: typer.Context, account_id: AccountId, reason: Reason, by: As = "") -> None:
    """Unfreeze an account: it may place calls again."""
    _freeze(context, account_id, order_of(context, by, reason), frozen=False)


def lock(context: typer.Context, account_id: AccountId, reason: Reason, by: As = "") -> None:
    """Lock an account's holder out, and mail them a link to set a new password."""
    order = order_of(context, by, reason)
    _act(context, account_id, lambda book: book.lock(account_id, order), "Holder locked out.")


def unlock(context: typer.Context, account_id: AccountId, reason: Reason, by: As = "") -> None:
    """Let an account's holder in again, with their current password."""
    order = order_of(context, by, reason)
    _act(context, account_id, lambda book: book.unlock(account_id, order), "Holder let in again.")


def sign_out(context: typer.Context, account_id: AccountId, reason: Reason, by: As = "") -> None:
    """Sign an account's holder out everywhere."""
    order = order_of(context, by, reason)
    _act(context, account_id, lambda book: book.sign_out(account_id, order), "Signed out.")


def reset_second_factor(
    context: typer.Context, account_id: AccountId, reason: Reason, by: As = ""
) -> None:
    """Remove second factor and passkeys of a person who lost them; verify who asks first."""
    order = order_of(context, by, reason)

    async def act(book: SqlAdministration) -> None:
        await book.reset_second_factor(account_id, order)

    _act(context, account_id, act, "The password alone signs in now.")


def _act(
    context: typer.Context,
    account_id: str,
    act: Callable[[SqlAdministration], Awaitable[None]],
    said: str,
) -> None:
    async def work(book: storage.Book, settings: Settings) -> None:
        admin = administration(book, settings)
        if not (await admin.state(account_id)).found.has_holder:
            hint = "`caller accounts show` says whose it is; keys are revoked by `revoke-key`."
            fail("This account has no sign-in.", hint, EXIT_SETTINGS)
        await act(admin)
        # Sessions are ended by the new epoch; nodes must read it.
        await book.end_key_epoch()
        out.print(said)

    run_with(context, storage.open_book, work)


_FREEZE_UNTOLD = (
    "The change is saved in SQL, but Redis did not answer: nodes that reach it follow within a"
    " minute. Repeat it until it succeeds."
)


def _freeze(context: typer.Context, account_id: str, order: Order, *, frozen: bool) -> None:
    async def work(book: storage.Book, settings: Settings) -> None:
        admin = administration(book, settings)
        if (await admin.state(account_id)).found.deleted:
            hint = "`caller ledger show` shows its ledger."
            fail("The account was deleted.", hint, EXIT_SETTINGS)
        # SQL first: nodes follow the book within a minute, once they reach Redis.
        await admin.freeze(account_id, frozen, order)
        try:
            # Opened only now, so that the account is frozen in SQL even while Redis is away.
            stores = await storage.open_stores(settings)
            try:
                is_frozen = await stores.freeze(account_id, frozen)
            finally:
                await stores.close()
        except StoreUnavailableError as error:
            raise StoreUnavailableError(_FREEZE_UNTOLD) from error
        if is_frozen and not frozen:
            out.print("Account still frozen: its holder locked or restricted it, or is leaving.")
        else:
            out.print("Account frozen." if frozen else "Account unfrozen.")

    run_with(context, storage.open_book, work)


async def _count_sessions(settings: Settings, state: AccountState) -> int | None:
    """Return how many browsers are signed in; None if Redis does not answer."""
    if state.credentials_epoch is None or state.locked_at is not None:
        return 0
    try:
        async with storage.open_redis_alone(settings) as redis:
            kept = await RedisSessions(redis, secrets.token_bytes).of_account(state.found.id)
    except StoreUnavailableError:
        return None
    return sum(each.credentials_epoch == state.credentials_epoch for _, each in kept)


def _lines(state: AccountState, sessions: int | None) -> list[tuple[str, str]]:
    found = state.found
    lines = [
        ("account", found.id),
        ("made", _at(found.created_at)),
        ("state", _state(found)),
        *(("frozen because", reason) for reason in state.freezes),
        ("credit", format_money(state.balance_micros, state.currency)),
        ("API keys", str(state.keys)),
    ]
    if found.has_holder:
        proven = "confirmed" if state.is_proven else "not confirmed"
        lines += [
            ("address", f"{found.email} ({proven})"),
            ("second factor", "yes" if state.has_second_factor else "no"),
            ("sessions", "unknown: Redis did not answer" if sessions is None else str(sessions)),
            ("devices", str(state.devices)),
            ("last sign-in", _at(state.last_sign_in_at)),
            ("locked", _at(state.locked_at) if state.locked_at else "no"),
            ("countries opened", " ".join(state.opened) or "none"),
        ]
    elif found.email:
        lines.append(("address", f"{found.email} (notices only)"))
    lines += [("rule lifted", f"{rule} until {_at(at)}") for rule, at in state.lifted.items()]
    lines += [
        ("calls refused", f"{each.count} by {each.rule} in the hour of {_at(each.hour)}")
        for each in state.refusals
    ]
    return lines


def _state(found: FoundAccount) -> str:
    states = [
        *(["deleted"] if found.deleted else []),
        *(["frozen"] if found.frozen and not found.deleted else []),
        *(["locked"] if found.locked else []),
    ]
    return ", ".join(states) or ("person" if found.has_holder else "program")


def _at(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def print_json(value: Any) -> None:
    """Print a value for programs, on one line."""
    # Not with Rich, which would wrap lines at the terminal's width.
    typer.echo(msgspec.json.encode(value).decode())
