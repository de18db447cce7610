"""Checks that a webhook was signed by the payment service, and recently.

Source: Stripe, "Verify webhook signatures manually". Pure: takes the time as an argument.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from gateway.secret import Secret

TOLERANCE_S = 300
"""Largest difference between the signer's clock and ours, in either direction: a signature from
tomorrow is as worthless as one from yesterday."""
# Every `v1` is compared with every secret, and anyone can send this header.
_HEADER_CHARACTERS_MAX = 2048
_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)


def is_signed(header: str, body: bytes, secrets: Sequence[Secret], now_s: float) -> bool:
    """Return whether the header signs the body with one of the secrets. In constant time.

    The header is `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, with more than one `v1` while
    secrets are being rotated.
    """
    if len(header) > _HEADER_CHARACTERS_MAX:
        return False
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value.encode() for name, _, value in pairs if name == "v1"]
    # Two times would leave open which one is signed. Stripe signs repeated deliveries with a new
    # time, so an old signature means a replay.
    if len(times) != 1 or not _TIME.fullmatch(times[0]) or abs(now_s - int(times[0])) > TOLERANCE_S:
        return False
    signed = times[0].encode() + b"." + body
    # Anyone can sign with an empty secret.
    expected = [
        hmac.new(s.reveal().encode(), signed, hashlib.sha256).hexdigest() for s in secrets if s
    ]
    # Compare all before `any`, so that timing does not reveal which one matched.
    matches = [hmac.compare_digest(e.encode(), g) for e in expected for g in given]
    return any(matches)
