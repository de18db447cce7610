"""Computes Twilio's request signature; parses connection overrides in a URL's fragment.

https://www.twilio.com/docs/usage/security#validating-requests
https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

SIGNATURE_HEADER: Final = "X-Twilio-Signature"


def sign(url: str, params: Mapping[str, str], auth_token: str) -> str:
    """Return the base64 HMAC-SHA1 over the URL and the sorted form parameters.

    The upgrade of a media socket is signed over its `wss://` URL with no parameters.
    """
    # Twilio's scheme puts no separator between names and values.
    text = url + "".join(name + params[name] for name in sorted(params))
    digest = hmac.digest(auth_token.encode(), text.encode(), "sha1")
    return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True)
class Connection:
    """How long and how often a webhook is tried."""

    connect_ms: int = 5000
    read_ms: int = 15000
    total_ms: int = 15000
    """For all attempts together."""
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})
    """What is worth a retry: `ct` no connection, `rt` no reply, `4xx`, `5xx`, `all`."""

    def retry_worthy(self, failure: str) -> bool:
        """Return whether a failure (`ct`, `rt`, `4xx`, `5xx`) is tried again."""
        return failure in self.policy or "all" in self.policy


_NAMES: Final[dict[str, tuple[str, int, int]]] = {
    "ct": ("connect_ms", 100, 10000),
    "rt": ("read_ms", 100, 15000),
    "tt": ("total_ms", 100, 15000),
    "rc": ("retries", 0, 5),
}
_POLICIES: Final = frozenset({"4xx", "5xx", "ct", "rt", "all"})


def split_overrides(url: str) -> tuple[str, Connection]:
    """Return the URL to request and sign, without its fragment, and the connection it asks for.

    Unknown keys are ignored; numbers are forced into Twilio's bounds.
    """
    # The fragment is meant for the carrier: it is neither requested nor part of what is signed.
    target, _, fragment = url.partition("#")
    fields: dict[str, int] = {}
    policy = Connection().policy
    for name, value in parse_qsl(fragment):
        if name == "rp":
            # A list without any known policy leaves the default in force.
            policy = frozenset(value.split(",")) & _POLICIES or policy
        elif name in _NAMES and value.isascii() and value.isdigit():
            attribute, low, high = _NAMES[name]
            fields[attribute] = min(max(int(value[:9]), low), high)
    return target, Connection(**fields, policy=policy)
