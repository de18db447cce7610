"""Composes what the carrier asks of a process: its callbacks about calls."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.calls.carrier_news import Elsewhere
from gateway.carriers.callbacks import Callbacks
from gateway.http.access import DeclaredRoute
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.ports import CarrierCallbacks
from gateway.roles.carrier import CarrierSide
from gateway.settings import Settings


def carrier_routes(
    settings: Settings,
    carrier_side: CarrierSide,
    calls: CarrierCallbacks | None,
    refused_signatures: RefusedSignatures,
    elsewhere: Elsewhere,
) -> Sequence[DeclaredRoute]:
    """Return the routes that the carrier calls; `calls` are those of a process that is a node."""
    callbacks = Callbacks(
        settings.node if calls is not None else "",
        calls,
        refused_signatures,
        carrier_side.ghosts.found,
        elsewhere.tell,
    )
    return carrier_side.adapter.callbacks(settings, callbacks)
