"""Tokens by which a Twilio media stream proves which call it belongs to.

A token names the call and signs it (HMAC-SHA256, RFC 2104) under the Twilio account's own secret,
so that the stream of a call that is over, or of an earlier run, can be told from one that is not
ours. The call itself makes sure that only one stream is accepted. Pure.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode


def stream_token(secret: str, call_id: str) -> str:
    """Return the token for a call."""
    # The secret is the auth token, which signs other things as well: the words in front keep what
    # is signed here apart from all of them.
    mac = hmac.digest(secret.encode(), b"caller media stream " + call_id.encode(), "sha256")
    return f"{call_id}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def call_of(secret: str, token: str) -> str:
    """Return the call id of a genuine token; empty for any other text."""
    call_id = token.partition(".")[0]
    try:
        is_genuine = hmac.compare_digest(token.encode(), stream_token(secret, call_id).encode())
    # JSON can bring half of a surrogate pair, which no UTF-8 has.
    except UnicodeEncodeError:
        return ""
    return call_id if is_genuine else ""
