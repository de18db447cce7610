"""`caller payments`: what the operator does about payments, refunds and disputes."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.table import Column, Table

from billing.money import format_money
from gateway import build
from gateway.command import (
    EXIT_SETTINGS,
    EXIT_UNAVAILABLE,
    fail,
    out,
    read_amount,
    read_settings,
    run,
)
from gateway.errors import PROBLEMS, PaymentError, RequestRefusedError
from gateway.notices import Notices
from gateway.payments.evidence import DisputeEvidence

app = typer.Typer(help="Payments by card, refunds and disputes.", no_args_is_help=True)

PaymentId = Annotated[str, typer.Argument(help="Id of the payment, as `payments list` shows it.")]

Work = Callable[[build.Stores, build.CardDesk], Awaitable[None]]


@app.command("list")
def list_payments(
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Id of the account.")],
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most that are shown.")] = 50,
) -> None:
    """List an account's payments, newest first."""

    async def work(_stores: build.Stores, desk: build.CardDesk) -> None:
        table = Table(
            Column("payment", no_wrap=True), "begun (UTC)", "kind", "amount", "refunded", "state"
        )
        for payment in await desk.store.page(account_id, limit=limit):
            table.add_row(
                payment.id,
                payment.created_at.strftime("%Y-%m-%d %H:%M:%S"),
                payment.kind,
                format_money(payment.micros, payment.currency),
                format_money(payment.refunded_micros, payment.currency),
                payment.state.value + (f" ({payment.failure})" if payment.failure else ""),
            )
        out.print(table)

    _with_desk(context, work)


@app.command("refund")
def refund_payment(
    context: typer.Context,
    payment_id: PaymentId,
    amount: Annotated[str, typer.Argument(help="Amount, such as 10.00.")],
    reference: Annotated[
        str, typer.Option(help="Names this refund; it is made only once. Default: a new one.")
    ] = "",
) -> None:
    """Send unspent credit back to the card that it was paid with."""
    micros = read_amount(amount)
    name = reference or secrets.token_hex(6)

    async def work(_stores: build.Stores, desk: build.CardDesk) -> None:
        # Said first: whoever is cut off in the middle needs it to finish.
        out.print(f"Refund {name}", highlight=False)
        try:
            payment = await desk.payments.refund(payment_id, micros, reference=name)
        except PaymentError as error:
            if not error.retryable:
                raise
            hint = f"Finish it with the same command and --reference {name}."
            fail("It is not known whether the refund was made.", hint, EXIT_UNAVAILABLE)
        refunded = format_money(payment.refunded_micros, payment.currency)
        out.print(f"Refunded. Of this payment so far: {refunded}", highlight=False)

    _with_desk(context, work)


@app.command("reconcile")
def reconcile_payments(context: typer.Context) -> None:
    """Look for payments that no webhook told of, and book them."""

    async def work(_stores: build.Stores, desk: build.CardDesk) -> None:
        out.print(f"Looked at {await desk.reconciler.reconcile()}.", highlight=False)

    _with_desk(context, work)


@app.command("evidence")
def give_evidence(
    context: typer.Context,
    payment_id: PaymentId,
    submit: Annotated[
        bool, typer.Option("--submit", help="Hand it to the bank, once and for good.")
    ] = False,
) -> None:
    """Store evidence for a disputed payment, made of the account's call records; and print it."""

    async def work(stores: build.Stores, desk: build.CardDesk) -> None:
        evidence = DisputeEvidence(desk.service, desk.store, stores.records)
        for name, text in (await evidence.give(payment_id, submit=submit)).items():
            out.print(f"[bold]{name}[/]")
            out.print(text, highlight=False, markup=False)
        out.print("Handed to the bank." if submit else "Stored; --submit hands it to the bank.")

    _with_desk(context, work)


def _with_desk(context: typer.Context, work: Work) -> None:
    """Run with everything open; tell a refusal in its own words."""
    read = read_settings(context)
    if not read.stripe_api_key:
        problem = PROBLEMS["payments_off"]
        fail(problem.message, "CALLER_STRIPE_API_KEY sets them up.", EXIT_SETTINGS)

    async def with_desk() -> None:
        stores = await build.open_stores(read)
        notices = Notices(read.events_url, read.events_secret)
        desk = build.build_card_desk(read, stores, notify=notices.notify)
        notices.start()
        try:
            await work(stores, desk)
        except RequestRefusedError as error:
            problem = PROBLEMS[error.code]
            fail(problem.message, problem.action, EXIT_SETTINGS)
        finally:
            await notices.stop()
            await desk.service.close()
            await stores.close()

    run(with_desk())
