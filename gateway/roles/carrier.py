"""Composes the carrier's side of calls: its client, ghosts, and settling of lost calls.

It has no access to live calls: `owns` tells whether one of them uses a given carrier call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.calls.ghosts import Ghosts
from gateway.carriers.known import CARRIERS, chosen
from gateway.carriers.port import CarrierAdapter, CarrierClient
from gateway.charging.closings import Closings
from gateway.charging.recovery import Settler
from gateway.errors import SettingsError
from gateway.ports import Notify
from gateway.roles import storage
from gateway.roles.membership import Membership
from gateway.settings import Settings
from gateway.stores.ghosts import RedisGhostStore
from gateway.stores.opened import Stores


def require_carrier(settings: Settings, carriers: Sequence[CarrierAdapter] = CARRIERS) -> None:
    """Raise SettingsError naming what is missing for calls by the carrier that is set."""
    chosen(settings, carriers).require(settings)
    if not settings.shared_secret:
        raise SettingsError("CALLER_FLEET_SECRET is missing: choose a long random text.")


@dataclass(frozen=True, slots=True)
class CarrierSide:
    """The carrier, and what ends and settles calls without a node."""

    adapter: CarrierAdapter
    carrier: CarrierClient
    ghosts: Ghosts
    """Ends the carrier's calls that belong to no live call."""
    closings: Closings
    """Remembers how this node's calls ended until that is booked."""
    settler: Settler
    """Settles calls that no node looks after any more."""


def compose_carrier_side(
    settings: Settings,
    stores: Stores,
    adapter: CarrierAdapter,
    carrier: CarrierClient,
    membership: Membership,
    *,
    owns: Callable[[str, str], bool],
    notify: Notify,
) -> CarrierSide:
    """Return the carrier's side.

    Args:
        settings: The operator's settings.
        stores: Where holds, records and ghosts are stored.
        adapter: The carrier that is set.
        carrier: Its client, which reaches phones.
        membership: Says which nodes are gone, so that their ghosts are ended here.
        owns: Whether a call here uses a call of the carrier: its id here, its id there.
        notify: Receives refunds of calls that are settled late.
    """
    ghosts = Ghosts(
        RedisGhostStore(stores.redis),
        membership.watch,
        carrier,
        owns=owns,
        open_calls=stores.gate.open_calls,
        # The longest that a carrier call can exist; after that nothing is left to end.
        lifetime_s=adapter.queue_s_max + settings.ring_timeout_s + settings.call_duration_max_s,
        # Wall clock, because the list outlives restarts and is shared by nodes.
        wall_clock_s=time.time,
    )
    # The settler asks it how a call of this node ended before treating the call as lost.
    closings = Closings(stores.gate, stores.records)
    settler = Settler(
        gate=stores.gate,
        records=stores.records,
        carrier=carrier,
        # Settling starts from a drained outbox. This drainer runs beside the child process: two of
        # them never book an entry twice.
        drain=storage.build_drainer(stores, settings, notify).drain_once,
        end_unmatched=ghosts.left,
        kept=closings.find,
    )
    return CarrierSide(adapter, carrier, ghosts, closings, settler)
