"""Signs webhooks, and reads and derives the secrets that they are signed with.

Source: Standard Webhooks 1.0.0, "Signature scheme" and "Webhook headers". Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

PREFIX: Final = "whsec_"
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
_MARK_CHARS: Final = 12


def secret_text(secret: bytes) -> str:
    """Return a secret in the form that its owner sees and that receivers' libraries take."""
    return PREFIX + base64.b64encode(secret).decode()


def read_secret(text: str) -> bytes:
    """Return the bytes of a secret such as `whsec_…`. Raises ValueError for any other text."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not (SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX):
        raise ValueError("a webhook secret is whsec_ and 24 to 64 bytes in base64")
    return secret


def signed_headers(
    message_id: str, at: datetime, body: bytes, secrets: Sequence[bytes]
) -> Mapping[str, str]:
    """Return the three headers of one attempt; several secrets sign while one is being replaced.

    Args:
        message_id: The same for all attempts at a message; it has no full stop.
        at: When the attempt is made; receivers refuse what is more than a few minutes old.
        body: The exact bytes that are sent.
        secrets: At least one, newest first.

    """
    seconds = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), seconds.encode(), body))
    signatures = (
        base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        for secret in secrets
    )
    return {
        ID: message_id,
        TIMESTAMP: seconds,
        SIGNATURE: " ".join(f"v1,{signature}" for signature in signatures),
    }


class SecretMaker:
    """Derives secrets from salts, under keys outside the database.

    Only the salt is stored, so a copy of the database alone cannot sign. The first key is used for
    new secrets, the others are former ones.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys, each at least 32 random characters; without any, no secret can be made."""
        self._keys = {_mark(key): key.encode() for key in reversed(keys)}
        self._newest = _mark(keys[0]) if keys else ""

    @property
    def can_make(self) -> bool:
        """Whether there is a key."""
        return bool(self._newest)

    def seed(self, *facts: str) -> str:
        """Return what is stored of a new secret: which key it needs, and its salt.

        The same facts and key give the same seed; without the key it looks random. Raises
        LookupError if there is no key.
        """
        salt = self._derive(self._newest, "salt", *facts)
        return f"{self._newest}.{base64.b64encode(salt).decode()}"

    def secret(self, endpoint_id: str, seed: str) -> bytes:
        """Return an endpoint's secret, of 32 bytes. Raises LookupError if its key is missing."""
        mark, _, salt = seed.partition(".")
        return self._derive(mark, "secret", endpoint_id, salt)

    def _derive(self, mark: str, *facts: str) -> bytes:
        if mark not in self._keys:
            raise LookupError("the key of a webhook secret is missing")
        # HMAC is a pseudorandom function: its output for one fact reveals nothing about another
        # (RFC 5869, 3.2).
        named = "\0".join(("caller: webhooks", *facts)).encode()
        return hmac.new(self._keys[mark], named, hashlib.sha256).digest()


def _mark(key: str) -> str:
    """Return a mark that identifies a key and reveals nothing about it."""
    return hashlib.sha256(b"caller: webhook key\0" + key.encode()).hexdigest()[:_MARK_CHARS]
