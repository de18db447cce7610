"""Refusals of forms: each has a stable code, and a text that quotes no input."""

import pytest

from accounts.errors import REFUSALS, AccountsError, AddressError, PasswordError


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_says_its_code_and_is_of_its_kind(code):
    kind = AddressError if code.startswith("address_") else PasswordError
    error = kind(code)
    assert error.code == code
    assert str(error) == REFUSALS[code]
    assert isinstance(error, AccountsError)


def test_a_code_that_nobody_knows_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        AddressError("address_odd")
