"""Declares the fields of the forms in which people manage their accounts.

What they mean, such as an address or a password, is judged where they are used.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Final

import msgspec

from gateway.http.site.forms import FORM_BYTES_MAX, Line
from gateway.http.site.pages import Errors

PASSWORD_BUSY: Final[Errors] = MappingProxyType({"password": "busy"})
"""What is said beside a password that could not be checked, because too many people are signing
in."""

_Password = Annotated[str, msgspec.Meta(max_length=1024)]

_Answer = Annotated[str, msgspec.Meta(max_length=FORM_BYTES_MAX)]

_CredentialId = Annotated[str, msgspec.Meta(max_length=1364)]


class SignUpFields(msgspec.Struct):
    """The form of `/sign-up`."""

    email: Line = ""
    password: _Password = ""
    terms: bool = False
    adult: bool = False


class SignInFields(msgspec.Struct):
    """The form of `/sign-in`."""

    email: Line = ""
    password: _Password = ""
    next: Line = ""


class AddressFields(msgspec.Struct):
    """A form that asks for an e-mail address."""

    email: Line = ""


class PasswordFields(msgspec.Struct):
    """A form that asks for a password: a new one, or the present one and where to go on."""

    password: _Password = ""
    next: Line = ""


class ConfirmFields(msgspec.Struct):
    """The proofs of a sign-in again, and where to go on."""

    password: _Password = ""
    code: Line = ""
    next: Line = ""


class CodeFields(msgspec.Struct):
    """A code of the second factor."""

    code: Line = ""
    by: Line = ""
    """`recovery` if the form asked for a recovery code."""
    next: Line = ""


class PasskeyFields(msgspec.Struct):
    """What a passkey has signed."""

    ceremony: Line = ""
    answer: _Answer = ""
    """JSON from the browser."""
    next: Line = ""


class NamedPasskeyFields(msgspec.Struct):
    """A passkey with its name: a new one, or one that is renamed or removed."""

    ceremony: Line = ""
    answer: _Answer = ""
    id: _CredentialId = ""
    name: Line = ""


class CountryFields(msgspec.Struct):
    """A form that names a country by its code."""

    country: Line = ""


class SessionFields(msgspec.Struct):
    """A button that ends one session."""

    name: Line = ""


class NewKeyFields(msgspec.Struct):
    """The form that creates an API key."""

    once: Line = ""
    """Created with the form: the same form sent twice creates one key."""
    label: Line = ""
    calls: bool = False
    records: bool = False
    payments: bool = False
    account: bool = False
    buttons: bool = False
    supervise: bool = False
    webhooks: bool = False
    day_cap: Line = ""
    days: Line = ""


class KeyFields(msgspec.Struct):
    """A button that revokes a key."""

    key_id: Line = ""


class LeavingFields(msgspec.Struct):
    """The form of `/account/delete`."""

    unspent: Line = ""
    when: Line = ""


class ChoicesFields(msgspec.Struct):
    """The form of `/account/privacy-choices`; an unticked box is not sent."""

    objects: bool = False
    restricts: bool = False
    out_of_credit: bool = False
    call_refunded: bool = False


class RestrictionFields(msgspec.Struct):
    """The button of `/account/restriction`: the requested state."""

    restricts: bool


class TermsFields(msgspec.Struct):
    """The form of `/account/terms`."""

    terms: bool = False
    next: Line = ""


class LanguageFields(msgspec.Struct):
    """The choice of a language."""

    language: Line = ""
