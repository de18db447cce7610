"""Tokens that take a call up again after its browser's socket was lost.

A token signs the call and how often it has been taken up (HMAC-SHA256, RFC 2104, under a key of the
node), so that it can be judged before anything is looked up, and each is good once. Knows no call.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode


def resume_token(key: bytes, call_id: str, generation: int) -> str:
    """Return the token that takes the call up for the `generation`-th time."""
    mac = hmac.digest(key, f"{call_id}.{generation}".encode(), "sha256")
    return f"{generation}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def generation_of(key: bytes, call_id: str, token: str) -> int | None:
    """Return what a genuine token of this call was made for; None for any other text."""
    number, _, _ = token.partition(".")
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        return None
    expected = resume_token(key, call_id, int(number))
    return int(number) if hmac.compare_digest(token.encode(), expected.encode()) else None
