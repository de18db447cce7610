"""Names visitors so that one button can count them for a day, and nothing else can recognise them.

A visitor is an address: people behind one are not told apart, and a person who changes it is not
recognised. The salt is an argument.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.limits.source import network_of, range_of, subject_of

SALT_BYTES: Final = 32
DIGEST_CHARS: Final = 32
"""128 bits: no two visitors of a day collide."""


def visitor_digest(salt: bytes, button_id: str, address: str) -> str:
    """Return the name of an address (in IPv6 of its /64) at a button, under the salt of a day."""
    return _digest(salt, "visitor", button_id, subject_of(address))


def network_digest(salt: bytes, button_id: str, address: str) -> str:
    """Return the same for its network: the /24 in IPv4, the /48 in IPv6."""
    return _digest(salt, "network", button_id, network_of(address))


def range_digest(salt: bytes, button_id: str, address: str) -> str:
    """Return the same for the range that it is rented in: the /16 in IPv4, the /32 in IPv6."""
    return _digest(salt, "range", button_id, range_of(address))


def named_digest(button_id: str, name: str) -> str:
    """Return the same for a name from the owner's back end, such as an address; valid any day."""
    return hashlib.sha256(f"{button_id}\0{name}".encode()).hexdigest()[:DIGEST_CHARS]


def _digest(salt: bytes, *named: str) -> str:
    # Keyed, because there are so few addresses that a digest could be inverted by trying them all.
    digest = hmac.digest(salt, "\0".join(named).encode(), "sha256")
    return digest.hex()[:DIGEST_CHARS]


def day_of(at: datetime) -> str:
    """Return the name of a moment's day, in UTC: all nodes must use the same salt."""
    return at.astimezone(UTC).date().isoformat()


def day_ends_in_s(at: datetime) -> int:
    """Return how many whole seconds are left of a moment's day, at least one."""
    moment = at.astimezone(UTC)
    end = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(1, int((end - moment).total_seconds()))
