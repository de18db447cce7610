"""Makes and checks the tokens by which a browser resumes a call after losing its socket.

A token signs the call id and the number of resumes so far (HMAC-SHA256, RFC 2104, with a key of the
node). It can therefore be checked before anything is looked up, and each is valid once.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode


def resume_token(key: bytes, call_id: str, generation: int) -> str:
    """Return the token for the `generation`-th resume of a call."""
    mac = hmac.digest(key, f"{call_id}.{generation}".encode(), "sha256")
    return f"{generation}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def generation_of(key: bytes, call_id: str, token: str) -> int | None:
    """Return the generation of a genuine token of this call; None for any other text."""
    number, _, _ = token.partition(".")
    # Untrusted text: `int` of thousands of digits is slow, and raises in the end.
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        return None
    # Rebuilt and compared whole, so that each call and generation has exactly one valid token.
    expected = resume_token(key, call_id, int(number))
    return int(number) if hmac.compare_digest(token.encode(), expected.encode()) else None
