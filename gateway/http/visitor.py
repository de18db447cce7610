"""Describes the browser that a form comes from, and recognises one that was signed in before."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from accounts.device import Families, families
from accounts.holder import Device

NewSecret = Callable[[], str]
"""Returns a fresh random secret, such as `secrets.token_urlsafe`."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person at the other end, as far as a request shows."""

    address: str
    """The network address."""
    language: str
    """BCP 47: the browser's preferred language among ours."""
    user_agent: str = ""
    country: str = ""
    """ISO 3166 alpha-2, from the address; empty if unknown."""
    country_names: Mapping[str, str] = field(default_factory=dict)
    """The country's name in each of our languages (BCP 47)."""
    device_secret: str = field(default="", repr=False)
    """What the browser was given when it last signed in; empty if none."""


async def families_of(visitor: Visitor) -> Families:
    """Return the families of a visitor's browser and system."""
    # In a thread: the first headers of a process take it up to a tenth of a second each.
    return await asyncio.to_thread(families, visitor.user_agent)


def device_id(device_secret: str) -> str:
    """Return the digest of a device's secret that is stored; empty for no secret."""
    # Half of a SHA-256: it only has to tell devices apart, and cannot be turned back.
    return hashlib.sha256(device_secret.encode()).hexdigest()[:32] if device_secret else ""


def recognised(visitor: Visitor, devices: Iterable[Device]) -> str:
    """Return the id of the visitor's device if it is one of these; otherwise empty."""
    own = device_id(visitor.device_secret)
    return own if any(device.id == own for device in devices) else ""
