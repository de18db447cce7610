"""Declares what a carrier brings to a gateway: one `CarrierAdapter` for each folder beside this.

`gateway.carriers.known` lists them. A process takes only the parts that it needs, so the parts are
functions that import what they return: the price list loads no media streams.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.ports import Announcer, Carrier, CarrierStreams

if TYPE_CHECKING:
    from gateway.carriers.callbacks import Callbacks
    from gateway.finding import Finding
    from gateway.heartbeat.ticker import Ticker
    from gateway.http.access import DeclaredRoute
    from gateway.settings import Settings


class CarrierClient(Carrier, Announcer, Protocol):
    """What a gateway asks of a carrier: to place and end calls, and to announce a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierAdapter:
    """A carrier: its names, and the parts that processes take from it."""

    name: str
    """Its folder, and the value of CALLER_CARRIER that chooses it."""
    title: str
    """Its name for people."""
    queue_s_max: int
    """The longest it may queue a call before it dials."""
    require: Callable[[Settings], None]
    """Raises SettingsError naming a setting that it needs and lacks."""
    client: Callable[[Settings], CarrierClient]
    """Returns what places and ends calls; called in a running event loop. Raises SettingsError."""
    streams: Callable[[Settings, Ticker], CarrierStreams]
    """Returns the acceptor of the media streams that it opens to this node."""
    callbacks: Callable[[Settings, Callbacks], Sequence[DeclaredRoute]]
    """Returns the routes that it calls. Each verifies a request before it hands it on."""
    api_origin: Callable[[Settings], str]
    """Returns the origin of its API, whose clock `caller check` compares with ours."""
    origin_fault: Callable[[Settings], str]
    """Returns why it would not come to the public origin, as what follows the setting's name in a
    sentence; empty if it would. Whether the origin is https is another question."""
    needs_https: Callable[[Settings], bool]
    """Whether it comes to a public origin with https only."""
    check_account: Callable[[Settings], Awaitable[list[Finding]]]
    """Tries the account's credentials; the settings have all that `require` asks for."""
    check_number: Callable[[Settings], Awaitable[list[Finding]]]
    """Checks the number that phones show, and which countries may be called."""
