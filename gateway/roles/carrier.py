"""Composes the carrier's side of calls: REST, signatures, ghosts, and settling of lost calls.

It has no access to live calls: `owns` tells whether one of them uses a given carrier call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.calls.ghosts import Ghosts
from gateway.carriers.twilio.rest import QUEUE_S_MAX, TwilioCarrier
from gateway.carriers.twilio.signature import TwilioSignatureVerifier
from gateway.charging.closings import Closings
from gateway.charging.recovery import Settler
from gateway.ports import Notify
from gateway.roles import storage
from gateway.roles.membership import Membership
from gateway.settings import Settings
from gateway.stores.ghosts import RedisGhostStore
from gateway.stores.opened import Stores


@dataclass(frozen=True, slots=True)
class CarrierSide:
    """The carrier, verification of its requests, and what ends and settles calls without a node."""

    carrier: TwilioCarrier
    verifier: TwilioSignatureVerifier
    ghosts: Ghosts
    """Ends the carrier's calls that belong to no live call."""
    closings: Closings
    """Remembers how this node's calls ended until that is booked."""
    settler: Settler
    """Settles calls that no node looks after any more."""


def compose_carrier_side(
    settings: Settings,
    stores: Stores,
    carrier: TwilioCarrier,
    membership: Membership,
    *,
    owns: Callable[[str, str], bool],
    notify: Notify,
) -> CarrierSide:
    """Return the carrier's side.

    Args:
        settings: The operator's settings.
        stores: Where holds, records and ghosts are stored.
        carrier: Reaches phones.
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
        lifetime_s=QUEUE_S_MAX + settings.ring_timeout_s + settings.call_duration_max_s,
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
        stray=ghosts.left,
        kept=closings.find,
    )
    verifier = TwilioSignatureVerifier(
        # Twilio signs webhooks with an auth token, even where REST uses an API key.
        [
            token.reveal()
            for token in (settings.twilio_auth_token, settings.twilio_auth_token_secondary)
            if token
        ],
        [key.reveal() for key in settings.twilio_webhook_keys],
    )
    return CarrierSide(carrier, verifier, ghosts, closings, settler)
