"""Implements `caller webhooks`: where the events of an account are posted, and what became of them.

Does what `/v1/webhooks` does, by the same rules, for any account. Whatever changes or sends
something needs a reason, which the audit log keeps with the operator's name.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final, NoReturn, TypeVar

import msgspec
import typer
from rich.table import Column, Table
from rich.text import Text

from gateway.cli.administration import As, AsJson, Reason, order_of, print_json
from gateway.cli.command import Yes, confirm, fail, out, read_moment, run_with
from gateway.errors import EXIT_SETTINGS, RequestRefusedError
from gateway.http.idempotency import is_idempotency_key
from gateway.problems import PROBLEMS
from gateway.roles import storage
from gateway.settings import Settings
from gateway.stores.secret_keys import secret_keys
from gateway.webhooks.acts import WebhookActs
from gateway.webhooks.endpoint_store import SqlWebhookEndpoints
from gateway.webhooks.events import OF_ACCOUNTS
from gateway.webhooks.ports import REPLAYED_MAX
from gateway.webhooks.signature import SecretMaker
from gateway.webhooks.target import URL_CHARS_MAX
from gateway.webhooks.views import (
    DeliveryView,
    WebhookBody,
    WebhookChangeBody,
    WebhookSecretView,
    WebhookView,
)

PAGE_MAX: Final = 200

app = typer.Typer(
    add_completion=False,
    help="Where events of an account are posted, and what became of them.",
    no_args_is_help=True,
)

AccountOption = Annotated[str, typer.Option("--account", help="Id of the account.")]
WebhookId = Annotated[str, typer.Argument(help="Id of the webhook, as `list` shows it.")]
Label = Annotated[str | None, typer.Option("--label", help="What its owner calls it.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Event that it has, such as call.ended; repeat for several."),
]
Once = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        help="Names this act: the same name again does nothing more, and shows the same.",
    ),
]
ShowSecret = Annotated[
    bool, typer.Option("--show-secret", help="Print what its posts are signed with.")
]

_Body = TypeVar("_Body")
_Work = Callable[[WebhookActs, bool], Awaitable[None]]
"""Gets the acts, and whether the account's holder, if it has one, has proven their address."""

_HINTS: Final = {
    "webhook_not_found": "`caller webhooks list` and `deliveries` show those that are there.",
    "webhook_disabled": "Enable it first, with `caller webhooks change --enable`.",
    "webhooks_off": "Set CALLER_SECOND_FACTOR_KEYS to the keys that the nodes have.",
    "idempotency_key_reused": "The webhook that it made has another address, label or events.",
    "address_unproven": "Its holder confirms it by the link that was mailed.",
}
"""Code -> what to do at the command line, where that is not what a program would do."""
_FIELDS: Final = {
    "label": ("The label has characters that cannot be read.", "Write it on one line."),
    "types": ("There is no such event.", f"There are: {', '.join(OF_ACCOUNTS)}."),
}
"""Field -> what is wrong with it, and what to do."""


@app.command("list")
def list_webhooks(
    context: typer.Context, account_id: AccountOption, as_json: AsJson = False
) -> None:
    """List the webhooks of an account, the newest first."""

    async def work(acts: WebhookActs, _is_proven: bool) -> None:
        found = (await acts.all_of(account_id)).webhooks
        if as_json:
            print_json(found)
            return
        table = Table(Column("webhook", no_wrap=True), "address", "label", "events", "state")
        for each in found:
            # Neither markup nor links: they are its owner's text.
            cells = (each.id, each.url, each.label, " ".join(each.types) or "all", _state(each))
            table.add_row(*map(Text, cells))
        out.print(table if found else "No webhook.")

    _run(context, account_id, work)


@app.command("create")
def create_webhook(  # noqa: PLR0917
    context: typer.Context,
    url: Annotated[
        str, typer.Argument(help="Address that events are posted to; - reads it from the input.")
    ],
    account_id: AccountOption,
    reason: Reason,
    label: Label = None,
    types: Types = None,
    show_secret: ShowSecret = False,
    once: Once = None,
    by: As = "",
    as_json: AsJson = False,
) -> None:
    """Add a webhook to an account; without --type it has all events.

    Its secret is printed with --show-secret, and by no other command but `rotate`.
    """
    order, name = order_of(context, by, reason), _name(once)
    body = _body(WebhookBody, url=_address(url), label=label, types=types)

    async def work(acts: WebhookActs, is_proven: bool) -> None:
        added = await acts.add(account_id, order, body, once=name, is_proven=is_proven)
        if (added.url, added.label, set(added.types)) != (body.url, body.label, set(body.types)):
            raise RequestRefusedError("idempotency_key_reused")
        _print_secret("Webhook {} added.", added, is_shown=show_secret, as_json=as_json)

    _run(context, account_id, work, makes_secret=True)


