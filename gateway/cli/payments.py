"""Implements `caller payments`: payments, refunds and disputes."""

from __future__ import annotations

import secrets
import shlex
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import chain
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from billing.money import format_money
from billing.stores.payments import SqlPaymentStore
from database.errors import StoreUnavailableError
from gateway.administration.store import SqlAdministration
from gateway.app import Services
from gateway.cli.administration import As, Reason, order_of
from gateway.cli.command import (
    complain,
    err,
    fail,
    open_before_changes,
    out,
    read_amount,
    read_moment,
    read_settings,
    run,
    run_with,
)
from gateway.errors import (
    EXIT_FINDINGS,
    EXIT_SETTINGS,
    EXIT_UNAVAILABLE,
    PaymentError,
    RequestRefusedError,
)
from gateway.payments.build import PaymentServices, compose_payments
from gateway.payments.comparison import PAYMENT_DIFFERS
from gateway.payments.events import HISTORY
from gateway.payments.evidence import DisputeEvidence
from gateway.payments.history import PaymentHistory
from gateway.payments.refunds import REFERENCE_CHARS_MAX
from gateway.problems import PROBLEMS
from gateway.roles import storage
from gateway.roles.post import open_post
from gateway.settings import Settings
from gateway.stores.mail_outbox import queue_notice
from gateway.stores.opened import Stores

app = typer.Typer(
    add_completion=False, help="Payments by card, refunds and disputes.", no_args_is_help=True
)

PaymentId = Annotated[str, typer.Argument(help="Id of the payment, as `payments list` shows it.")]

Work = Callable[[Stores, PaymentServices], Awaitable[None]]


@app.command("list")
def list_payments(
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Id of the account.")],
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number shown.")] = 50,
) -> None:
    """List an account's payments, newest first."""

    async def work(book: storage.Book, _settings: Settings) -> None:
        table = Table(
            Column("payment", no_wrap=True), "begun (UTC)", "kind", "amount", "refunded", "state"
        )
        for payment in await SqlPaymentStore(book.engine).page(account_id, limit=limit):
            table.add_row(
                payment.id,
                payment.created_at.strftime("%Y-%m-%d %H:%M:%S"),
                payment.kind,
                format_money(payment.micros, payment.currency),
                format_money(payment.refunded_micros, payment.currency),
                # Shown for a paid payment too: it says why earlier attempts were declined.
                payment.state.value + (f" ({payment.failure})" if payment.failure else ""),
            )
        out.print(table)

    run_with(context, storage.open_book, work)


@app.command("refund")
def refund_payment(
    context: typer.Context,
    payment_id: PaymentId,
    amount: Annotated[str, typer.Argument(help="Amount, such as 10.00.")],
    *,
    reason: Reason,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Unique name among the refunds of this payment; refunded only once."
            " Default: a new one."
        ),
    ] = None,
    by: As = "",
) -> None:
    """Send unspent credit back to the card it was paid with."""
    order = order_of(context, by, reason)
    micros = read_amount(amount)
    if not micros:
        fail("There is nothing to send back.", "Write an amount such as 10.00.", EXIT_SETTINGS)
    name = secrets.token_hex(6) if reference is None else reference
    if not (0 < len(name) <= REFERENCE_CHARS_MAX and name.isprintable()):
        hint = f"Write 1 to {REFERENCE_CHARS_MAX} printable characters, or leave it out."
        fail("This cannot be the reference of a refund.", hint, EXIT_SETTINGS)

    async def work(stores: Stores, services: PaymentServices) -> None:
        # Printed first: it is needed to finish an interrupted command.
        out.print(f"Refund {name}")
        try:
            payment = await services.refunds.send_back(payment_id, micros, reference=name)
        except PaymentError as error:
            # A definite refusal has given the credit back, so there is nothing to finish.
            if error.is_refusal:
                raise
            hint = f"Finish it with the same command and --reference {shlex.quote(name)}."
            fail("It is not known whether the refund was made.", hint, EXIT_UNAVAILABLE)
        book = SqlAdministration(stores.engine, queue_notice)
        sent = format_money(micros, payment.currency)
        await book.note_refund(payment.account_id, payment_id, name, sent, order)
        refunded = format_money(payment.refunded_micros, payment.currency)
        out.print(f"Refunded. Total of this payment: {refunded}")

    _with_payment_services(context, work)


