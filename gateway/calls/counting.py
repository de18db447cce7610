"""Counts calls against the velocity limits when they begin, since tokens may have been saved up.

What a visitor's call uses of its button and of the account is counted once its hold is placed: a
flood of tokens that begin no call must not close a button, or its owner's own phone.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.limits.fraud import uses_left
from gateway.limits.velocity import LimitRefusal, Use, button_call_uses, call_uses
from gateway.ports import CallOrder, Velocity


async def begun(velocity: Velocity, order: CallOrder, peer: str) -> LimitRefusal | None:
    """Count a call, or an echo of a test key, whose token was redeemed by a peer's address.

    Returns why it may not begin. What a visitor shares with others is only checked here; `held`
    counts it.
    """
    terms = order.visitor
    if terms is None:
        if order.is_check:
            return None
        uses = call_uses(order.account_id, order.key_id, peer, order.destination)
        return await velocity.hit(uses_left(uses, order.lifted))
    for uses in terms.own_uses:
        if (refusal := await velocity.hit(uses)) is not None:
            return refusal
    return None if order.is_check else await velocity.look(_shared(order))


async def held(velocity: Velocity, order: CallOrder) -> str:
    """Count what a visitor's call, whose hold is placed, shares with others.

    Returns the code of why it may not continue; empty if it may, and for all other calls.
    """
    # In one step over all nodes: of many that begin at once no more get in than the limit.
    refusal = await velocity.hit(_shared(order))
    return "" if refusal is None else refusal.limit.code


def _shared(order: CallOrder) -> Sequence[Use]:
    terms = order.visitor
    if terms is None:
        return ()
    uses = button_call_uses(order.account_id, order.destination, is_signed=terms.is_signed)
    return uses_left((*terms.button_uses, *uses), order.lifted)
