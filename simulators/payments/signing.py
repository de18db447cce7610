"""Signs webhooks as Stripe does.

https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hmac
from typing import Final

SIGNATURE_HEADER: Final = "Stripe-Signature"


def sign(body: bytes, secret: str, at_s: int) -> str:
    """Return the header that signs a body: its time, and HMAC-SHA256 over `time.body`.

    Args:
        body: exactly as sent.
        secret: the endpoint's signing secret.
        at_s: seconds of the epoch.
    """
    # The time is signed as well: a receiver refuses a genuine body that is replayed later.
    digest = hmac.digest(secret.encode(), b"%d." % at_s + body, "sha256").hex()
    return f"t={at_s},v1={digest}"
