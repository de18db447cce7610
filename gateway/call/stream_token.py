"""Makes and checks the tokens by which the carrier's media stream proves its call.

A token holds the call id and a signature (HMAC-SHA256, RFC 2104, with the carrier account's own
secret), so that a stream of a finished call or of an earlier run of the node can be told from a
forged one. That each is used only once is enforced by the call. Knows no call.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode


def stream_token(secret: str, call_id: str) -> str:
    """Return the token for a call."""
    mac = hmac.digest(secret.encode(), b"caller media stream " + call_id.encode(), "sha256")
    return f"{call_id}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def call_of(secret: str, token: str) -> str:
    """Return the call id of a genuine token; empty for any other text."""
    call_id = token.partition(".")[0]
    try:
        is_genuine = hmac.compare_digest(token.encode(), stream_token(secret, call_id).encode())
    except UnicodeEncodeError:
        return ""
    return call_id if is_genuine else ""
