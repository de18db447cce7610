"""Links in mails: each purpose ends some time, each link is used once, no secret is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.link import LIFETIMES, MAIL_MAX, Link, Purpose, digest, taken_back_since

AT = datetime(2026, 11, 27, tzinfo=UTC)
LINK = Link(Purpose.PROVE_ADDRESS, "ac_1", "ann@example.com", AT + timedelta(hours=1))
MOMENT = timedelta(microseconds=1)


def test_a_link_works_until_it_expires():
    assert LINK.works(AT)
    assert LINK.works(LINK.expires_at - MOMENT)
    assert not LINK.works(LINK.expires_at)


def test_a_link_works_once():
    assert not replace(LINK, used_at=AT).works(AT)


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_ends_and_what_opens_an_account_ends_soon(purpose):
    assert timedelta(0) < LIFETIMES[purpose] <= timedelta(days=14)
    assert LIFETIMES[Purpose.RESET_PASSWORD] == min(LIFETIMES.values())


@given(st.timedeltas(timedelta(0), MAIL_MAX), st.timedeltas(timedelta(0), timedelta(days=90)))
def test_a_link_takes_back_what_could_be_disputed_when_it_was_made(waited, earlier):
    added_at = AT - earlier
    dies_at = added_at + waited + LIFETIMES[Purpose.NOT_ME]
    if dies_at > AT:
        assert taken_back_since(AT, None) <= added_at
        assert taken_back_since(AT, AT) <= added_at


def test_a_link_reaches_to_the_session_that_is_disputed_and_no_further_than_it_must():
    month = timedelta(days=30)
    assert taken_back_since(AT, AT - month) == AT - month
    assert taken_back_since(AT, AT - timedelta(days=1)) == AT - timedelta(days=17)


def test_the_address_is_not_printed():
    assert "ann" not in repr(LINK)


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_digest_is_of_one_secret(one, other):
    assert len(digest(one)) == 64
    assert (digest(one) == digest(other)) == (one == other)


def test_a_digest_is_sha_256_whatever_came_in_the_address():
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert len(digest("\ud800")) == 64
