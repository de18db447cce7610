"""What every call of a node uses, made once and handed to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.calls.polling import Polling
from gateway.calls.reachability import Reachability
from gateway.charging.context import ChargeServices
from gateway.ports import AudioEndpoint, Carrier
from media.repair_budget import RepairBudget


def _left_alone(_carrier_call_id: str, _call_id: str) -> None:
    """Nobody ends the carrier's calls that no call lives on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(ChargeServices):
    """What every call of a node uses, its charge included."""

    carrier: Carrier
    polling: Polling
    reachability: Reachability
    stray: Callable[[str, str], None] = _left_alone
    """Ends a call of the carrier, by its id there, that was made for a call, by its id here, and
    that this call does not live on."""
    endpoint: AudioEndpoint | None = None
    """Takes WebRTC offers; None where WebRTC is off."""
    resume_key: bytes = b""
    """Signs what takes a call up again."""
    repairs: RepairBudget = field(default_factory=RepairBudget)
    """What the playout of all calls may spend on repairs."""
