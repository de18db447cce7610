"""Proof of what an erased person accepted: found by number and address together only."""

import sqlalchemy as sa

from accounts.stores import consent_proofs, consents, tables
from accounts.stores.consent_proofs import KEPT
from tests.accounts.stores.conftest import NOW


async def test_a_proof_is_found_by_whoever_brings_both(change, people):
    own = consent_proofs.digest("alice", "alice@example.com")
    assert own != consent_proofs.digest("bob", "alice@example.com")
    assert own != consent_proofs.digest("alice", "bob@example.com")
    async with change() as connection:
        await consents.accept(connection, "alice", {"terms": "2026-11-27", "adult": "1"}, NOW)
        for _ in range(2):
            await consent_proofs.keep(connection, "alice", own, NOW)
        found = await consent_proofs.find(connection, own)
        assert found == await consents.of_account(connection, "alice")
        # Nobody accepted anything here.
        await consent_proofs.keep(connection, "bob", "0" * 64, NOW)
        assert await consent_proofs.find(connection, "0" * 64) == []


async def test_a_proof_says_until_when_it_is_kept(change, people):
    async with change() as connection:
        await consents.accept(connection, "alice", {"terms": "2026-11-27"}, NOW)
        await consent_proofs.keep(connection, "alice", "1" * 64, NOW)
        kept_until = await connection.scalar(sa.select(tables.consent_proofs.c.kept_until))
    assert kept_until == NOW + KEPT
