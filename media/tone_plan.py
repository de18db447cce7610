"""Lists the call-progress tones of each country: frequencies and cadences.

Facts only, from the list of national tones in ITU-T E.180 Supplement 2; does not know how they are
synthesised. Of several variants in a country, that of its largest network is given; a country that
lists none gets the tone that E.180 recommends for new networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Burst:
    """One sound and the silence after it."""

    frequencies_hz: tuple[int, ...]
    """Sounded together, at equal level."""
    on_ms: int
    off_ms: int
    modulation_hz: int = 0
    """Frequency of amplitude modulation; 0 for a steady tone."""


Cadence = tuple[Burst, ...]
"""Bursts in order, repeated from the first."""


@dataclass(frozen=True, slots=True)
class TonePlan:
    """The call-progress tones of one country."""

    ringback: Cadence
    """The phone is ringing."""
    busy: Cadence
    """The phone is in use."""
    congestion: Cadence
    """The network cannot reach the phone; known as reorder in North America."""


def _cadence(frequencies_hz: tuple[int, ...], *on_off_ms: int, modulation_hz: int = 0) -> Cadence:
    pairs = zip(on_off_ms[::2], on_off_ms[1::2], strict=True)
    return tuple(Burst(frequencies_hz, on, off, modulation_hz) for on, off in pairs)


def _plan(
    *, ringback: Cadence, busy_ms: tuple[int, int], congestion_ms: tuple[int, ...], hz: int = 425
) -> TonePlan:
    """Return a plan whose busy and congestion tones are the same sound at different speeds."""
    return TonePlan(
        ringback, busy=_cadence((hz,), *busy_ms), congestion=_cadence((hz,), *congestion_ms)
    )


_ITU_RINGBACK: Final = _cadence((425,), 1000, 4000)
_BRITISH_RINGBACK: Final = _cadence((400, 450), 400, 200, 400, 2000)

DEFAULT_PLAN: Final = _plan(ringback=_ITU_RINGBACK, busy_ms=(500, 500), congestion_ms=(250, 250))
"""E.180 prefers 425 Hz; for countries without a plan here."""

_NORTH_AMERICA: Final = TonePlan(
    ringback=_cadence((440, 480), 2000, 4000),
    busy=_cadence((480, 620), 500, 500),
    congestion=_cadence((480, 620), 250, 250),
)
_BRITAIN: Final = _plan(
    ringback=_BRITISH_RINGBACK, busy_ms=(375, 375), congestion_ms=(400, 350, 225, 525), hz=400
)
_RAPID_CONGESTION: Final = _plan(
    ringback=_ITU_RINGBACK, busy_ms=(500, 500), congestion_ms=(200, 200)
)
_FINLAND: Final = _plan(ringback=_ITU_RINGBACK, busy_ms=(300, 300), congestion_ms=(200, 200))

PLANS: Final[dict[str, TonePlan]] = {
    **dict.fromkeys(("AS", "CA", "GU", "MP", "PR", "US", "VI"), _NORTH_AMERICA),
    **dict.fromkeys(("GB", "GG", "IM", "JE"), _BRITAIN),
    **dict.fromkeys(("CH", "DK", "IT", "NO"), _RAPID_CONGESTION),
    **dict.fromkeys(("EE", "FI", "GR"), _FINLAND),
    "AT": _plan(
        ringback=_cadence((420,), 1000, 5000),
        busy_ms=(400, 400),
        congestion_ms=(200, 200),
        hz=420,
    ),
    "AU": _plan(ringback=_BRITISH_RINGBACK, busy_ms=(375, 375), congestion_ms=(375, 375)),
    "BE": _plan(
        ringback=_cadence((425,), 1000, 3000), busy_ms=(500, 500), congestion_ms=(167, 167)
    ),
    "BR": _plan(ringback=_ITU_RINGBACK, busy_ms=(250, 250), congestion_ms=(250, 250, 750, 250)),
    "CN": _plan(
        ringback=_cadence((450,), 1000, 4000),
        busy_ms=(350, 350),
        congestion_ms=(700, 700),
        hz=450,
    ),
    "CZ": _plan(ringback=_ITU_RINGBACK, busy_ms=(330, 330), congestion_ms=(165, 165)),
    "DE": _plan(ringback=_ITU_RINGBACK, busy_ms=(480, 480), congestion_ms=(240, 240)),
    "ES": _plan(
        ringback=_cadence((425,), 1500, 3000),
        busy_ms=(200, 200),
        congestion_ms=(200, 200, 200, 200, 200, 600),
    ),
    "FR": _plan(
        ringback=_cadence((440,), 1500, 3500),
        busy_ms=(500, 500),
        congestion_ms=(250, 250),
        hz=440,
    ),
    "HU": _plan(
        ringback=_cadence((425,), 1250, 3750), busy_ms=(300, 300), congestion_ms=(300, 300)
    ),
    "IE": _plan(ringback=_BRITISH_RINGBACK, busy_ms=(500, 500), congestion_ms=(250, 250)),
    "IN": _plan(
        ringback=_cadence((400,), 400, 200, 400, 2000, modulation_hz=25),
        busy_ms=(750, 750),
        congestion_ms=(250, 250),
        hz=400,
    ),
    "JP": _plan(
        ringback=_cadence((400,), 1000, 2000, modulation_hz=16),
        busy_ms=(500, 500),
        congestion_ms=(500, 500),
        hz=400,
    ),
    "MX": _plan(ringback=_ITU_RINGBACK, busy_ms=(250, 250), congestion_ms=(250, 250)),
    "NL": DEFAULT_PLAN,
    "NZ": _plan(ringback=_BRITISH_RINGBACK, busy_ms=(500, 500), congestion_ms=(250, 250), hz=400),
    "PL": _plan(ringback=_ITU_RINGBACK, busy_ms=(500, 500), congestion_ms=(500, 500)),
    "PT": _plan(
        ringback=_cadence((425,), 1000, 5000), busy_ms=(500, 500), congestion_ms=(200, 200)
    ),
    "SE": _plan(
        ringback=_cadence((425,), 1000, 5000), busy_ms=(250, 250), congestion_ms=(250, 750)
    ),
    "SG": _plan(
        ringback=_cadence((425,), 400, 200, 400, 2000, modulation_hz=24),
        busy_ms=(750, 750),
        congestion_ms=(250, 250),
    ),
}
"""By ISO 3166 alpha-2 code."""


def plan_of(country: str) -> TonePlan:
    """Return the tones of a country by ISO 3166 alpha-2 code; the default for any other."""
    return PLANS.get(country, DEFAULT_PLAN)
