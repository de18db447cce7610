"""Implements `caller ledger`: statements, the audit of all money, refilling the credit store.

Thin: the rules are in `billing.stores` and `gateway.charging`; this module runs and reports them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from billing.csv_lines import as_text
from billing.money import format_exact, in_units, is_currency
from billing.ports import PARTITIONS, GateEnding
from billing.reconcile import Surplus
from billing.statement import StatementLine
from billing.stores import gate_audit
from billing.stores.audit import ADVICE, AuditTotals, totals
from billing.stores.gate_audit import find_surpluses
from billing.stores.refill import SqlPositions
from billing.stores.sql import SqlLedgerStore
from billing.stores.statement import PAGE_LINES_MAX, SqlStatementStore
from database.errors import StoreUnavailableError
from gateway.app import Services
from gateway.charging.recovery import FILLINGS_MAX, Drain, fill_partition
from gateway.charging.refilling import CallResend, account_of, older_copies
from gateway.cli.command import Yes, confirm, err, fail, out, read_moment, run_with
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE, PaymentError
from gateway.payments import proof
from gateway.payments.build import compose_payments
from gateway.payments.proof import PaymentProof
from gateway.roles import storage
from gateway.roles.audit import findings_of, note_repaired
from gateway.settings import Settings
from gateway.stores.leases import RedisNodeLeases
from gateway.stores.opened import Stores

app = typer.Typer(
    add_completion=False,
    help="Statements, audit and recovery of the ledger.",
    no_args_is_help=True,
)


@app.command("show")
def show_account(
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Id of the account.")],
    lines: Annotated[int, typer.Option(min=0, help="Maximum number of lines; 0 for all.")] = 50,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Print an account's statement, newest line first."""

    async def work(book: storage.Book, _settings: Settings) -> None:
        if await book.accounts.account(account_id) is None:
            raise LookupError
        statement = await _statement(SqlStatementStore(book.engine), account_id, lines)
        if as_csv:
            _print_csv(statement)
        else:
            out.print(_statement_table(statement))

    run_with(context, storage.open_book, work)


async def _open_as_it_is(settings: Settings) -> Stores:
    """Open the stores without filling anything: data lost by the credit store must be reported."""
    return await storage.open_stores(settings, fills=False)


@app.command("audit")
def audit_ledger(
    context: typer.Context,
    watch: Annotated[
        float, typer.Option(min=0, help="Repeat every this many seconds, until interrupted.")
    ] = 0,
    since: Annotated[
        str,
        typer.Option(
            help="Compare the book with all that was paid at the payment service since this date"
            " or moment (UTC). Default: of the last three days."
        ),
    ] = "",
) -> None:
    """Check that ledger, balances, calls, payments and the credit store agree; calls may go on.

    Exits with 0 if all agree, 1 with findings, 3 if a store or the payment service is away, 70 if
    the audit itself failed.
    """
    moment = read_moment(since) if since else None

    async def work(stores: Stores, settings: Settings) -> None:
        # The first audit decides the exit code; a watch only ends with Ctrl-C, with 130.
        findings, is_whole = await _audit(stores, settings, moment)
        # During a watch, an outage is reported and waited out.
        while watch:
            await asyncio.sleep(watch)
            try:
                await _audit(stores, settings, moment)
            except StoreUnavailableError as error:
                err.print(f"Not audited: {error}.")
        if findings:
            raise typer.Exit(EXIT_FINDINGS)
        if not is_whole:
            raise typer.Exit(EXIT_UNAVAILABLE)

    run_with(context, _open_as_it_is, work)


