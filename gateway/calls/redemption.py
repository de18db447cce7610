"""Decides by which rules a visitor's call begins: those its button has when the token is redeemed.

The price is the one promised with the token. Of the account's own limits, then and now, the tighter
ones apply.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from billing.spend_limits import SpendLimits, holder_name
from gateway.embed.ports import Standing
from gateway.embed.rules import Rules
from gateway.embed.terms import VisitorTerms
from gateway.ports import CallOrder


def as_button_stands(
    order: CallOrder, terms: VisitorTerms, standing: Standing, limits: SpendLimits, at: datetime
) -> tuple[CallOrder, str]:
    """Return an order under its button's current rules, and why its call may not begin.

    Args:
        order: Of a visitor's call.
        terms: The order's terms for the visitor.
        standing: The button now.
        limits: Of the account and of the button's API key, now.
        at: Now.

    The second is a code of `embed.refusals`, empty if the call may begin. The spend gate decides
    whether its budgets leave enough for the call.

    """
    holder, promised = holder_name("key", order.key_id), order.limits
    # The button's own limits are the current ones, even if they are larger.
    others = tuple(each for each in promised.budgets if each.holder != holder)
    promised = msgspec.structs.replace(promised, budgets=others)
    visitor = terms.under(standing.rules)
    changed = msgspec.structs.replace(order, limits=promised.within(limits), visitor=visitor)
    refusal = standing.refusal(at)
    if not refusal and not _still_calls(standing.rules, order, terms):
        refusal = "bad_token"
    return changed, refusal


def _still_calls(rules: Rules, order: CallOrder, terms: VisitorTerms) -> bool:
    """Return whether the button may still call the order's number."""
    if order.is_check:
        return True
    return terms.is_signed if rules.is_signed else order.destination == rules.destination
