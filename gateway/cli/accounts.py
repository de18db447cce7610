"""Implements `caller accounts`: accounts, their keys, credit and limits.

Commands that need only SQL open only SQL, so that a key can be revoked while Redis is away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from accounts.audit_log import Actor
from accounts.erasure import Erasure, ErasureState, Unspent
from billing.money import format_money
from database.errors import StoreUnavailableError
from gateway.administration.store import SqlAdministration
from gateway.app import Services
from gateway.charging.account_erasure import AccountDeletion, Deletion, DeletionOutcome
from gateway.charging.grants import book_grant
from gateway.charging.recovery import bring_credits
from gateway.cli import administration
from gateway.cli.administration import NO_WHY, As, Reason, Why, order_of
from gateway.cli.command import Yes, confirm, fail, out, read_amount, run_with, when_to_try
from gateway.cli.departures import departures
from gateway.cli.supervision import supervision
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE, PaymentError, RequestRefusedError
from gateway.http.bearer import key_hash, new_api_key
from gateway.operators import NODES, Order
from gateway.payments.build import card_payments
from gateway.personal_data.erasing import SqlErasing
from gateway.post.mail import is_address
from gateway.problems import PROBLEMS
from gateway.roles import storage
from gateway.roles.erasure import compose_erasure, open_book
from gateway.roles.journal import is_folder_known, open_journal
from gateway.scopes import LEAST, Scope, are_apart
from gateway.settings import Settings
from gateway.stores import private_files
from gateway.stores.accounts import KeyRow, SqlAccountStore
from gateway.stores.erasure_journal import COPY_INTERVAL_S
from gateway.stores.mail_outbox import queue_notice
from gateway.stores.opened import Stores

app = typer.Typer(
    add_completion=False, help="Accounts, their keys, credit and limits.", no_args_is_help=True
)

AccountId = Annotated[str, typer.Argument(help="Id of the account.")]
KeyId = Annotated[str, typer.Argument(help="Id of the key, as `keys` shows it.")]
Scopes = Annotated[
    list[Scope] | None, typer.Option("--scope", help="What the key may do; repeat for several.")
]
Expiry = Annotated[
    str,
    typer.Option("--expires", help="Expiry, such as 2030-01-31 or 2030-01-31T12:00 (UTC)."),
]


@app.command("create")
def create_account(  # noqa: PLR0917
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Id of the account, such as acme.")],
    credit: Annotated[str, typer.Option(help="Initial credit, such as 10.00.")] = "0",
    email: Annotated[str, typer.Option(help="The account holder's e-mail address.")] = "",
    scope: Scopes = None,
    expires: Expiry = "",
    reason: Why = NO_WHY,
    by: As = "",
) -> None:
    """Create an account and print its API key, which is shown only once.

    Without --scope the key may place calls and nothing else.
    """
    # Validate what was typed before anything is opened or written.
    if account_id == NODES:
        fail("This id is reserved.", "Choose another id.", EXIT_SETTINGS)
    _require_scopes(scope)
    micros, expires_at = read_amount(credit), _read_instant(expires)
    order = order_of(context, by, reason)
    if email:
        _require_address(email)

    async def create(accounts: SqlAccountStore, settings: Settings) -> str:
        if not await accounts.create_account(account_id, settings.currency, order):
            # Not repeatable on purpose: a second run would print another key for an account in use.
            fail("An account with this id already exists.", "Choose another id.", EXIT_SETTINGS)
        key = new_api_key()
        # Only the hash is stored: what is printed below is the only copy.
        await accounts.add_api_key(
            account_id,
            key_hash(key),
            "first key",
            scopes=scope or LEAST,
            expires_at=expires_at,
            order=order,
        )
        if email:
            await accounts.set_email(account_id, email, order)
        return key

    async def work(book: storage.Book, settings: Settings) -> None:
        out.print(await create(book.accounts, settings))

    async def work_with_credit(stores: Stores, settings: Settings) -> None:
        key = await create(stores.accounts, settings)
        try:
            # The hint below repeats this reference, so that repeating it books nothing twice.
            await _grant(stores, account_id, micros, "first")
            admin = SqlAdministration(stores.engine, queue_notice)
            given = format_money(micros, settings.currency)
            await admin.note_credit(account_id, "first", given, order)
        except StoreUnavailableError as error:
            raise StoreUnavailableError(
                "The account was created, but its credit could not be sent to Redis. Repeat that"
                " alone: `caller accounts credit ACCOUNT AMOUNT --reference first`."
            ) from error
        finally:
            # The key exists, even if the credit failed, and cannot be shown later.
            out.print(key)

    # Redis is opened only for credit: a key needs SQL alone.
    if micros:
        run_with(context, storage.open_stores, work_with_credit, may_begin=True)
    else:
        run_with(context, storage.open_book, work, may_begin=True)


@app.command("email")
def set_address(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    address: Annotated[str, typer.Argument(help="The account holder's e-mail address.")] = "",
    none: Annotated[bool, typer.Option("--none", help="Remove the address.")] = False,
    reason: Why = NO_WHY,
    by: As = "",
) -> None:
    """Set the account holder's e-mail address; it overrides one given with a payment."""
    if none == bool(address):
        fail("Give an address, or --none.", "One of them, not both.", EXIT_SETTINGS)
    if address:
        _require_address(address)

    order = order_of(context, by, reason)

    async def work(book: storage.Book, _settings: Settings) -> None:
        await book.accounts.set_email(account_id, address, order)
        out.print("E-mail saved." if address else "E-mail removed.")

    run_with(context, storage.open_book, work)


