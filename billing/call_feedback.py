"""Defines the feedback that a caller gives after a call: stars, and what was wrong.

There is no free text: it could hold personal data of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Protocol

import msgspec

STARS_MAX: Final = 5


class Flaw(StrEnum):
    """What was wrong with a call: the words that telephone services use for it."""

    AUDIO_LATENCY = "audio-latency"
    CHOPPY_AUDIO = "choppy-audio"
    DROPPED_CALL = "dropped-call"
    ECHO = "echo"
    NOISY_CALL = "noisy-call"


class Feedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller says of a call."""

    stars: Annotated[int, msgspec.Meta(ge=1, le=STARS_MAX)]
    """5 is best."""
    flaws: Annotated[tuple[Flaw, ...], msgspec.Meta(max_length=len(Flaw))] = ()


@dataclass(frozen=True, slots=True)
class Only:
    """Which of an account's calls may be spoken of."""

    key_id: str
    """Those that this API key pays for."""
    ended_after: datetime
    """And that have ended since, by their records."""


class FeedbackStore(Protocol):
    """What callers have said of calls. Every method raises StoreUnavailableError."""

    async def give(
        self, account_id: str, call_id: str, feedback: Feedback, only: Only | None = None
    ) -> Feedback | None:
        """Keep what is said first of a call, and return it.

        None if the account has no such call. Whoever repeats it changes nothing.
        """


def feedback_text(feedback: Feedback) -> str:
    """Return feedback as it is kept: `4 echo noisy-call`."""
    return " ".join((str(feedback.stars), *_each_once(feedback.flaws)))


def feedback_in(text: str) -> Feedback | None:
    """Return the feedback that is kept so; None for none, and for what cannot be read."""
    stars, *flaws = text.split(" ")
    try:
        return msgspec.convert({"stars": int(stars), "flaws": flaws}, Feedback)
    except ValueError:
        return None


def _each_once(flaws: Iterable[Flaw]) -> Iterable[Flaw]:
    return (flaw for flaw in Flaw if flaw in set(flaws))