@app.command("rebuild")
def rebuild_gate(  # noqa: PLR0917
    context: typer.Context,
    partition: Annotated[
        int | None,
        typer.Option(min=0, max=PARTITIONS - 1, help="Default: all partitions."),
    ] = None,
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Even while nodes are running.")] = False,
    forget_credits: Annotated[
        bool,
        typer.Option(
            "--forget-credits", help="Proceed although credit that the book lacks is lost."
        ),
    ] = False,
    forget_calls: Annotated[
        bool,
        typer.Option(
            "--forget-calls", help="Proceed although calls that cannot be booked are lost."
        ),
    ] = False,
) -> None:
    """Refill the credit store from the SQL book of record.

    Calls that the credit store has and the book lacks are booked first. Live calls continue and
    are opened again; new calls are refused meanwhile. Refuses to run while the credit store holds
    credit that the book lacks, or calls that cannot be booked: that is what a book restored from an
    older backup looks like.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        alive = sorted(await RedisNodeLeases(stores.redis).alive())
        if alive and not force:
            hint = "Stop them first; with --force their calls go on, and new ones are refused."
            fail(f"Nodes are running: {', '.join(alive)}.", hint, EXIT_SETTINGS)
        chosen = range(PARTITIONS) if partition is None else [partition]
        # An automatic refund that the book has lost is booked again under the gate's number.
        recovering = replace(stores, ledger=SqlLedgerStore(stores.engine))
        drain = storage.build_drainer(recovering, settings).drain_once
        begun_at, lost = datetime.now(UTC), await _without_data(stores, chosen)
        if lost:
            err.print(f"{len(lost)} of {len(chosen)} partitions have lost their data. {_LOST}")
        # Partitions that lost their data have nothing as new as the book either.
        old = {*chosen} & {*await older_copies(stores.gate, stores.ledger, PARTITIONS)} - lost
        if old:
            err.print(f"{len(old)} of {len(chosen)} partitions are an older copy. {_OLDER}")
        # Before balances are compared: calls that the book lacks would hide missing credit.
        named, left = await _book_calls(stores, drain, chosen)
        if left:
            err.print("These cannot be booked, because too little is known about them:")
            _show_calls(left)
            if not forget_calls:
                fail("The credit store knows calls that the book lacks.", _UNTOLD, EXIT_FINDINGS)
        # Credit that filling would take away from accounts.
        found = await find_surpluses(stores.gate, stores.engine, chosen)
        concerned = named | {surplus.account_id for surplus in found}
        await _show_reopened(stores, concerned, begun_at)
        if found:
            await _show_surpluses(stores, found)
            if not forget_credits:
                fail(
                    "The credit store holds credit that the book lacks.",
                    _hint(found),
                    EXIT_FINDINGS,
                )
        confirm(f"Fill {len(chosen)} of {PARTITIONS} partitions again?", yes=yes)
        for one in chosen:
            await _fill(stores, drain, one)
        out.print(f"Filled {len(chosen)} partitions from the book of record.")

    run_with(context, _open_as_it_is, work)


PAYMENTS_LOOK_BACK = timedelta(days=3)
"""How far back an audit looks by default: Stripe retries a webhook for that long."""
_ADVICE = {
    **ADVICE,
    **gate_audit.ADVICE,
    **proof.ADVICE,
}

_LACKING = (
    "Was the database restored from an older copy? `caller payments reconcile --since DATE` books"
    " what was paid since; then try again. Credits that are no payments (`caller accounts credit`)"
    " cannot be found again: fill with --forget-credits, then grant them again."
)

_SPENT = (
    "If 0 credits are lacking the book has them all, and has charged more than the credit store"
    " knows: that is what a credit store restored from an older copy looks like. Fill with"
    " --forget-credits then, and grant nothing: it is spent. Only if the database was restored from"
    " an older copy too, compare `caller ledger show ACCOUNT` with what you granted since then."
)
_OLDER = (
    "What they hold beyond the book has been spent since; nothing of it is to be granted again."
)


def _hint(found: Sequence[Surplus]) -> str:
    """Return what to do about credit that the book lacks, or has seen spent."""
    hints = (
        (_LACKING, any(one.credits for one in found)),
        (_SPENT, not all(o.credits for o in found)),
    )
    return " ".join(hint for hint, applies in hints if applies)


BOOKING_S_MAX = 900.0
"""Longest time a rebuild spends booking calls: a day's calls take minutes."""
_UNTOLD = (
    "The outbox entries in the table rejected_entries may say why. Whose an unknown account's call"
    " was, and its seconds, the line `call settled` of the nodes' logs says. Fill with"
    " --forget-calls; then take what these calls cost by `caller accounts credit ACCOUNT"
    " --reference CALL -- -AMOUNT`."
)
_LOST = (
    "Of calls that the book lacks they tell nothing. If the database was restored from an older"
    " copy as well, the carrier's own list of calls shows which these are: compare it with the"
    " call records."
)
_UNTIL_NOW = "Everything booked so far stays booked; the same command continues."


