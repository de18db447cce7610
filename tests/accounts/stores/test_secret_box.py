"""Sealed secrets: opened by the keys of today and before, for their own account only."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.stores.secret_box import NONCE_BYTES, SecretBox
from database.errors import StoreUnavailableError

OLD, NEW = "old key of 32 characters, or more", "new key of 32 characters, or more"


@given(st.binary(max_size=200), st.text(max_size=64))
def test_what_is_sealed_is_opened(plain, account_id):
    box = SecretBox([NEW], os.urandom)
    sealed = box.seal(plain, account_id)
    assert sealed.isascii()
    assert box.open(sealed, account_id) == plain


def test_keys_are_rotated_one_after_the_other():
    sealed = SecretBox([OLD], os.urandom).seal(b"secret", "ada")
    assert SecretBox([NEW, OLD], os.urandom).open(sealed, "ada") == b"secret"
    anew = SecretBox([NEW, OLD], os.urandom).seal(b"secret", "ada")
    assert SecretBox([NEW], os.urandom).open(anew, "ada") == b"secret"
    with pytest.raises(StoreUnavailableError):
        SecretBox([NEW], os.urandom).open(sealed, "ada")


def test_what_is_sealed_for_one_account_opens_for_no_other():
    box = SecretBox([NEW], os.urandom)
    with pytest.raises(StoreUnavailableError):
        box.open(box.seal(b"secret", "ada"), "bob")


def test_no_two_sealings_are_alike_and_none_shows_anything():
    box = SecretBox([NEW], os.urandom)
    first, second = (box.seal(b"secret", "ada") for _ in range(2))
    assert first != second
    assert "secret" not in first


@given(st.text(max_size=100))
def test_whatever_is_stored_it_opens_or_is_refused(stored):
    with pytest.raises(StoreUnavailableError):
        SecretBox([NEW], bytes).open(stored, "ada")


def test_a_single_bit_that_changes_is_noticed():
    sealed = SecretBox([NEW], bytes).seal(b"secret", "ada")
    at = 2 + 4 * NONCE_BYTES // 3 + 1
    other = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
    with pytest.raises(StoreUnavailableError):
        SecretBox([NEW], os.urandom).open(other, "ada")