# Otherwise a negative amount would be taken for an option.
@app.command("credit", context_settings={"ignore_unknown_options": True})
def credit_account(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    amount: Annotated[str, typer.Argument(help="Amount, such as 10.00; negative to take back.")],
    reference: Annotated[str, typer.Option(help="Unique name; booked only once.")],
    reason: Annotated[
        str, typer.Option(help="Why; kept in the audit log, for its holder to read.")
    ] = "granted",
    by: As = "",
) -> None:
    """Grant credit to an account, once per reference."""
    order = order_of(context, by, reason)
    micros = read_amount(amount, may_be_negative=True)
    if not micros:
        fail("The amount is zero.", "Write an amount such as 10.00 or -2.50.", EXIT_SETTINGS)

    async def work(stores: Stores, settings: Settings) -> None:
        await _require_account(stores.accounts, account_id)
        if micros + await stores.ledger.balance(account_id) < 0:
            hint = "`caller ledger show` shows what can be taken back."
            fail("The balance is lower than that.", hint, EXIT_SETTINGS)
        is_new = await _grant(stores, account_id, micros, reference)
        admin = SqlAdministration(stores.engine, queue_notice)
        given = format_money(micros, settings.currency)
        await admin.note_credit(account_id, reference, given, order)
        balance = await stores.gate.balance(account_id)
        state = "Credit granted" if is_new else "Already granted"
        out.print(f"{state}. Balance: {format_money(balance, settings.currency)}")

    run_with(context, storage.open_stores, work)


@app.command("limit")
def limit_account(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    call: Annotated[str, typer.Option(help="Limit per call; none removes it.")] = "",
    day: Annotated[str, typer.Option(help="Limit per day (UTC); none removes it.")] = "",
    month: Annotated[str, typer.Option(help="Limit per month (UTC); none removes it.")] = "",
    reason: Why = NO_WHY,
    by: As = "",
) -> None:
    """Show or set an account's spend limits. They apply to calls that start later."""
    wanted = {"call": call, "day": day, "month": month}
    # Empty means unchanged, `none` removes the limit, 0 allows no spending at all.
    changes = {
        name: None if text == "none" else read_amount(text) for name, text in wanted.items() if text
    }
    order = order_of(context, by, reason)

    async def work(book: storage.Book, settings: Settings) -> None:
        caps = await book.accounts.set_caps(account_id, changes, order)
        for name, micros in caps.items():
            shown = "no limit" if micros is None else format_money(micros, settings.currency)
            out.print(f"{name:<7}{shown}")

    run_with(context, storage.open_book, work)


