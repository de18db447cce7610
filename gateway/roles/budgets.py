"""Composes budget notices to the owners of buttons; they are sent by the drainer's process."""

from __future__ import annotations

import secrets

from billing.clock import utc_now
from gateway.charging.button_budgets import INTERVAL_S, ButtonBudgets
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.roles.storage import Stores
from gateway.stores.button_budgets import SqlButtonBudgets
from gateway.stores.duties import SqlDuties

_NAME_BYTES = 8


def watch_budgets(stores: Stores) -> PeriodicTask:
    """Return the task, not started yet."""
    duties = SqlDuties(stores.engine, secrets.token_hex(_NAME_BYTES))
    watch = ButtonBudgets(SqlButtonBudgets(stores.engine), stores.gate, duties, utc_now)
    return PeriodicTask("tell of budgets of buttons", watch.round, INTERVAL_S)
