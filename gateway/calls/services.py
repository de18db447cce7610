"""What every call of a node needs, made once and handed to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from billing.ports import SpendGate
from gateway.calls.polling import Polling
from gateway.calls.reachability import Reachability
from gateway.charging.call_charge import Keep, Notify, Spawn, to_nobody
from gateway.charging.closings import keep_nothing
from gateway.charging.rounds import Metering
from gateway.heartbeat.ticker import Ticker
from gateway.ports import AudioEndpoint, Carrier
from gateway.settings import Settings
from media.allowance import Allowance


def _left_alone(_carrier_call_id: str, _call_id: str) -> None:
    """Nobody ends the carrier's calls that no call lives on."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every call of a node needs."""

    settings: Settings
    gate: SpendGate
    carrier: Carrier
    metering: Metering
    ticker: Ticker
    spawn: Spawn
    polling: Polling
    reachability: Reachability
    stray: Callable[[str, str], None] = _left_alone
    """Ends a call of the carrier, by its id there, that was made for a call, by its id here, and
    that this call does not live on."""
    keep: Keep = keep_nothing
    """Remembers ended calls until they are booked."""
    notify: Notify = to_nobody
    """Tells the operator's program of warnings and cut-offs."""
    endpoint: AudioEndpoint | None = None
    """Takes WebRTC offers; None where WebRTC is off."""
    resume_key: bytes = b""
    """Signs what takes a call up again."""
    repairs: Allowance = field(default_factory=Allowance)
    """What the playout of all calls may spend on repairs."""
