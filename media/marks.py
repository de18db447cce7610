"""What marks tell about the audio a carrier has yet to play.

A mark comes back when the audio before it has been played. What its round trip takes beyond that
audio, by the model, is the network's part and the model's error together. The network's part has a
floor; the model is corrected by what stays above it, or comes to lie below. Knows no message
format and no clock. (https://www.twilio.com/docs/voice/media-streams/websocket-messages)
"""

from __future__ import annotations

from typing import Final

from media.slack import NEVER_NS
from media.source import MS_NS

SECOND_NS: Final = 1_000 * MS_NS


PERIOD_NS: Final = SECOND_NS - 10 * MS_NS
"""One mark a second, sent from a beat that may come a little early."""
GIVEN_UP_NS: Final = 10 * SECOND_NS
"""A mark that is not back by then no longer keeps the next one waiting."""
WAITING_MAX: Final = 4
"""Marks remembered: the newest and given up ones, which may yet come back."""

SURPLUS_NS_MIN: Final = 30 * MS_NS
"""A carrier that plays 20 ms at a time returns marks up to 20 ms late; the rest is the way's."""
LEARN_MARKS: Final = 8
"""A faster round trip of the first marks after the carrier was dry lowers the floor. One of a later
mark lowers the model: a carrier whose clock is fast has less to play than was believed, and would
run dry."""
SHARED_NS_MIN: Final = 40 * MS_NS
AT_ONCE_NS: Final = 3 * SECOND_NS
REPEAT_NS: Final = 30 * SECOND_NS
"""A surplus that is back within half a minute, or is still there when it was halved so often that a
second would be gone, was not audio alone: half of it is taken for a network that has become slower,
which is how the floor forgets. Drift and noise together are less than the least of this."""
HALVINGS: Final = 4


class Marks:
    """The marks of one stream. At most one is under way that is not given up."""

    __slots__ = (
        "_corrected_ns",
        "_count",
        "_halvings",
        "_learnt",
        "_name",
        "_previous_ns",
        "_sent_ns",
        "_waiting",
        "rtt_ns",
    )

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, int]] = {}
        """When each was sent, and how much audio was before it by the model."""
        self._name = ""
        self._count = self._halvings = 0
        self._learnt = 0
        self._sent_ns = self._corrected_ns = -NEVER_NS
        self._previous_ns: int | None = None
        """Round trip of the mark before, without its audio."""
        self.rtt_ns: int | None = None
        """Floor of the round trips without audio; None before the first mark came back."""

    def due(self, now_ns: int, end_ns: int) -> str | None:
        """Return the name of a mark to send now, if any.

        `end_ns` is when the carrier runs dry by the model; of one that did a second ago there is
        nothing to learn.
        """
        age_ns = now_ns - self._sent_ns
        if age_ns < PERIOD_NS or end_ns + SECOND_NS < now_ns:
            return None
        if self._name in self._waiting and age_ns < GIVEN_UP_NS:
            return None
        if len(self._waiting) == WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._count += 1
        self._name = f"playout-{self._count}"
        self._sent_ns = now_ns
        self._waiting[self._name] = (now_ns, max(0, end_ns - now_ns))
        return self._name

    def returned(self, now_ns: int, name: str) -> int:
        """Return by how much the carrier runs dry later than the model says; below 0, earlier.

        A mark may be late because it was read late. A surplus is therefore what two in a row agree
        on.
        """
        mark = self._waiting.pop(name, None)
        if mark is None:
            return 0
        sent_ns, audio_ns = mark
        trip_ns = now_ns - sent_ns - audio_ns
        previous_ns, self._previous_ns = self._previous_ns, trip_ns
        self._learnt += 1
        if self.rtt_ns is None or (trip_ns < self.rtt_ns and self._learnt <= LEARN_MARKS):
            self.rtt_ns = max(0, trip_ns)
            return 0
        if trip_ns > self.rtt_ns:
            trip_ns = self.rtt_ns if previous_ns is None else min(trip_ns, previous_ns)
            return max(0, trip_ns - self.rtt_ns)
        return trip_ns - self.rtt_ns

    def correct(self, now_ns: int, surplus_ns: int) -> int:
        """Return what to add to the model for a surplus: half of it, if it is more than noise."""
        if self.rtt_ns is None or 0 <= surplus_ns <= SURPLUS_NS_MIN:
            return 0
        correction_ns = surplus_ns // 2
        if surplus_ns > 0:
            since_ns = now_ns - self._corrected_ns
            self._halvings = self._halvings + 1 if since_ns < AT_ONCE_NS else 0
            is_back = AT_ONCE_NS <= since_ns < REPEAT_NS or self._halvings >= HALVINGS
            if is_back and surplus_ns > SHARED_NS_MIN:
                self.rtt_ns += surplus_ns - correction_ns
            self._corrected_ns = now_ns
        if self._previous_ns is not None:
            self._previous_ns -= correction_ns
        return correction_ns

    def relearn(self) -> None:
        """Take note that the model begins anew with a carrier that was dry.

        It is right then, or low: the carrier begins to play what it is given on its own beat. What
        comes back faster than before lowers the floor, which had a later beginning in it.
        """
        self._learnt = 0

    def forget(self) -> None:
        """Void all marks under way: a cleared carrier returns them at once."""
        self._waiting.clear()
        self._previous_ns = None
