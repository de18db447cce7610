"""Declares the services that all calls of a node share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.calls.polling import Polling
from gateway.calls.reachability import Reachability
from gateway.charging.context import ChargeServices
from gateway.ports import AudioEndpoint, Carrier
from media.speech_repair import RepairBudget


def _left_alone(_carrier_call_id: str, _call_id: str) -> None:
    """Do nothing: unmatched calls of the carrier are not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallServices(ChargeServices):
    """The services of a call, including those of its charge."""

    carrier: Carrier
    polling: Polling
    reachability: Reachability
    end_unmatched: Callable[[str, str], None] = _left_alone
    """Takes a carrier call id and a call id: ends a carrier call that was made for this call of
    ours but is not used by it."""
    endpoint: AudioEndpoint | None = None
    """Takes WebRTC offers; None if WebRTC is off."""
    resume_key: bytes = b""
    """Signs resume tokens."""
    repairs: RepairBudget = field(default_factory=RepairBudget)
    # One for all calls: after a stall every call wants to repair its sound at the same moment.
    """Limits what the playouts of all calls together may spend on repairs."""
