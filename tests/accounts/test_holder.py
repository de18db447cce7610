"""What is kept of a person: proven or not, and nothing of it in what is printed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.holder import OPTIONAL_NOTICES, Choices, Holder, muted_in, muted_text
from gateway.post.notices import NOTICES

AT = datetime(2026, 11, 27, tzinfo=UTC)
HOLDER = Holder("ac_1", "ann@example.com", None, "$argon2id$hash", 1, "en", AT)


def test_an_address_is_proven_once_a_link_was_used():
    assert not HOLDER.is_proven
    assert replace(HOLDER, email_proven_at=AT).is_proven


def test_neither_address_nor_hash_is_printed():
    assert "ann" not in repr(HOLDER)
    assert "argon2" not in repr(HOLDER)
    assert "ac_1" in repr(HOLDER)


NOW = datetime(2026, 11, 27, tzinfo=UTC)
NEEDED = sorted(NOTICES.keys() - set(OPTIONAL_NOTICES))


def test_only_mails_that_there_are_can_be_switched_off():
    assert set(OPTIONAL_NOTICES) <= NOTICES.keys()


@pytest.mark.parametrize("notice", NEEDED)
def test_what_tells_of_security_money_and_terms_always_comes(notice):
    all_muted = Choices(NOW, NOW, frozenset(NOTICES))
    assert all_muted.wants(notice)


@pytest.mark.parametrize("notice", OPTIONAL_NOTICES)
def test_what_is_switched_off_does_not_come_nor_does_it_to_a_restricted_account(notice):
    assert Choices().wants(notice)
    assert not Choices(muted=frozenset({notice})).wants(notice)
    assert not Choices(restricted_at=NOW).wants(notice)
    assert Choices(objected_at=NOW).wants(notice)


@given(st.frozensets(st.sampled_from(OPTIONAL_NOTICES)))
def test_what_is_stored_is_read_back(muted):
    assert muted_in(muted_text(muted)) == muted


@given(st.text(max_size=100))
def test_nothing_that_is_stored_mutes_anything_else(text):
    assert muted_in(text) <= set(OPTIONAL_NOTICES)
