"""Consent on both databases: the first acceptance of each version is the one that is kept."""

from datetime import timedelta

import sqlalchemy as sa

from accounts.stores import consents, tables
from accounts.stores.consents import PROOF_KEPT, Consent
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


async def test_a_proof_is_found_by_whoever_brings_both(change, people):
    own = consents.proof_digest("alice", "alice@example.com")
    assert own != consents.proof_digest("bob", "alice@example.com")
    assert own != consents.proof_digest("alice", "bob@example.com")
    async with change() as connection:
        await consents.accept(connection, "alice", {"terms": "2026-11-27", "adult": "1"}, NOW)
        for _ in range(2):
            await consents.keep_proof(connection, "alice", own, NOW)
        found = await consents.find_proof(connection, own)
        assert found == await consents.of_account(connection, "alice")
        # Nobody accepted anything here.
        await consents.keep_proof(connection, "bob", "0" * 64, NOW)
        assert await consents.find_proof(connection, "0" * 64) == []


async def test_a_proof_says_until_when_it_is_kept(change, people):
    async with change() as connection:
        await consents.accept(connection, "alice", {"terms": "2026-11-27"}, NOW)
        await consents.keep_proof(connection, "alice", "1" * 64, NOW)
        kept_until = await connection.scalar(sa.select(tables.consent_proofs.c.kept_until))
    assert kept_until == NOW + PROOF_KEPT
