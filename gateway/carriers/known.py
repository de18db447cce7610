"""Lists the carriers that a gateway knows, and finds the one that is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.carriers.port import CarrierAdapter
from gateway.carriers.twilio.carrier import CARRIER as TWILIO
from gateway.errors import SettingsError
from gateway.settings import Settings

CARRIERS: Final[tuple[CarrierAdapter, ...]] = (TWILIO,)


def chosen(settings: Settings, carriers: Sequence[CarrierAdapter] | None = None) -> CarrierAdapter:
    """Return the carrier that CALLER_CARRIER names. Raises SettingsError if there is none."""
    # Looked up when called, so that a carrier can be added to the list of a process.
    known = CARRIERS if carriers is None else carriers
    for carrier in known:
        if carrier.name == settings.carrier:
            return carrier
    names = ", ".join(carrier.name for carrier in known)
    raise SettingsError(f"CALLER_CARRIER names no carrier. There is: {names}.")
