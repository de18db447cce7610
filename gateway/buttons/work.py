"""Composes what the worker does for buttons: it sends budget notices to their owners."""

from __future__ import annotations

import secrets
from typing import Final

from billing.clock import utc_now
from gateway.app import Services
from gateway.buttons.budget_store import SqlButtonBudgets
from gateway.buttons.budgets import INTERVAL_S, ButtonBudgets
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.stores.duties import SqlDuties

_NAME_BYTES: Final = 8


def watch_budgets(services: Services) -> PeriodicTask:
    """Return the task, not started yet."""
    stores = services.stores
    duties = SqlDuties(stores.engine, secrets.token_hex(_NAME_BYTES))
    watch = ButtonBudgets(SqlButtonBudgets(stores.engine), stores.gate, duties, utc_now)
    return PeriodicTask("tell of budgets of buttons", watch.round, INTERVAL_S)