async def _book_calls(
    stores: Stores, drain: Drain, chosen: Iterable[int]
) -> tuple[set[str], Sequence[GateEnding]]:
    """Book the calls that only the credit store has, and list what was missing.

    Returns the accounts of these calls, and what is still missing. Raises StoreUnavailableError.
    """
    named: set[str] = set()
    accounts: set[str] = set()
    left: list[GateEnding] = []

    def found(endings: Sequence[GateEnding]) -> None:
        if not named:
            err.print("Calls have ended that the book lacks; they are booked first:")
        named.update(ending.call_id for ending in endings)
        accounts.update(ending.account_id for ending in endings)
        _show_calls(endings)

    resend = CallResend(stores.gate, stores.records, SqlPositions(stores.engine), drain)
    try:
        async with asyncio.timeout(BOOKING_S_MAX):
            for one in chosen:
                left += await resend.book_all(one, PARTITIONS, found)
    except TimeoutError:
        fail("Not all calls could be booked in time.", _UNTIL_NOW, EXIT_UNAVAILABLE)
    if booked := named - {ending.call_id for ending in left}:
        out.print(f"Booked {len(booked)} calls.")
    return accounts, left


async def _without_data(stores: Stores, chosen: Iterable[int]) -> set[int]:
    """Return the partitions that are empty; a withdrawn one still has all its data."""
    waiting = [one for one in chosen if not await stores.gate.is_ready(one)]
    # Not ready does not mean lost: an earlier rebuild may have been interrupted.
    return {one for one in waiting if not (await stores.gate.inspect(one)).meta}


async def _fill(stores: Stores, drain: Drain, partition: int) -> None:
    """Fill one partition, which is out of service only during that time."""
    for _ in range(FILLINGS_MAX):
        await stores.gate.withdraw(partition)
        # What calls have reported until now belongs into the filling.
        await drain()
        if await fill_partition(stores.gate, stores.ledger, partition, PARTITIONS, drain):
            return
    hint = "Stop the nodes, and repeat the command."
    fail(f"Nodes have put partition {partition} back into service.", hint, EXIT_UNAVAILABLE)


async def _show_reopened(stores: Stores, account_ids: Iterable[str], begun_at: datetime) -> None:
    """List the accounts that were recreated by booking their calls."""
    for account_id in sorted(account_ids):
        account = await stores.accounts.account(account_id)
        # Accounts recreated by this run: `frozen` alone would also match frozen customers.
        if account is not None and account.frozen and account.created_at >= begun_at:
            err.print(
                Text(
                    f"The book lacked account {account_id}: it is recreated, frozen and without"
                    f" keys. `caller accounts unfreeze {account_id} --reason …` and `caller"
                    f" accounts new-key {account_id}` let it call again."
                ),
                soft_wrap=True,
            )


def _show_calls(endings: Iterable[GateEnding]) -> None:
    for one in endings:
        account = account_of(one) or "account unknown"
        # A record without its account has no seconds either.
        length = f"{one.seconds} s" if one.account_id else "seconds unknown"
        cost = in_units(one.charged_micros)
        err.print(Text(f"  {account}  {one.call_id}  {length}  {cost}"), soft_wrap=True)


async def _show_surpluses(stores: Stores, found: Iterable[Surplus]) -> None:
    table = Table("account", show_edge=False)
    table.add_column("credits the book lacks", justify="right")
    table.add_column("compared with the book", justify="right")
    for surplus in found:
        account = await stores.accounts.account(surplus.account_id)
        currency = "" if account is None else account.currency
        # All digits: an amount displayed as zero would be removed nevertheless.
        amount = f"{in_units(abs(surplus.micros))} {currency}"
        # Less: unbooked charges hide credit that the book lacks as well.
        amount += " more" if surplus.micros >= 0 else " less"
        table.add_row(Text(surplus.account_id), str(surplus.credits), Text(amount))
    err.print(table)


