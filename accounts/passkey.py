"""Describes passkeys, and judges what their authenticators report."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

PASSKEYS_MAX: Final = 20
"""Passkeys of one holder."""
NAME_MAX: Final = 64
"""Characters of the name that a person gives one."""
CREDENTIAL_ID_BYTES_MAX: Final = 1023
"""W3C WebAuthn Level 3, 4 ("Credential ID")."""
PUBLIC_KEY_BYTES_MAX: Final = 1024
"""A COSE key of RSA with 4096 bits takes 530."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as it is stored: the public half only."""

    credential_id: str
    """Base64url without padding, as browsers write it."""
    account_id: str
    public_key: bytes = field(repr=False)
    """COSE (RFC 9052)."""
    sign_count: int
    name: str
    """The name its owner gave it; empty if none."""
    is_synced: bool
    """Whether it may be on more than one device (W3C WebAuthn Level 3, 6.1.3: backup eligible)."""
    is_backed_up: bool
    added_at: datetime
    used_at: datetime | None = None


def has_counted_back(passkey: Passkey, sign_count: int) -> bool:
    """Return whether the counter of signatures has not risen.

    An authenticator that counts signs with a higher number each time; one that does not count says
    0 (W3C WebAuthn Level 3, 6.1.1).
    """
    counts = sign_count > 0 or passkey.sign_count > 0
    return counts and sign_count <= passkey.sign_count


def is_copied(passkey: Passkey, sign_count: int) -> bool:
    """Return whether a counter that has not risen shows that someone else has the key too.

    The relying party decides what follows from it (7.2, step 22). A synced passkey is meant to be
    in several places, each with its own counter: it is noted, and accepted. A device-bound one must
    have been copied, and is refused.
    """
    return has_counted_back(passkey, sign_count) and not passkey.is_synced


def read_name(typed: str) -> str:
    """Return a name on one line, without invisible characters, at most `NAME_MAX` long."""
    shown = "".join(
        each if not unicodedata.category(each).startswith("C") else " " for each in typed[:512]
    )
    return " ".join(unicodedata.normalize("NFC", shown).split())[:NAME_MAX].rstrip()
