"""Declares what a carrier brings to a gateway: one `CarrierAdapter` for each folder beside this.

`gateway.carriers.known` lists them. A process takes only the parts that it needs, so the parts are
functions that import what they return: the price list loads no media streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.ports import Announcer, Carrier, CarrierStreams

if TYPE_CHECKING:
    from gateway.carriers.callbacks import Callbacks
    from gateway.heartbeat.ticker import Ticker
    from gateway.http.access import DeclaredRoute
    from gateway.settings import Settings
    from gateway.setup_steps import SetupStep


class CarrierClient(Carrier, Announcer, Protocol):
    """What a gateway asks of a carrier: to place and end calls, and to announce a code."""


@dataclass(frozen=True, slots=True)
class PrefixPrice:
    """What the carrier charges for a minute to the numbers of a prefix."""

    prefix: str
    description: str
    """As the carrier writes it: foreign text."""
    country: str
    """ISO 3166 alpha-2."""
    per_minute_micros: int
    """The account's own price, discounts included, rounded up."""
    currency: str
    """ISO 4217."""


class PriceList(Protocol):
    """The carrier's prices for an account. Each method raises CarrierError."""

    async def countries(self) -> Sequence[str]:
        """Return the countries that have prices (ISO 3166 alpha-2), in the carrier's order."""
        ...

    async def prices(self, iso_country: str, caller_id: str) -> Sequence[PrefixPrice]:
        """Return a country's prices for calls shown as from `caller_id`, one per prefix."""
        ...


class HighRiskList(Protocol):
    """The prefixes that the carrier considers high risk. Each method raises CarrierError."""

    async def countries(self) -> Sequence[str]:
        """Return all countries (ISO 3166 alpha-2), in the carrier's order."""
        ...

    async def prefixes(self, iso_country: str) -> Sequence[str]:
        """Return the prefixes of a country as digits: all of them, or none if one is unreadable."""
        ...

    def warning(self) -> str:
        """Return what the list leaves open once `countries` was read; empty for nothing."""
        ...


class Explanation(Protocol):
    """What one of the carrier's codes means, for the operator."""

    @property
    def what(self) -> str:
        """What it says of the account or the call."""
        ...

    @property
    def do(self) -> str:
        """The operator's next step."""
        ...


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
    steps: tuple[SetupStep, ...]
    """What `caller setup` asks about its account and the number that phones show, step by step.
    `caller check` makes the same checks, and stops at the first that fails."""
    price_list: Callable[[Settings], AbstractAsyncContextManager[PriceList]] | None
    """Opens its prices for the account; None if it publishes none. Raises SettingsError."""
    high_risk_list: Callable[[Settings], AbstractAsyncContextManager[HighRiskList]] | None
    """Opens its list of high-risk prefixes; None if it publishes none. Raises SettingsError."""
    explain: Callable[[int], Explanation]
    """Returns what a code means that a refused call was stored with; 0 is a refusal without one."""