@app.command("reconcile")
def reconcile_payments(
    context: typer.Context,
    since: Annotated[
        str,
        typer.Option(
            help="Check everything that the payment service has since this date or moment"
            " (UTC), also what is not known here: after the database was restored from a copy."
        ),
    ] = "",
    after: Annotated[str, typer.Option(help="Continue an interrupted run with --since.")] = "",
) -> None:
    """Find payments whose webhooks were lost, or that were marked failed, and book them.

    With --since it exits with 1 if a payment cannot be booked, or differs from what the service
    says; such payments are listed for a person to look at.
    """
    moment = read_moment(since) if since else None
    if after and (moment is None or after.partition(":")[0] not in HISTORY):
        fail("--after goes with --since, as it was printed.", "Copy both.", EXIT_SETTINGS)

    async def work(_stores: Stores, services: PaymentServices) -> None:
        is_whole = True
        if moment is not None:
            is_whole = await _go_over(services.history, moment, after)
        out.print(f"Checked {await services.reconciler.reconcile()} payments.")
        if not is_whole:
            raise typer.Exit(EXIT_FINDINGS)

    _with_payment_services(context, work, recovers=moment is not None)


async def _go_over(history: PaymentHistory, since: datetime, resume: str) -> bool:
    """Book what the book lacks, page by page; return whether nothing is missing or different."""
    counts: Counter[str] = Counter()
    is_whole = True
    try:
        async for step in history.walk(since, resume):
            for found in step.unbooked:
                # Each page is booked before the next is read, so an interruption loses nothing.
                left = await history.book(found)
                counts["booked"] += left is None
                if left is not None:
                    is_whole = False
                    out.print(Text(str(left), style="bold red"))
            for point in chain.from_iterable(step.differing.values()):
                # Only ids that the row lacks are filled in; any other difference needs a person.
                named = step.blank.get(point.subject) if point.rule == PAYMENT_DIFFERS else None
                if named is not None and await history.fill_in(point.subject, named):
                    out.print(f"Completed the record of payment {point.subject}.")
                else:
                    is_whole = False
                    out.print(Text(str(point), style="bold red"))
            counts[step.kind] += step.count
            # Only now, so that an interruption repeats this page, which is harmless.
            resume = step.resume
            said = f"{step.kind}: {counts[step.kind]} checked, {counts['booked']} booked in total"
            err.print(said)
    except (PaymentError, StoreUnavailableError) as error:
        fail(f"Interrupted: {error}", _how_to_go_on(since, resume), EXIT_UNAVAILABLE)
    # It stopped at its own limit.
    if resume:
        fail("There is more to check.", _how_to_go_on(since, resume), EXIT_UNAVAILABLE)
    # One counter holds the kinds and the number booked.
    looked_at = sum(counts.values()) - counts["booked"]
    out.print(f"Checked {looked_at} objects; newly booked: {counts['booked']}.")
    return is_whole


def _how_to_go_on(since: datetime, resume: str) -> str:
    option = f" --after {resume}" if resume else ""
    return f"Continue with `caller payments reconcile --since {since.isoformat()}{option}`."


@app.command("evidence")
def give_evidence(
    context: typer.Context,
    payment_id: PaymentId,
    submit: Annotated[
        bool, typer.Option("--submit", help="Submit it to the bank; this cannot be undone.")
    ] = False,
) -> None:
    """Store evidence for a disputed payment, taken from the call records, and print it."""

    async def work(stores: Stores, services: PaymentServices) -> None:
        evidence = DisputeEvidence(services.service, services.store, stores.records)
        for name, text in (await evidence.give(payment_id, submit=submit)).items():
            out.print(Text(name, style="bold"))
            out.print(text)
        out.print("Submitted to the bank." if submit else "Stored; --submit sends it to the bank.")

    _with_payment_services(context, work)


def _with_payment_services(context: typer.Context, work: Work, *, recovers: bool = False) -> None:
    """Run with everything open; print a refusal's own message."""
    settings = read_settings(context)
    if not settings.stripe_api_key:
        problem = PROBLEMS["payments_off"]
        fail(problem.message, "CALLER_STRIPE_API_KEY sets them up.", EXIT_SETTINGS)

    async def with_services() -> None:
        stores = await open_before_changes(storage.open_stores(settings))
        try:
            post = open_post(settings, stores)
            services = compose_payments(
                Services(settings=settings, stores=stores, notify=post.notify), recovers=recovers
            )
            try:
                await work(stores, services)
            except RequestRefusedError as error:
                problem = PROBLEMS[error.code]
                fail(problem.message, problem.action, EXIT_SETTINGS)
            finally:
                # No one else sends what is not queued now.
                for what in await post.leave():
                    complain(what, "What was done is kept; `caller payments list` shows it.")
                await post.events.stop()
                await post.mails.stop()
                await services.service.close()
        finally:
            await stores.close()

    run(with_services(), settings)