@app.command("keys")
def list_keys(context: typer.Context, account_id: AccountId) -> None:
    """List the ids of an account's API keys; the keys themselves are not stored."""

    async def work(book: storage.Book, settings: Settings) -> None:
        table = Table(
            "key", "label", "scopes", "created (UTC)", "expires (UTC)", "daily limit", "state"
        )
        for key in await book.accounts.keys(account_id):
            cap = key.day_cap_micros
            table.add_row(
                key.id,
                key.label,
                # In enum order; `key.scopes` is an unordered set.
                " ".join(scope for scope in Scope if scope in key.scopes),
                f"{key.created_at:%Y-%m-%d %H:%M}",
                f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never",
                "no limit" if cap is None else format_money(cap, settings.currency),
                _state(key),
            )
        out.print(table)

    run_with(context, storage.open_book, work)


@app.command("new-key")
def make_key(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    day: Annotated[str, typer.Option(help="Daily limit on the cost of its calls (UTC).")] = "",
    scope: Scopes = None,
    expires: Expiry = "",
    reason: Why = NO_WHY,
    by: As = "",
) -> None:
    """Create an API key and print it; it is shown only once.

    Without --scope it may place calls and nothing else.
    """
    _require_scopes(scope)
    cap, expires_at = read_amount(day) if day else None, _read_instant(expires)
    order = order_of(context, by, reason)

    async def work(book: storage.Book, _settings: Settings) -> None:
        key = new_api_key()
        key_id = await book.accounts.add_api_key(
            account_id,
            key_hash(key),
            label,
            scopes=scope or LEAST,
            expires_at=expires_at,
            order=order,
        )
        try:
            if cap is not None:
                await book.accounts.set_key_cap(account_id, key_id, cap)
        finally:
            # The key exists, even if setting its cap failed, and cannot be shown later.
            out.print(key)

    run_with(context, storage.open_book, work)


@app.command("change-key")
def change_key(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    key_id: KeyId,
    scope: Scopes = None,
    expires: Annotated[str, typer.Option(help="Expiry (UTC); never removes it.")] = "",
    reason: Why = NO_WHY,
    by: As = "",
) -> None:
    """Replace a key's scopes, its expiry, or both, on every node at once."""
    if not scope and not expires:
        fail("Nothing to change.", "Give --scope, --expires or both.", EXIT_SETTINGS)
    _require_scopes(scope)
    expires_at = None if expires == "never" else _read_instant(expires)
    order = order_of(context, by, reason)

    async def work(book: storage.Book, _settings: Settings) -> None:
        # A mistyped id must not change another account's key.
        await _require_key(book.accounts, account_id, key_id)
        try:
            if scope:
                await book.accounts.set_key_scopes(account_id, key_id, scope, order)
        finally:
            # Even if Redis could not be notified of the scopes: SQL is changed either way.
            if expires:
                await book.accounts.set_key_expiry(account_id, key_id, expires_at, order)
        out.print("Key changed.")

    run_with(context, storage.open_book, work)


@app.command("revoke-key")
def revoke_key(
    context: typer.Context,
    account_id: AccountId,
    key_id: KeyId,
    reason: Why = NO_WHY,
    by: As = "",
) -> None:
    """Revoke a key on every node at once; calls already placed go on."""
    order = order_of(context, by, reason)

    async def work(book: storage.Book, _settings: Settings) -> None:
        await _require_key(book.accounts, account_id, key_id)
        await book.accounts.revoke_api_key(account_id, key_id, order)
        out.print("Key revoked.")

    run_with(context, storage.open_book, work)


administration.add_to(app)
app.command()(supervision)
app.command()(departures)


_DELETION_BROKEN_OFF = (
    "The deletion is recorded in SQL: the account is frozen, its keys are revoked. Redis, or SQL,"
    " then did not answer, so it is not finished: nodes continue it. Repeat it until it succeeds"
    " to be sure that it is done."
)
_DELETION_NOT_BEGUN = (
    "Redis did not answer, so it is not known what the account has left. Repeat the"
    " command; with --write-off the account is closed in SQL whether Redis answers or not."
)


