"""Declares the pages of links in mails; each dataclass is all that its template gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What a link will do after one click, and the button for it; or what it has done."""

    template: ClassVar[str] = "link.html"
    purpose: str
    email: str
    is_frozen: bool = False
    """Whether an account whose deletion ends stays frozen for another reason."""
    said: str = ""
    """What it has done, for a browser in which someone else is signed in."""


@dataclass(frozen=True, slots=True)
class ResetPage:
    """The form for a person who has forgotten the password."""

    template: ClassVar[str] = "reset.html"
    said: str = ""
    email: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProofPage:
    """The form of a link that proves the address: it takes the account's password."""

    template: ClassVar[str] = "proof.html"
    email: str
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TakeAddressPage:
    """The form of a link that changes the address."""

    template: ClassVar[str] = "take_address.html"
    email: str
    needs_password: bool
    """Whether no one is signed in to the account that requested it."""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewPasswordPage:
    """The form of a link that resets the password."""

    template: ClassVar[str] = "new_password.html"
    email: str
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLinkPage:
    """A link that no longer works."""

    template: ClassVar[str] = "dead_link.html"


@dataclass(frozen=True, slots=True)
class AddressTakenPage:
    """A link to an address that belongs to another account by now."""

    template: ClassVar[str] = "address_taken.html"
    email: str
