"""Defines the exceptions of accounts: what a person can correct in a form.

AccountsError
├── AddressError   - an e-mail address that is not accepted
└── PasswordError  - a password that is not accepted

The pages have the words that people read, by code.
"""

from __future__ import annotations


class AccountsError(Exception):
    """Root of the tree; `code` is stable and public, a key of `REFUSALS`.

    Its text is static, so that logging it reveals neither an address nor a password.
    """

    def __init__(self, code: str) -> None:
        super().__init__(REFUSALS[code])
        self.code = code


class AddressError(AccountsError):
    """An e-mail address that is not accepted."""


class PasswordError(AccountsError):
    """A password that is not accepted."""


REFUSALS: dict[str, str] = {
    "address_invalid": "This is not an e-mail address to which mail can be sent.",
    "address_too_long": "This e-mail address is too long.",
    "address_confusable": "This e-mail address mixes letters of different scripts in one word.",
    "password_short": "This password is too short.",
    "password_long": "This password is too long.",
    "password_guessable": "This password is easily guessed.",
}
"""Every code -> its message in English."""