async def _audit(
    stores: Stores, settings: Settings, since: datetime | None
) -> tuple[Sequence[str], bool]:
    """Audit everything once, print the findings, and return them with whether all was checked."""
    findings = await findings_of(stores)
    await note_repaired(stores, findings)
    is_whole = True
    if not settings.stripe_api_key:
        out.print("The payment service was not checked: CALLER_STRIPE_API_KEY is not set.")
    else:
        try:
            findings += await _audit_payments(stores, settings, since)
        except PaymentError as error:
            out.print(f"The payment service could not be checked. {error}")
            is_whole = False
    for finding in findings:
        out.print(Text(finding, style="bold red"))
    # Once for each rule, below all findings.
    for advice in dict.fromkeys(_advice(finding) for finding in findings):
        out.print(Text(f"→ {advice}"))
    out.print(_totals_table(await totals(stores.engine)))
    # An incomplete audit without findings must not claim that all agree.
    if findings or is_whole:
        out.print(f"{len(findings)} findings." if findings else "All agree.")
    return findings, is_whole


async def _audit_payments(stores: Stores, settings: Settings, since: datetime | None) -> list[str]:
    """Return where payment service and book differ. Raises PaymentError, StoreUnavailableError."""
    services = compose_payments(Services(settings=settings, stores=stores))
    until = datetime.now(UTC)
    since = since or until - PAYMENTS_LOOK_BACK
    try:
        compared = PaymentProof(services.history, service=services.service, store=services.store)
        done = await compared.compare(since)
    finally:
        await services.service.close()
    period = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
    said = f"{done.objects} objects there, {done.credits} credits here"
    out.print(f"Compared with the payment service: {period}, {said}.")
    if not done.is_whole:
        left = f"; {done.unasked} credits were not checked" if done.unasked else ""
        out.print(f"The comparison is incomplete{left}. Narrow it with --since.")
    return list(done.findings)


def _advice(finding: str) -> str:
    """Return what to do about a finding."""
    rule = finding.partition(": ")[0]
    return _ADVICE.get(rule, "")


def _totals_table(sums: Iterable[AuditTotals]) -> Table:
    table = Table("currency", show_edge=False)
    names = ("accounts", "carried forward", "credits", "charges", "holds", "balances", "write-offs")
    for name in names:
        table.add_column(name, justify="right")
    for of in sums:
        amounts = (of.carried, of.credits, of.charges, of.holds, of.balances, of.write_offs)
        shown = (_shown(micros, of.currency) for micros in amounts)
        table.add_row(of.currency, str(of.accounts), *shown)
    return table


async def _statement(
    store: SqlStatementStore, account_id: str, count_max: int
) -> Sequence[StatementLine]:
    """Return the newest lines; all of them for 0."""
    found: list[StatementLine] = []
    before = None
    while not count_max or len(found) < count_max:
        wanted = min(PAGE_LINES_MAX, count_max - len(found) if count_max else PAGE_LINES_MAX)
        page = await store.page(account_id, limit=wanted, before=before)
        found += page
        if len(page) < wanted:
            break
        # A reference, not an offset: lines booked meanwhile do not shift the page.
        before = page[-1].reference
    return found


def _statement_table(statement: Iterable[StatementLine]) -> Table:
    table = Table("date (UTC)", "kind", "reason", show_edge=False)
    for name in ("amount", "balance"):
        table.add_column(name, justify="right")
    table.add_column("call or reference")
    for line in statement:
        cells = (
            f"{line.at:%Y-%m-%d %H:%M:%S}",
            line.kind,
            line.reason,
            _shown(line.micros, line.currency),
            _shown(line.balance_micros, line.currency),
            line.call_id or line.reference,
        )
        # As `Text`: a bracket in a reason must not be read as markup.
        table.add_row(*map(Text, cells))
    return table


def _print_csv(statement: Iterable[StatementLine]) -> None:
    # Plain decimal amounts and ISO times, for spreadsheets.
    head = ("at", "kind", "reason", "amount", "balance", "currency", "call_id", "reference")
    rows = (
        (
            line.at,
            line.kind,
            line.reason,
            Decimal(in_units(line.micros)),
            Decimal(in_units(line.balance_micros)),
            line.currency,
            line.call_id,
            line.reference,
        )
        for line in statement
    )
    sys.stdout.write(as_text([head, *rows]))


def _shown(micros: int, currency: str) -> str:
    """Format an amount in full; a lost account may have a currency unknown to us."""
    return format_exact(micros, currency) if is_currency(currency) else in_units(micros)
