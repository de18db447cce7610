"""Implements `caller accounts supervision`: what supervisors may do in an account's live calls.

Shows the rule of any account, and sets it if no person decides about it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from gateway.call.supervision import SILENT_REASON_MAX, Mode, Rule, readable
from gateway.cli.administration import (
    AccountId,
    As,
    AsJson,
    administration,
    order_of,
    print_json,
)
from gateway.cli.command import fail, out, run_with
from gateway.errors import EXIT_SETTINGS
from gateway.operators import Order
from gateway.problems import PROBLEMS
from gateway.roles import storage
from gateway.settings import Settings
from gateway.supervision.store import SqlSupervision


class Most(StrEnum):
    """What can be allowed; each mode includes the weaker ones."""

    OFF = "off"
    LISTEN = Mode.LISTEN.value
    WHISPER = Mode.WHISPER.value
    BARGE = Mode.BARGE.value
    TAKE_OVER = Mode.TAKE_OVER.value


Allow = Annotated[
    Most | None, typer.Option("--allow", help="Set how far supervisors may go. Needs --reason.")
]
NoTone = Annotated[
    str,
    typer.Option(
        "--no-tone",
        help="Why no tone is to announce supervisors. The law of many places asks that everybody"
        " in a call knows; without this a tone tells both parties.",
    ),
]
Why = Annotated[
    str,
    typer.Option("--reason", help="Why it is set; kept in the audit log, for its holder to read."),
]


def supervision(  # noqa: PLR0917
    context: typer.Context,
    account_id: AccountId,
    allow: Allow = None,
    no_tone: NoTone = "",
    reason: Why = "",
    by: As = "",
    as_json: AsJson = False,
) -> None:
    """Show what supervisors may do in an account's live calls, or set it if it has no holder."""
    rule, order = None, None
    if allow is not None:
        rule, order = _rule(allow, no_tone), order_of(context, by, reason)
    elif no_tone or reason or by:
        fail("Nothing is set without --allow.", "Give it, or the account alone.", EXIT_SETTINGS)

    async def work(book: storage.Book, settings: Settings) -> None:
        is_held = (await administration(book, settings).state(account_id)).found.has_holder
        rules = SqlSupervision(book.engine)
        if rule is not None and order is not None:
            await _set(rules, account_id, rule, order)
        found = await rules.rule(account_id)
        if as_json:
            print_json(
                {
                    "most": found.most or Most.OFF,
                    "announced": found.announces,
                    "silent_reason": found.silent_reason,
                    "has_holder": is_held,
                }
            )
            return
        for line in _lines(found, is_held=is_held):
            # No markup: a reason is somebody's text.
            out.print(line, markup=False, highlight=False, soft_wrap=True)

    run_with(context, storage.open_book, work)


async def _set(rules: SqlSupervision, account_id: str, rule: Rule, order: Order) -> None:
    if not await rules.order(account_id, rule, order):
        problem = PROBLEMS["holder_decides"]
        fail(problem.message, problem.action, EXIT_SETTINGS)


def _rule(allow: Most, no_tone: str) -> Rule:
    silent_reason = readable(no_tone)
    if no_tone and not 0 < len(silent_reason) <= SILENT_REASON_MAX:
        what = f"--no-tone takes a reason of 1 to {SILENT_REASON_MAX} readable characters."
        fail(what, "Leave it out, and a tone tells both parties.", EXIT_SETTINGS)
    if allow is not Most.OFF:
        return Rule(Mode(allow), silent_reason)
    if no_tone:
        fail("Off needs no --no-tone.", "Leave it out.", EXIT_SETTINGS)
    return Rule()


def _lines(rule: Rule, *, is_held: bool) -> list[str]:
    decided = "its holder, at /account/supervision" if is_held else "operators"
    if rule.most is None:
        return ["supervision   off", f"decided by    {decided}"]
    tone = "tells both parties" if rule.announces else f"none: {rule.silent_reason}"
    return [
        f"supervision   up to {rule.most}",
        f"tone          {tone}",
        f"decided by    {decided}",
    ]
