"""Composes the deletion of accounts, for nodes and for an operator's command.

Not in the drainer's process, which loads no vendor library: a deletion talks to the payment
service.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from accounts.stores.sessions import RedisSessions
from billing.stores.payments import SqlPaymentStore
from database.engine import TIMEOUT_S, empty_log
from database.errors import StoreUnavailableError
from gateway.charging import account_erasure
from gateway.charging.account_erasure import AccountErasure
from gateway.errors import SettingsError
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.payments.build import PaymentServices
from gateway.payments.credit_return import CreditReturn
from gateway.payments.last_payments import LastPayments
from gateway.personal_data.erasing import SqlErasing
from gateway.roles import preflight, storage
from gateway.roles.journal import is_folder_known
from gateway.settings import Settings
from gateway.stores.aof import RedisAof
from gateway.stores.erasure_journal import ErasureJournal
from gateway.stores.opened import Stores


def credit_return(stores: Stores, payments: PaymentServices) -> CreditReturn:
    """Return what sends unspent credit back."""
    return CreditReturn(payments.store, payments.refunds, stores.gate.balance)


def last_payments(payments: PaymentServices) -> LastPayments:
    """Return what ends the pending payments of an account that is being deleted."""
    return LastPayments(payments.payments, payments.service, payments.store, payments.auto.charge)


async def open_book(settings: Settings) -> storage.Book:
    """Open the book of record, once it is certain that a deletion can be recorded too.

    Raises SettingsError for an unusable data folder, and StoreUnavailableError.
    """
    for finding in preflight.files(settings) if is_folder_known(settings) else ():
        if finding.is_fatal:
            error = StoreUnavailableError if finding.is_away else SettingsError
            raise error(f"{finding.text} Nothing was changed.")
    return await storage.open_book(settings)


def compose_erasure(
    settings: Settings,
    stores: Stores,
    payments: PaymentServices | None,
    journal: ErasureJournal | None,
) -> AccountErasure:
    """Return what deletes accounts.

    Args:
        settings: Of this process.
        stores: Of this process.
        payments: Reaches cards and customers; None without payments.
        journal: Where it is recorded; None leaves that to the nodes, which find it in SQL.
    """
    return AccountErasure(
        gate=stores.gate,
        ledger=stores.ledger,
        erasures=SqlErasing(stores.engine, stores.gate.restate),
        accounts=stores.accounts,
        profiles=SqlPaymentStore(stores.engine),
        drain=storage.build_drainer(stores, settings).drain_once,
        settle=last_payments(payments).settle if payments else None,
        send_back=credit_return(stores, payments).send_back if payments else None,
        forget_customer=payments.service.forget_customer if payments else None,
        end_sessions=RedisSessions(stores.redis, secrets.token_bytes).end_all,
        require_journal=_leave_it_to_nodes if journal is None else journal.require,
        note=_leave_it_to_nodes if journal is None else journal.note,
        rewrite_files=lambda: _rewrite_files(stores),
    )


async def _leave_it_to_nodes(*_: object) -> None:
    """Record nothing here."""


async def _rewrite_files(stores: Stores) -> bool:
    """Rewrite files that still contain deleted data; False while it must wait. Valkey's last."""
    if not await empty_log(stores.engine, TIMEOUT_S):
        return False
    return await RedisAof(stores.redis).rewrite()


def of_erasure(
    settings: Settings, stores: Stores, payments: PaymentServices | None, journal: ErasureJournal
) -> Sequence[PeriodicTask]:
    """Return the tasks that delete accounts; of several nodes one does each deletion."""
    erasure = compose_erasure(settings, stores, payments, journal)
    tasks = [PeriodicTask("deletion of accounts", erasure.round, account_erasure.INTERVAL_S)]
    if payments is not None:
        tasks.append(
            PeriodicTask(
                "credit of deleted accounts",
                erasure.look_for_late_credit,
                account_erasure.LATE_INTERVAL_S,
            )
        )
    return tasks
