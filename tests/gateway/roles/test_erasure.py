"""What deletes accounts in a process: its periodic work, and the files that are written anew."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from billing.stores import tables
from database.engine import TIMEOUT_S, create_engine, reading
from gateway.app import Services
from gateway.payments.build import compose_payments
from gateway.roles.erasure import _rewrite_files, of_erasure
from gateway.roles.journal import open_journal
from gateway.roles.storage import database_url, open_stores
from gateway.settings_variables import from_mapping
from tests.valkey import valkey_server, valkey_url

__all__ = ["valkey_server", "valkey_url"]


@pytest.fixture
def settings(tmp_path, valkey_url):
    return from_mapping(
        {
            "CALLER_DATA_DIR": str(tmp_path),
            "CALLER_REDIS_URL": valkey_url,
            "CALLER_STRIPE_API_KEY": "sk_test_office",
            "CALLER_STRIPE_WEBHOOK_SECRETS": "whsec_office",
            "CALLER_STRIPE_URL": "http://127.0.0.1:9",
        }
    )


@pytest.fixture
async def stores(settings):
    stores = await open_stores(settings)
    yield stores
    await stores.close()


async def test_payments_of_deleted_accounts_are_looked_for_where_there_are_payments(
    settings, stores
):
    payments = compose_payments(Services(settings=settings, stores=stores))
    journal, names = open_journal(settings, stores), ["deletion of accounts"]
    assert [task._name for task in of_erasure(settings, stores, None, journal)] == names
    names.append("credit of deleted accounts")
    assert [task._name for task in of_erasure(settings, stores, payments, journal)] == names
    await payments.service.close()


async def test_files_are_written_anew_once_nobody_reads_what_was_deleted(settings, stores):
    asked = []

    class Redis:
        async def execute_command(self, *command):
            asked.append(command)
            return {"aof_enabled": 0}

    engine = create_engine(database_url(settings), lock_wait_ms=1)
    watched = replace(stores, engine=engine, redis=Redis())
    async with reading(engine, TIMEOUT_S) as reader:
        await reader.scalar(sa.select(sa.func.count()).select_from(tables.accounts))
        await stores.accounts.create_account("alice", "USD")
        assert not await _rewrite_files(watched)
    assert asked == [], "Valkey's are rewritten seldom, and so last"
    assert await _rewrite_files(watched)
    assert asked == [("INFO", "persistence")]
    await engine.dispose()
