"""Says by which rules a visitor's call begins: those of its button when the token is redeemed.

Price, destination and the account's own caps are as they were promised with the token. Knows no
store.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from billing.spend_limits import SpendLimits, holder_name
from gateway.embed.ports import Standing
from gateway.embed.terms import VisitorTerms
from gateway.ports import CallOrder


def as_button_stands(
    order: CallOrder, terms: VisitorTerms, standing: Standing, limits: SpendLimits, at: datetime
) -> tuple[CallOrder, str]:
    """Return an order under its button's rules of now, and why its call may not begin.

    Args:
        order: Of a visitor's call.
        terms: What the order says of the visitor.
        standing: The button now.
        limits: Of the account and of the button's API key, now.
        at: Now.

    The second is a code of `embed.refusals`, empty where the call may begin. Whether its budgets
    leave enough for the call is the spend gate's to say.

    """
    holder = holder_name("key", order.key_id)
    promised = (each for each in order.limits.budgets if each.holder != holder)
    set_now = (each for each in limits.budgets if each.holder == holder)
    bounds = msgspec.structs.replace(order.limits, budgets=(*promised, *set_now))
    visitor = terms.under(standing.rules)
    changed = msgspec.structs.replace(order, limits=bounds, visitor=visitor)
    return changed, standing.refusal(at)
