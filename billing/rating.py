"""Computes the price of a call's duration, exact to the micro.

Prices are cumulative: `cost(s)` is the price of a call of `s` seconds in all, rounded once, so that
what a meter charges second by second adds up to it.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from billing.errors import RateDeckError

SECONDS_MAX = 86_400
"""Longest call that can be priced: a day. With RATE_MICROS_MAX this keeps every price within 53
bits."""

RATE_MICROS_MAX = 10**12
"""Highest price per minute, connect fee, minimum and cap: a million currency units."""

INCREMENT_S_MAX = 3_600
"""Longest billing increment, and longest free head of a call: an hour."""


class Rate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The price of a call: micros of the account's currency, seconds.

    `first_s`/`next_s` is the usual billing increment: 60/6 bills the first minute whole, then every
    six seconds begun. Raises RateDeckError if a value is out of bounds.
    """

    per_minute_micros: int
    first_s: int = 1
    next_s: int = 1
    connect_fee_micros: int = 0
    """Owed from the first second on."""
    free_s: int = 0
    """Head of the call that costs only the connect fee; increments count from its end."""
    minimum_micros: int = 0
    """Lowest price of an answered call, owed from the first second on, connect fee included."""
    cap_micros: int = 0
    """Highest price of a call: beyond it the call goes on free of charge. 0 for no cap."""

    def __post_init__(self) -> None:
        for name, low, high in _BOUNDS:
            if not low <= getattr(self, name) <= high:
                raise RateDeckError("value out of bounds", column=name)
        if 0 < self.cap_micros < max(self.minimum_micros, self.connect_fee_micros):
            raise RateDeckError("cap below what every call costs", column="cap_micros")

    def cost(self, seconds: int) -> int:
        """Return the price in micros of a call of `seconds` whole seconds; 0 for none.

        Never decreases; rounded up once, on the total.
        """
        if seconds <= 0:
            return 0
        # Rounded once, on the total. Rounding each second up would add up over a long call.
        billed = self.billed_seconds(seconds)
        micros = self.connect_fee_micros - (-billed * self.per_minute_micros // 60)
        micros = max(micros, self.minimum_micros)
        return min(micros, self.cap_micros) if self.cap_micros else micros

    def billed_seconds(self, seconds: int) -> int:
        """Return the seconds that the price per minute is paid for, in whole increments."""
        if (rated := seconds - self.free_s) <= 0:
            return 0
        # Negated floor division rounds up: an increment that has begun is billed whole.
        beyond_first = max(0, rated - self.first_s)
        return self.first_s - (-beyond_first // self.next_s) * self.next_s

    def affordable_seconds(self, micros: int, cap: int = SECONDS_MAX) -> int:
        """Return the most seconds, up to `cap`, whose cost does not exceed `micros`."""
        # This must be the exact inverse of `cost`: the meter cuts a call off at the last second
        # that its hold pays for.
        left = micros - self.connect_fee_micros
        if left < 0 or micros < self.minimum_micros:
            return 0
        if self.per_minute_micros == 0 or 0 < self.cap_micros <= micros:
            # Beyond its cap a call costs nothing more, so credit for the cap pays for any length.
            return cap
        # ceil(billed x price / 60) <= left if and only if billed <= floor(60 x left / price).
        billed = 60 * left // self.per_minute_micros
        if billed < self.first_s:
            # The first increment is not affordable; the fee alone pays for the free head.
            return min(self.free_s, cap)
        increments = (billed - self.first_s) // self.next_s
        return min(self.free_s + self.first_s + increments * self.next_s, cap)

    def to_json(self) -> str:
        """Return the rate as stored in call records; fields missing there have their defaults."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Rate:
        """Return the rate that `to_json` wrote; calls share it. Raises RateDeckError."""
        return _read(text)


@lru_cache(maxsize=1_024)
def _read(text: str | bytes) -> Rate:
    try:
        return msgspec.json.decode(text, type=Rate)
    # msgspec converts only ValueError and TypeError of `__post_init__` into an error of its own.
    except (msgspec.MsgspecError, RateDeckError) as error:
        raise RateDeckError("not a rate") from error


_BOUNDS = (
    ("per_minute_micros", 0, RATE_MICROS_MAX),
    ("first_s", 1, INCREMENT_S_MAX),
    ("next_s", 1, INCREMENT_S_MAX),
    ("connect_fee_micros", 0, RATE_MICROS_MAX),
    ("free_s", 0, INCREMENT_S_MAX),
    ("minimum_micros", 0, RATE_MICROS_MAX),
    ("cap_micros", 0, RATE_MICROS_MAX),
)
