"""What is kept of a person: proven or not, and nothing of it in what is printed."""

from dataclasses import replace
from datetime import UTC, datetime

from accounts.holder import Holder

AT = datetime(2026, 11, 27, tzinfo=UTC)
HOLDER = Holder("ac_1", "ann@example.com", None, "$argon2id$hash", 1, "en", AT)


def test_an_address_is_proven_once_a_link_was_used():
    assert not HOLDER.is_proven
    assert replace(HOLDER, email_proven_at=AT).is_proven


def test_neither_address_nor_hash_is_printed():
    assert "ann" not in repr(HOLDER)
    assert "argon2" not in repr(HOLDER)
    assert "ac_1" in repr(HOLDER)
