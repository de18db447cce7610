"""Rates a line: MOS by the E-model, interarrival jitter, and a monitor that raises warnings."""

from __future__ import annotations

from math import exp, hypot, inf, log2, log10
from typing import Final

MOS_MIN: Final = 1.0
MOS_MAX: Final = 4.5

# ITU-T G.107 (06/2015). Inputs that are not measured have the defaults of its table 2: SLR 8,
# RLR 2, STMR 15, TELR 65, WEPL 110, Nc -70, Nfor -64, Ps = Pr = 35, qdu 1, A 0. R is then 93.2
# without delay or loss.
_NO_DB: Final = -61.18
"""Sum of all noise powers, equation 7-3."""
_RO: Final = 15 - 1.5 * (8 + _NO_DB)
"""Signal-to-noise ratio, equation 7-2."""
_ROE: Final = -1.5 * (_NO_DB - 2)
"""The same at the talker's own ear, equation 7-20."""
_IS: Final = 1.41
"""Impairments simultaneous with the voice, equation 7-8."""
_TELR_DB: Final = 65
_WEPL_DB: Final = 110
_DELAY_MS_HARMLESS: Final = 100
"""mT: shortest delay that disturbs a conversation."""

_BPL_CONCEALED: Final = 15.0
"""Robustness of G.711 against loss with our concealment, measured by PESQ (ITU-T P.862.1) on speech
that went through it: `python -m benchmarks.loss_scores`. G.113, App. I, has 25.1 for that of G.711
Appendix I, which scores half a point above PESQ at a tenth lost; its Ie is 0."""
_BPL_UNCONCEALED: Final = 4.3
"""The same without concealment (G.113, App. I)."""


def mos(
    *, delay_ms: float, loss_percent: float, burst_ratio: float = 1.0, concealed: bool = True
) -> float:
    """Return the conversational quality of G.711, 1 to 4.5, by the E-model (ITU-T G.107).

    Args:
        delay_ms: From mouth to ear; a negative value counts as zero.
        loss_percent: Share of the audio not heard as spoken; clamped to 0 to 100.
        burst_ratio: Mean length of loss bursts over that of random loss; less than 1 counts as 1.
        concealed: Whether losses are concealed.

    """
    loss = min(max(loss_percent, 0.0), 100.0)
    robustness = _BPL_CONCEALED if concealed else _BPL_UNCONCEALED
    # Ie-eff, equation 7-29.
    equipment = 95 * loss / (loss / max(burst_ratio, 1.0) + robustness)
    return _mos_of_rating(_RO - _IS - _delay_impairment(max(delay_ms, 0.0)) - equipment)


def _delay_impairment(delay_ms: float) -> float:
    """Return Id: talker echo, listener echo and pure delay (equations 7-18 to 7-28).

    Both echo paths are as long as the voice's own: T is Ta, Tr twice that.
    """
    terv = _TELR_DB - 40 * log10((1 + delay_ms / 10) / (1 + delay_ms / 150))
    terv += 6 * exp(-0.3 * delay_ms * delay_ms)
    half = (_ROE - (80 + 2.5 * (terv - 14))) / 2
    # Below 4 ms an echo is sidetone, and the equation would count it as a gain.
    # hypot(x, 10) is the equation's square root of x^2 + 100.
    talker = max((half + hypot(half, 10) - 1) * (1 - exp(-delay_ms)), 0.0)
    half = (_RO - 10.5 * (_WEPL_DB + 7) * (2 * delay_ms + 1) ** -0.25) / 2
    impairment: float = talker + half + hypot(half, 13)
    if delay_ms > _DELAY_MS_HARMLESS:
        x = log2(delay_ms / _DELAY_MS_HARMLESS)
        impairment += 25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    return impairment


def _mos_of_rating(rating: float) -> float:
    """Return the MOS of a transmission rating R (G.107 Annex B)."""
    if rating <= 0:
        return MOS_MIN
    if rating >= 100:
        return MOS_MAX
    score = 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6
    # The polynomial dips below 1 for the first few points of R.
    return max(score, MOS_MIN)


class JitterMeter:
    """Interarrival jitter of packets that carry their sampling time (RFC 3550 A.8)."""

    __slots__ = ("_transit_ms", "ms")

    def __init__(self) -> None:
        self._transit_ms = inf
        self.ms = 0.0

    def feed(self, arrival_ns: int, timestamp_ms: float) -> None:
        """Take a packet; if its transit differs by a second from the last, start over.

        Args:
            arrival_ns: On the receiver's monotonic clock.
            timestamp_ms: On the sender's clock.

        """
        transit_ms = arrival_ns * 1e-6 - timestamp_ms
        difference_ms = transit_ms - self._transit_ms
        self._transit_ms = transit_ms
        # Also false for the first packet, whose difference is infinite.
        if -1_000.0 < difference_ms < 1_000.0:
            self.ms += (abs(difference_ms) - self.ms) * 0.0625


class Monitor:
    """Raises once enough of the last samples were bad, and clears once few enough are.

    The defaults require 3 bad of 5 to raise, and 4 good of 5 to clear. It has no memory: what it
    watches is a history, a number that its owner keeps and that begins as 0.
    """

    __slots__ = ("_clear_at", "_mask", "_raise_at", "_raised")

    def __init__(self, *, samples: int = 5, raise_at: int = 3, clear_at: int = 1) -> None:
        if not 0 <= clear_at < raise_at <= samples:
            raise ValueError("A monitor clears below where it raises, within its samples.")
        self._mask = (1 << samples) - 1
        self._raise_at = raise_at
        self._clear_at = clear_at
        self._raised = self._mask + 1
        """The bit above those of the recent samples, one for each, newest lowest: was it bad."""

    def is_raised(self, history: int) -> bool:
        """Whether it is raised after this history."""
        return history >= self._raised

    def feed(self, history: int, is_bad: bool) -> int:
        """Return the history with one more sample."""
        recent = (history << 1 | is_bad) & self._mask
        # Another threshold than for raising, so that a line on the edge does not flicker.
        least = self._clear_at + 1 if self.is_raised(history) else self._raise_at
        return recent | self._raised if recent.bit_count() >= least else recent
