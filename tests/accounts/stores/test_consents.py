"""Consent on both databases: the first acceptance of each version is the one that is kept."""

from datetime import timedelta

from accounts.stores import consents
from accounts.stores.consents import Consent
from tests.accounts.stores.conftest import NOW


async def test_each_version_is_accepted_once_and_never_rewritten(change, people):
    later = NOW + timedelta(days=1)
    async with change() as connection:
        await consents.accept(connection, "alice", {}, NOW)
        await consents.accept(connection, "alice", {"terms": "1", "adult": "1"}, NOW)
        await consents.accept(connection, "alice", {"terms": "1", "privacy": "1"}, later)
        await consents.accept(connection, "alice", {"terms": "2"}, later)
        await consents.accept(connection, "bob", {"terms": "1"}, later)
        assert await consents.of_account(connection, "alice") == [
            Consent("adult", "1", NOW),
            Consent("terms", "1", NOW),
            Consent("privacy", "1", later),
            Consent("terms", "2", later),
        ]
        assert await consents.of_account(connection, "bob") == [Consent("terms", "1", later)]
