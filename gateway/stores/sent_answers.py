"""Stores in Valkey, for seconds, the answers to forms that give a browser a secret.

They are sealed: an answer can only be opened with its form and the session that sent it.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.stores.sent_forms import ANSWER_KEPT_S, SqlSentForms

_NONCE_BYTES: Final = 12
"""NIST SP 800-38D, 8.2.2."""


class SqlAnsweredForms(SqlSentForms):
    """`http.site.forms.SentForms`, including the answer to each form."""

    async def answer(self, proof: bytes) -> bytes | None:
        """Return the answer to a signed-in person's form; None if it is not known.

        Raises StoreUnavailableError.
        """
        sealed = await self.wishes.find(_name(proof))
        if sealed is None:
            return None
        try:
            return _cipher(proof).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        # A nonce of another length means a foreign value.
        except (InvalidTag, ValueError):
            return None

    async def keep_answer(self, proof: bytes, answer: bytes) -> None:
        """Store the answer to a form, sealed. Raises StoreUnavailableError."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + _cipher(proof).encrypt(nonce, answer, None)
        await self.wishes.replace(_name(proof), sealed, ANSWER_KEPT_S)


def _name(proof: bytes) -> str:
    return f"answer\0{hmac.digest(proof, b'name', 'sha256').hex()}"


def _cipher(proof: bytes) -> AESGCM:
    return AESGCM(hmac.digest(proof, b"key", "sha256"))