@app.command("delete")
def delete_account(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    reason: Reason,
    write_off: Annotated[
        bool, typer.Option("--write-off", help="Write off the remaining credit or debt.")
    ] = False,
    yes: Yes = False,
    by: As = "",
) -> None:
    """Delete an account: end its calls, revoke its keys, erase its addresses and saved card.

    Its payments and ledger are kept for the books; of its calls only their cost is kept. Repeat the
    command to finish an interrupted deletion.
    """
    order = order_of(context, by, reason)

    async def work(book: storage.Book, settings: Settings) -> None:
        account = await book.accounts.account(account_id)
        if account is None:
            raise LookupError
        confirm(f"Delete {account_id} for good?", yes=yes)
        # Without --write-off only the gate knows whether credit is left, so it is asked before the
        # account is marked. A deletion that has begun is continued.
        is_repeat = account.deleted_at is not None
        begins_here = write_off and not is_repeat
        if begins_here:
            erasing = SqlErasing(book.engine)
            _require_no_refund(await erasing.find(account_id))
            # SQL first, with the operator's name; keys are refused as soon as Redis can be reached.
            await erasing.begin_now(account_id, Unspent.GIVE_UP, Actor.OPERATOR, order)
            with contextlib.suppress(StoreUnavailableError):
                await book.accounts.keys_changed()
        try:
            stores = await storage.open_stores(settings)
            try:
                await delete(stores, settings, None if begins_here else order)
            finally:
                await stores.close()
        except StoreUnavailableError as error:
            said = _DELETION_BROKEN_OFF if begins_here or is_repeat else _DELETION_NOT_BEGUN
            raise StoreUnavailableError(said) from error

    async def delete(stores: Stores, settings: Settings, unsaid: Order | None) -> None:
        try:
            deletion = await _delete(stores, settings, account_id, unsaid, write_off=write_off)
        except PaymentError:
            hint = "The account cannot call; repeat the command to finish."
            fail("The payment service did not delete the card.", hint, EXIT_UNAVAILABLE)
        _explain(deletion, settings)

    run_with(context, open_book, work)


async def _delete(
    stores: Stores,
    settings: Settings,
    account_id: str,
    order: Order | None,
    *,
    write_off: bool,
) -> Deletion:
    services = card_payments(Services(settings=settings, stores=stores))
    journal = open_journal(settings, stores) if is_folder_known(settings) else None
    deletion = AccountDeletion(compose_erasure(settings, stores, services, journal))
    try:
        return await deletion.delete(account_id, write_off=write_off, order=order)
    finally:
        if services is not None:
            await services.service.close()


def _explain(deletion: Deletion, settings: Settings) -> None:
    left = format_money(deletion.left_micros, settings.currency)
    # The only outcome that changed nothing; the same command completes the others.
    if deletion.outcome is DeletionOutcome.HAS_CREDIT:
        fail(
            f"The account has {left}, holds of running calls included. Nothing was changed.",
            "`caller payments refund` sends it back to the card; or delete it with --write-off.",
            EXIT_SETTINGS,
        )
    if deletion.outcome is DeletionOutcome.NO_SERVICE:
        said = f"Its holder wants {left} sent back, and no payment service is set up here."
        hint = "Nothing was changed. Repeat the command where one is, or leave it to the nodes."
        fail(said, hint, EXIT_SETTINGS)
    if deletion.outcome is DeletionOutcome.HELD:
        fail(
            "The account is closed. Another process is deleting it right now, or was killed while"
            " it did.",
            when_to_try(deletion.held_until),
            EXIT_UNAVAILABLE,
        )
    if deletion.outcome is DeletionOutcome.CALLS_GO_ON:
        fail(
            "The account is closed, but not all of its calls have ended.",
            "Repeat the command in a minute, when they have been settled.",
            EXIT_UNAVAILABLE,
        )
    out.print("Account deleted. Payments, ledger and what its calls cost are kept for the books.")
    _say_where_it_is_noted(settings)
    if deletion.has_old_files:
        out.print(
            "Files of the databases may still have what was deleted: a node rewrites them"
            " within ten minutes."
        )
    if deletion.left_micros:
        hint = "Refund it, or repeat with --write-off."
        out.print(f"Credit has arrived in the meantime: {left}. {hint}")
    # The card was saved while a payment service was set up; now only a person can delete it.
    if deletion.customer_id:
        out.print(
            f"No payment service is set up here: delete its customer {deletion.customer_id} there.",
        )


