"""Decides whether and under which limits a call may begin when its token is redeemed.

The key, the person or the button that it was issued to may have changed since. The price is the one
promised with the token. Of the account's own limits, then and now, the tighter ones apply; a
visitor's call begins under the rules its button has now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from billing.clock import Clock
from billing.spend_limits import SpendLimits, holder_name
from database.errors import StoreUnavailableError
from gateway.embed.found_button import ButtonKeys, FoundButton
from gateway.embed.rules import ButtonRules
from gateway.embed.terms import VisitorTerms
from gateway.ports import Account, AccountStore, CallOrder, KeyEpochs
from gateway.scopes import Scope

People = Callable[[str, int], Awaitable[Account | None]]
"""Returns the account (id) of a person who asked for a call under a credentials epoch, if they may
still place it. May raise StoreUnavailableError."""


async def no_people(_account_id: str, _credentials_epoch: int) -> Account | None:
    """Return None: no one can be signed in."""
    return None


@dataclass(frozen=True, slots=True)
class Redemption:
    """Looks up what a token's order depends on."""

    accounts: AccountStore
    epochs: KeyEpochs
    buttons: ButtonKeys
    utc_now: Clock
    people: People = no_people

    async def redeem(self, order: CallOrder) -> tuple[CallOrder, str] | None:
        """Return a token's order as it is valid now, and the code of why its call may not begin.

        The code is empty if it may. None if the key or person that the token was issued to may not
        call any more. Raises StoreUnavailableError.
        """
        if order.credentials_epoch is not None:
            caller = await self.people(order.account_id, order.credentials_epoch)
            return None if caller is None else (_within(order, caller), "")
        if self._is_past(order.key_expires_at):
            return None
        try:
            # From SQL and not from a cache: it happens once per call, and a call costs money.
            return await self._look_up(order)
        except StoreUnavailableError:
            # The epoch alone is not enough: an older copy of the store may have brought it back.
            if order.key_epoch and order.key_epoch == await self.epochs.current():
                return order, ""
            raise

    async def _look_up(self, order: CallOrder) -> tuple[CallOrder, str] | None:
        is_check, terms = order.is_check, order.visitor
        if terms is None:
            payer = await self._allowed(order.key_id, Scope.CALLS, is_check=is_check)
            return None if payer is None else (_within(order, payer), "")
        button = await self.buttons.by_key(terms.key)
        # Its key was replaced since, or it was deleted.
        if button is None:
            return order, "button_not_found"
        payer = await self._allowed(order.key_id, Scope.EMBED, is_check=is_check)
        if payer is None:
            return order, "account_frozen"
        signer = terms.signer_key_id
        if signer and await self._allowed(signer, Scope.CALLS, is_check=is_check) is None:
            return None
        return _under_button(order, terms, button, payer.limits, self.utc_now())

    async def _allowed(self, key_id: str, scope: Scope, *, is_check: bool) -> Account | None:
        """Return the account of a key that may place calls; None for any other key."""
        account = await self.accounts.account_by_key_id(key_id)
        if account is None or account.is_locked or self._is_past(account.key_expires_at):
            return None
        # The spend gate refuses calls of frozen accounts, but is not asked for line checks.
        may = scope in account.scopes and not (is_check and account.frozen)
        return account if may else None

    def _is_past(self, at: datetime | None) -> bool:
        return at is not None and at <= self.utc_now()


def _within(order: CallOrder, payer: Account) -> CallOrder:
    """Return an order under the tighter limits of then and now, so that new ones apply at once.

    The earlier ones may include a bound that the account does not show, such as a new card's.
    """
    return msgspec.structs.replace(order, limits=order.limits.within(payer.limits))


def _under_button(
    order: CallOrder, terms: VisitorTerms, button: FoundButton, limits: SpendLimits, at: datetime
) -> tuple[CallOrder, str]:
    """Return an order under its button's current rules, and why its call may not begin.

    Args:
        order: Of a visitor's call.
        terms: The order's terms for the visitor.
        button: The button now.
        limits: Of the account and of the button's API key, now.
        at: Now.

    The second is a code of `embed.refusals`, empty if the call may begin. The spend gate decides
    whether its budgets leave enough for the call.

    """
    holder, promised = holder_name("key", order.key_id), order.limits
    # The button's own limits are the current ones, even if they are larger.
    others = tuple(each for each in promised.budgets if each.holder != holder)
    promised = msgspec.structs.replace(promised, budgets=others)
    visitor = terms.under(button.rules)
    changed = msgspec.structs.replace(order, limits=promised.within(limits), visitor=visitor)
    refusal = button.refusal(at)
    if not refusal and not _still_calls(button.rules, order, terms):
        refusal = "bad_token"
    return changed, refusal


def _still_calls(rules: ButtonRules, order: CallOrder, terms: VisitorTerms) -> bool:
    """Return whether the button may still call the order's number."""
    if order.is_check:
        return True
    return terms.is_signed if rules.is_signed else order.destination == rules.destination
