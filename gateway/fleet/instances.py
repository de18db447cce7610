"""Tells which process answers at an origin, without revealing the instance names of processes.

The client sends a random word, and gets a digest of it that only the process's own name makes.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from typing import Final

NONCE: Final = "nonce"
"""Parameter of the request."""
PROOF: Final = "proof"
"""Member of the response."""
NONCE_PATTERN: Final = "[0-9a-f]{32}"
_NONCE_BYTES: Final = 16


def new_nonce() -> str:
    """Return a random word for one request."""
    return secrets.token_hex(_NONCE_BYTES)


def proof_of(instance: str, nonce: str) -> str:
    """Return what a process of this name answers."""
    return hmac.new(instance.encode(), nonce.encode(), "sha256").hexdigest()


def found_in(instances: Iterable[str], nonce: str, proof: str) -> str:
    """Return which of some processes has answered this; empty for none of them."""
    for instance in instances:
        if hmac.compare_digest(proof_of(instance, nonce).encode(), proof.encode()):
            return instance
    return ""
