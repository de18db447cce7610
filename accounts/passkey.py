"""Describes passkeys, and judges what their authenticators say of themselves.

Pure. Knows neither CBOR nor signatures, and no store.
"""

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
    """What is kept of a passkey: nothing that signs."""

    credential_id: str
    """Base64url without padding, as browsers write it."""
    account_id: str
    public_key: bytes = field(repr=False)
    """COSE (RFC 9052)."""
    sign_count: int
    name: str
    """As its owner calls it; empty where they gave it no name."""
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
    """Return whether a counter that has not risen says that somebody else has the key too.

    What follows from it is for the relying party to decide (7.2, step 22). A passkey that is synced
    is meant to be in several places, whose counters know nothing of one another: it is noted, and
    goes on. One that is bound to its device was copied, and is refused.
    """
    return has_counted_back(passkey, sign_count) and not passkey.is_synced


def read_name(typed: str) -> str:
    """Return a name on one line, without what is invisible, no longer than `NAME_MAX`."""
    shown = "".join(
        each if not unicodedata.category(each).startswith("C") else " " for each in typed[:512]
    )
    return " ".join(unicodedata.normalize("NFC", shown).split())[:NAME_MAX].rstrip()
