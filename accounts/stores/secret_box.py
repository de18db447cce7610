"""Seals secrets that the service must be able to read again, so that a copy of a store shows none.

AES-256-GCM under keys that lie outside the stores; the first seals, the others are those of before,
and only open. What is sealed for one account opens for no other. Knows no store.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from database.errors import StoreUnavailableError

NONCE_BYTES: Final = 12
"""NIST SP 800-38D, 8.2.2: random, for at most 2^32 sealings under one key."""
_FORM: Final = "1."
"""Changes with the form of what is sealed."""
_LOST: Final = "secrets of second factors cannot be read: their key is missing"


class SecretBox:
    """Seals and opens."""

    def __init__(self, keys: Sequence[str], chance: Callable[[int], bytes]) -> None:
        """Take at least one key, and what gives random bytes."""
        self._ciphers = [AESGCM(_derived(key)) for key in keys]
        self._chance = chance

    def seal(self, plain: bytes, account_id: str) -> str:
        """Return what may be stored, in ASCII."""
        nonce = self._chance(NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, plain, account_id.encode())
        return _FORM + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, account_id: str) -> bytes:
        """Return what was sealed for an account.

        Raises StoreUnavailableError where no key opens it: an operator must bring the key back.
        """
        try:
            stored = base64.b64decode(sealed.removeprefix(_FORM), validate=True)
        except (ValueError, binascii.Error):
            stored = b""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(
                    stored[:NONCE_BYTES], stored[NONCE_BYTES:], account_id.encode()
                )
            # A nonce of another length is what something else has left there.
            except (InvalidTag, ValueError):
                continue
        raise StoreUnavailableError(_LOST)


def _derived(key: str) -> bytes:
    # A key is random, as its length demands; deriving only gives it the length of AES-256 (RFC
    # 5869, 3.3).
    return HKDF(SHA256(), 32, salt=None, info=b"caller: second factors").derive(key.encode())