@app.command("change")
def change_webhook(  # noqa: PLR0917
    context: typer.Context,
    webhook_id: WebhookId,
    account_id: AccountOption,
    reason: Reason,
    url: Annotated[
        str | None, typer.Option("--url", help="Another address; - reads it from the input.")
    ] = None,
    label: Label = None,
    types: Types = None,
    all_types: Annotated[bool, typer.Option("--all-types", help="It has all events.")] = False,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Send it nothing, or again.")
    ] = None,
    by: As = "",
    as_json: AsJson = False,
) -> None:
    """Change a webhook; what is not named stays.

    One that is enabled again starts without its failures.
    """
    order = order_of(context, by, reason)
    if types and all_types:
        fail("Give --type or --all-types.", "One of them, not both.", EXIT_SETTINGS)
    chosen = [] if all_types else types or None
    said = None if url is None else _address(url)
    body = _body(WebhookChangeBody, url=said, label=label, types=chosen, disabled=disabled)
    if body == WebhookChangeBody():
        hint = "Give --url, --label, --type, --all-types, --disable or --enable."
        fail("Nothing to change.", hint, EXIT_SETTINGS)

    async def work(acts: WebhookActs, _is_proven: bool) -> None:
        changed = await acts.change(account_id, order, webhook_id, body)
        if as_json:
            print_json(changed)
        else:
            out.print(f"Webhook changed. It is {_state(changed)}.", markup=False)

    _run(context, account_id, work)


@app.command("rotate")
def rotate_secret(  # noqa: PLR0917
    context: typer.Context,
    webhook_id: WebhookId,
    account_id: AccountOption,
    reason: Reason,
    show_secret: ShowSecret = False,
    once: Once = None,
    by: As = "",
    as_json: AsJson = False,
) -> None:
    """Replace the secret of a webhook; the one before signs too for 24 hours."""
    order, name = order_of(context, by, reason), _name(once)

    async def work(acts: WebhookActs, _is_proven: bool) -> None:
        turned = await acts.turn(account_id, order, webhook_id, once=name)
        _print_secret(
            "Webhook {} has another secret.", turned, is_shown=show_secret, as_json=as_json
        )

    _run(context, account_id, work, makes_secret=True)


@app.command("delete")
def delete_webhook(  # noqa: PLR0917
    context: typer.Context,
    webhook_id: WebhookId,
    account_id: AccountOption,
    reason: Reason,
    yes: Yes = False,
    by: As = "",
) -> None:
    """Delete a webhook with all that waits for it; `change --disable` keeps it."""
    order = order_of(context, by, reason)

    async def work(acts: WebhookActs, _is_proven: bool) -> None:
        await acts.require(account_id, webhook_id)
        confirm(f"Delete {webhook_id} for good?", yes=yes)
        await acts.remove(account_id, order, webhook_id)
        out.print("Webhook deleted.")

    _run(context, account_id, work)


