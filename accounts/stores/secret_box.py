"""Seals secrets that the service must read again, so that a copy of a store reveals none.

AES-256-GCM under keys that are kept outside the stores; the first key seals, the others are
previous keys, which only open. What is sealed for one account cannot be opened for another.
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
"""Changes with the format of sealed text."""
_LOST: Final = "secrets of second factors cannot be read: their key is missing"


class SecretBox:
    """Seals and opens."""

    def __init__(self, keys: Sequence[str], chance: Callable[[int], bytes]) -> None:
        """Take at least one key, and a source of random bytes."""
        self._ciphers = [AESGCM(_derived(key)) for key in keys]
        self._chance = chance

    def seal(self, plain: bytes, account_id: str) -> str:
        """Return the sealed text, in ASCII."""
        nonce = self._chance(NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, plain, account_id.encode())
        return _FORM + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, account_id: str) -> bytes:
        """Return what was sealed for an account.

        Raises StoreUnavailableError if no key opens it: an operator must restore the key.
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
            # A nonce of another length means that this was not sealed here.
            except (InvalidTag, ValueError):
                continue
        raise StoreUnavailableError(_LOST)


def _derived(key: str) -> bytes:
    # A key is random, as its length demands; deriving only stretches it to the length of AES-256
    # (RFC 5869, 3.3).
    return HKDF(SHA256(), 32, salt=None, info=b"caller: second factors").derive(key.encode())