def _say_where_it_is_noted(settings: Settings) -> None:
    soon = f"within {COPY_INTERVAL_S:.0f} seconds, or when it starts"
    if is_folder_known(settings):
        path = settings.data_dir.absolute() / private_files.ERASED
        said = f"Noted in {path}; each node notes it in its own data folder {soon}."
    else:
        said = f"Each node notes it in {private_files.ERASED} of its data folder {soon}."
    out.print(said, soft_wrap=True)


def _require_no_refund(erasure: Erasure | None) -> None:
    """Fail with a message if the holder who asked for the deletion wants credit sent back."""
    if erasure is None or (erasure.state, erasure.unspent) != (
        ErasureState.WAITING,
        Unspent.REFUND,
    ):
        return
    fail(
        "Its holder has asked for its deletion, and for credit to go back to the cards it was"
        " paid with. Nothing was changed.",
        f"That is done by itself from {erasure.due_at:%Y-%m-%d %H:%M} UTC on; the command"
        " without --write-off does it now.",
        EXIT_SETTINGS,
    )


def _require_scopes(scopes: Collection[Scope] | None) -> None:
    if Scope.EMBED in (scopes or ()):
        hint = (
            "Make the button on its account's page, or by POST /v1/buttons: its keys come with it."
        )
        fail("Only a button has keys of scope embed.", hint, EXIT_SETTINGS)
    if not are_apart(scopes or ()):
        hint = "Make one key with --scope admin alone, and another for the rest."
        fail("A key of scope admin can do nothing else.", hint, EXIT_SETTINGS)


def _require_address(text: str) -> None:
    if not is_address(text):
        fail("This is not a mail address.", "Write it as name@example.com.", EXIT_SETTINGS)


async def _require_account(accounts: SqlAccountStore, account_id: str) -> None:
    """Raise LookupError if there is no such account; exit with a message if it was deleted."""
    account = await accounts.account(account_id)
    if account is None:
        raise LookupError
    if account.deleted_at is not None:
        fail("The account was deleted.", "`caller ledger show` shows its ledger.", EXIT_SETTINGS)


async def _require_key(accounts: SqlAccountStore, account_id: str, key_id: str) -> None:
    if key_id not in {key.id for key in await accounts.keys(account_id)}:
        fail("The account has no such key.", "`caller accounts keys` lists them.", EXIT_SETTINGS)


def _state(key: KeyRow) -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.expires_at and key.expires_at <= datetime.now(UTC) else "valid"


def _read_instant(text: str) -> datetime | None:
    """Return a future time, UTC unless a zone is given; None for an empty text."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail("This is not a time.", "Write it as 2030-01-31T12:00Z.", EXIT_SETTINGS)
    # UTC and not the machine's zone, which may differ between operators of one deployment.
    at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if at <= datetime.now(UTC):
        fail("This time has passed.", "Give one in the future.", EXIT_SETTINGS)
    return at


async def _grant(stores: Stores, account_id: str, micros: int, reference: str) -> bool:
    try:
        is_new = await book_grant(stores.ledger, account_id, micros, reference)
    except RequestRefusedError as error:
        problem = PROBLEMS[error.code]
        fail(problem.message, problem.action, EXIT_SETTINGS)
    try:
        # Brings every credit that the gate lacks, because it takes them in order of their sequence.
        await bring_credits(stores.gate, stores.ledger, account_id)
    except StoreUnavailableError as error:
        raise StoreUnavailableError(
            "The credit is saved in SQL, but Redis did not answer. Repeat the command until it"
            " succeeds: it is booked once."
        ) from error
    return is_new