@app.command("deliveries")
def list_deliveries(  # noqa: PLR0917
    context: typer.Context,
    webhook_id: WebhookId,
    account_id: AccountOption,
    limit: Annotated[int, typer.Option(min=1, max=PAGE_MAX, help="Maximum number shown.")] = 50,
    before: Annotated[str | None, typer.Option(help="Go on before this delivery.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what a webhook was to have in the last 30 days, the newest first."""

    async def work(acts: WebhookActs, _is_proven: bool) -> None:
        page = await acts.deliveries(account_id, webhook_id, limit=limit, before=before)
        if as_json:
            print_json(page)
            return
        table = Table(
            Column("delivery", no_wrap=True),
            "event",
            "at (UTC)",
            "state",
            Column("attempts", justify="right"),
            "last answer",
            "next attempt (UTC)",
        )
        for each in page.deliveries:
            table.add_row(*map(Text, _cells(each)))
        out.print(table if page.deliveries else "No delivery.")
        if page.next is not None:
            out.print(f"Perhaps there are more: --before {page.next}", markup=False)

    _run(context, account_id, work)


@app.command("replay")
def send_again(  # noqa: PLR0917
    context: typer.Context,
    webhook_id: WebhookId,
    account_id: AccountOption,
    reason: Reason,
    delivery_id: Annotated[
        str | None, typer.Argument(help="Id of the delivery, as `deliveries` shows it.")
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            help=f"All that were given up since this date or moment (UTC), {REPLAYED_MAX} at most,"
            " the oldest first."
        ),
    ] = "",
    by: As = "",
    as_json: AsJson = False,
) -> None:
    """Send a delivery again as the same message, or all that were given up."""
    order = order_of(context, by, reason)
    if (delivery_id is None) is not bool(since):
        fail("Give a delivery, or --since.", "One of them, not both.", EXIT_SETTINGS)
    moment = read_moment(since) if since else None

    async def work(acts: WebhookActs, _is_proven: bool) -> None:
        if moment is not None:
            replayed = await acts.replay_failed(account_id, webhook_id, moment, order)
            if as_json:
                print_json(replayed)
            else:
                out.print(f"Queued again: {replayed.replayed}.")
            return
        assert delivery_id is not None, "one of both is given"
        queued = await acts.replay(account_id, webhook_id, delivery_id, order)
        _print_queued(queued, as_json=as_json)

    _run(context, account_id, work)


@app.command("test")
def send_test(  # noqa: PLR0917
    context: typer.Context,
    webhook_id: WebhookId,
    account_id: AccountOption,
    reason: Reason,
    by: As = "",
    as_json: AsJson = False,
) -> None:
    """Send a webhook an event that tells nothing, a new one each time."""
    order = order_of(context, by, reason)

    async def work(acts: WebhookActs, _is_proven: bool) -> None:
        _print_queued(await acts.test(account_id, webhook_id, order), as_json=as_json)

    _run(context, account_id, work)


def _run(
    context: typer.Context, account_id: str, work: _Work, *, makes_secret: bool = False
) -> None:
    """Run with the webhooks of an account; print a refusal, with what to do."""

    async def refusing(book: storage.Book, settings: Settings) -> None:
        account = await book.accounts.account(account_id)
        if account is None or account.deleted_at is not None:
            raise LookupError
        # What needs no secret makes no file of a key for one.
        maker = SecretMaker(secret_keys(settings)) if makes_secret else SecretMaker(())
        store = SqlWebhookEndpoints(book.engine)
        acts = WebhookActs(store, maker, settings.webhook_private_hosts)
        try:
            await work(acts, not account.is_unproven)
        except RequestRefusedError as error:
            _complain(error)

    run_with(context, storage.open_book, refusing)


def _complain(error: RequestRefusedError) -> NoReturn:
    if error.code == "unauthorized":
        # Nobody asked who the operator is: the account was deleted meanwhile.
        raise LookupError
    problem = PROBLEMS[error.code]
    what, hint = problem.message, _HINTS.get(error.code, problem.action)
    if error.reason:
        what = f"Nothing is sent to this address: {error.reason}."
    elif error.field:
        what, hint = _FIELDS[error.field]
    fail(what, hint, EXIT_SETTINGS)


def _body(kind: type[_Body], **said: object) -> _Body:
    """Return what the API would read, of what was given; exit where it would refuse that."""
    given = {name: value for name, value in said.items() if value is not None}
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        # The message names what is expected, and never what was given.
        fail(f"The {where.rstrip('`')} is not right.", f"{what}.", EXIT_SETTINGS)


def _name(once: str | None) -> str:
    """Return what an act is named: by its caller, or as no other."""
    if once is None:
        return secrets.token_urlsafe()
    if not is_idempotency_key(once):
        hint = "Use 1 to 255 letters, digits and signs of ASCII, without spaces."
        fail("The idempotency key cannot be used.", hint, EXIT_SETTINGS)
    return once


def _address(text: str) -> str:
    """Return an address: one that holds a token must not be an argument, which others can see."""
    if text != "-":
        return text
    given = typer.get_binary_stream("stdin").read(URL_CHARS_MAX + 1).strip()
    if len(given) > URL_CHARS_MAX or not given.isascii():
        fail("The input is no address.", "Give one, in ASCII: https://…", EXIT_SETTINGS)
    return given.decode()


def _print_secret(said: str, view: WebhookSecretView, *, is_shown: bool, as_json: bool) -> None:
    if as_json:
        shown = msgspec.to_builtins(view)
        if not is_shown:
            del shown["secret"]
        print_json(shown)
        return
    out.print(said.format(view.id), markup=False)
    if view.old_secret_until is not None:
        out.print(f"The old one keeps signing until {_at(view.old_secret_until)} UTC.")
    if is_shown:
        # On a line of its own, however narrow the terminal is.
        out.print(view.secret, markup=False, highlight=False, soft_wrap=True)


def _print_queued(queued: DeliveryView, *, as_json: bool) -> None:
    if as_json:
        print_json(queued)
    else:
        out.print(f"Delivery {queued.id} is queued; `deliveries` shows the result.", markup=False)


def _cells(delivery: DeliveryView) -> tuple[str, ...]:
    attempts = delivery.attempts
    answer = delivery.failure
    if attempts and attempts[-1].status is not None:
        answer = f"{attempts[-1].status} {answer}".rstrip()
    following = _at(delivery.next_try_at) if delivery.next_try_at else ""
    return (
        delivery.id,
        delivery.type,
        _at(delivery.at),
        delivery.state.value,
        str(len(attempts)),
        answer,
        following,
    )


def _state(view: WebhookView) -> str:
    if view.disabled_at is not None:
        return f"disabled since {_at(view.disabled_at)}: {view.disabled_why}"
    return "enabled" if view.failing_since is None else f"failing since {_at(view.failing_since)}"


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
