"""Tells button owners how much of their budgets is used, or held for calls in progress.

One process of the deployment looks once a minute. What was sent is committed together with the
mails, so that each is sent once even if a process is killed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from accounts.notice import Notice
from billing.clock import Clock
from billing.ports import SpendGate, Tick
from billing.spend_limits import Budget, SpendLimits, cap_name
from database.errors import StoreUnavailableError
from gateway.buttons.budget_notices import BudgetNews, BudgetUse, news_of
from gateway.buttons.budget_store import SqlButtonBudgets
from gateway.buttons.ports import Budgeted
from gateway.ports import Duties

INTERVAL_S: Final = 60.0
"""How soon an owner is notified; the cost itself is limited by the budget."""
DUTY: Final = "budgets of buttons"
PAGE_BUTTONS: Final = 500


@dataclass(frozen=True, slots=True)
class ButtonBudgets:
    """Checks all budgets of buttons."""

    book: SqlButtonBudgets
    gate: SpendGate
    duties: Duties
    utc_now: Clock

    async def round(self) -> None:
        """Send the due notices, unless another process does. Raises StoreUnavailableError."""
        # First: if there are no buttons nothing is written.
        page = await self.book.budgeted("", PAGE_BUTTONS)
        # A little less than the interval, or the next look would find it not due.
        every = timedelta(seconds=0.75 * INTERVAL_S)
        if not page or not await self.duties.is_due(DUTY, every):
            return
        if not await self.duties.take(DUTY):
            return
        while page:
            await self._look(page)
            page = await self.book.budgeted(page[-1].button_id, PAGE_BUTTONS)
        await self.duties.done(DUTY)

    async def _look(self, page: Sequence[Budgeted]) -> None:
        at = self.utc_now()
        spent = await self._spent(page, at)
        for button in page:
            used = {
                period.value: BudgetUse(spent.get(cap_name(button.holder, period, at), 0), cap)
                for period, cap in button.caps.items()
            }
            news, told = news_of(button.told, at, used)
            if news:
                notices = [_notice(button, each) for each in news]
                await self.book.tell(button, told, notices)

    async def _spent(self, page: Sequence[Budgeted], at: datetime) -> Mapping[str, int]:
        """Return what the calls of each budget have cost or hold, by its name at the gate."""
        claims: defaultdict[int, list[Tick]] = defaultdict(list)
        for button in page:
            budgets = (Budget(button.holder, p, cap) for p, cap in button.caps.items())
            caps = SpendLimits(None, tuple(budgets)).caps(at)
            # A claim of nothing for no call changes nothing and returns what has been spent.
            tick = Tick("", button.account_id, 0, 0, caps)
            claims[self.gate.partition(button.account_id)].append(tick)
        spent: dict[str, int] = {}
        for outcome in (await self.gate.tick_all(claims)).values():
            # A partition that is away is reported by the next round.
            if not isinstance(outcome, StoreUnavailableError):
                spent.update(outcome.spent)
        return spent


def _notice(button: Budgeted, news: BudgetNews) -> Notice:
    return Notice(
        "button_budget",
        values={
            "label": button.label,
            "period": news.period,
            "share": str(news.share),
            "micros": str(news.cap),
        },
        once=f"budget {button.button_id} {news.name} {news.share}",
    )
