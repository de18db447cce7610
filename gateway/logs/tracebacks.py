"""Exceptions as text for a log: bounded in size and in rate, without values of variables.

A traceback names files, lines and functions only. The message of an exception may quote what it
was about, so that credentials and phone numbers are blotted out of every finished line. Knows no
log and no clock.
"""

from __future__ import annotations

import re
import traceback
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final

FRAMES_MAX: Final = 16
"""Frames of one exception: the innermost ones, which are where it was raised."""
ERRORS_MAX: Final = 4
"""Exceptions of one text: the one that was caught, and what led to it or is grouped in it."""
MESSAGE_CHARACTERS_MAX: Final = 500
TEXT_CHARACTERS_MAX: Final = 8_000

REPEATS_MAX: Final = 5
"""Lines of one site in one period; further ones are counted."""
PERIOD_NS: Final = 60_000_000_000
SITES_MAX: Final = 256
"""Sites remembered; the one that was heard of least recently is forgotten first."""

_SENSITIVE: Final = re.compile(
    r"""
      (?<=://) [^\s/@]* : [^\s/@]* (?=@)                             # user:password of a URL
    | \b (?: ck | ct | whsec | [sr]k (?: _live | _test )? ) _ [\w-]{8,}  # our keys, Stripe's
    | \b (?: AC | SK ) [0-9a-fA-F]{32} \b                            # Twilio's accounts and keys
    | (?<= [Bb]earer\x20 ) [\w.~+/=-]{8,}                            # RFC 6750
    | (?<= [Bb]asic\x20 ) [\w+/=-]{8,}                               # RFC 7617
    | (?: \+ | %2[Bb] ) \d{7,}                                       # E.164, also inside a URL
    """,
    re.VERBOSE,
)

_DIGITS: Final = re.compile(r"\d{7,}")
"""In the message of an exception also a number without its plus sign, as a vendor may quote it."""


def blot(line: str) -> str:
    """Return a line without the credentials and phone numbers that are known by their form."""
    return _SENSITIVE.sub("…", line)


def describe(error: BaseException) -> str:
    """Return the traceback of an exception, and those of what led to it, the nearest first."""
    parts = [_describe_one(each) for each in _related(error)]
    text = "\nBecause of:\n".join(parts)
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "…"


def origin(error: BaseException) -> tuple[str, str, int]:
    """Return what tells one fault from another: its type, and the file and line that raised it."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    file = "" if last is None else last.tb_frame.f_code.co_filename
    return type(error).__qualname__, file, 0 if last is None else last.tb_lineno


def _describe_one(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-FRAMES_MAX)
    message = "".join(traceback.format_exception_only(type(error), error)).rstrip()
    message = _DIGITS.sub("…", message)
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = message[:MESSAGE_CHARACTERS_MAX] + "…"
    head = "Traceback (most recent call last):\n" if frames else ""
    return "".join([head, *traceback.format_list(frames), message])


def _related(error: BaseException) -> Iterator[BaseException]:
    """Walk from an exception to its causes and members, each once, a few in all."""
    waiting, seen = [error], {id(error)}
    for _ in range(ERRORS_MAX):
        if not waiting:
            return
        each = waiting.pop(0)
        yield each
        cause = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        members = each.exceptions[:ERRORS_MAX] if isinstance(each, BaseExceptionGroup) else ()
        for other in (cause, *members):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)


@dataclass(slots=True)
class _Site:
    began_ns: int
    written: int = 0
    left_out: int = 0


class RepeatBudget:
    """Decides which lines of a site are written: a few in each period; the rest are counted."""

    def __init__(self) -> None:
        self._sites: OrderedDict[Hashable, _Site] = OrderedDict()

    def admit(self, site: Hashable, now_ns: int) -> int | None:
        """Return how many lines were left out since the last that was written.

        None: this one is left out too.
        """
        known = self._sites.get(site) or _Site(now_ns)
        self._sites[site] = known
        self._sites.move_to_end(site)
        if len(self._sites) > SITES_MAX:
            self._sites.popitem(last=False)
        if now_ns - known.began_ns >= PERIOD_NS:
            known.began_ns, known.written = now_ns, 0
        if known.written == REPEATS_MAX:
            known.left_out += 1
            return None
        known.written += 1
        left_out, known.left_out = known.left_out, 0
        return left_out
