"""Composes what the worker does for people: it mails them about changed documents."""

from __future__ import annotations

from gateway.app import Services
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.people import policy_notices
from gateway.people.policy_notices import PolicyNotices
from gateway.people.versions import read_history


def announce_documents(services: Services) -> PeriodicTask:
    """Return the task that mails all holders once about each new version.

    Raises SettingsError for impossible versions.
    """
    notices = PolicyNotices(services.stores.engine, read_history(services.settings))
    return PeriodicTask("tell of new terms", notices.round, policy_notices.INTERVAL_S)
