"""Formats exceptions for the log: bounded in size and rate, without values of variables.

A traceback names only files, lines and functions. An exception's message may quote its input, so
credentials and phone numbers are redacted from every finished line.
"""

from __future__ import annotations

import re
import traceback
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final

FRAMES_MAX: Final = 16
"""Frames per exception: the innermost ones, where it was raised."""
ERRORS_MAX: Final = 4
"""Exceptions per text: the one caught, and those that led to it or are grouped in it."""
MESSAGE_CHARACTERS_MAX: Final = 500
TEXT_CHARACTERS_MAX: Final = 8_000

REPEATS_MAX: Final = 5
"""Lines per site and period; further ones are only counted."""
PERIOD_NS: Final = 60_000_000_000
SITES_MAX: Final = 256
"""Sites remembered; the least recently used is forgotten first."""

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
"""Also matches numbers without plus sign in exception messages, as a vendor may quote them."""


def redact(line: str) -> str:
    """Return a line with known forms of credentials and phone numbers redacted."""
    return _SENSITIVE.sub("…", line)


def describe(error: BaseException) -> str:
    """Return the traceback of an exception, and of those that led to it, nearest first."""
    parts = [_describe_one(each) for each in _related(error)]
    text = "\nBecause of:\n".join(parts)
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "…"


def origin(error: BaseException) -> tuple[str, str, int]:
    """Return the identity of a fault: its type, and the file and line that raised it."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    file = "" if last is None else last.tb_frame.f_code.co_filename
    return type(error).__qualname__, file, 0 if last is None else last.tb_lineno


def _describe_one(error: BaseException) -> str:
    # A negative limit keeps the last frames: those nearest to the fault.
    frames = traceback.extract_tb(error.__traceback__, limit=-FRAMES_MAX)
    message = "".join(traceback.format_exception_only(type(error), error)).rstrip()
    # Before it is cut, or a number could lose the digits by which it is recognised.
    message = _DIGITS.sub("…", message)
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = message[:MESSAGE_CHARACTERS_MAX] + "…"
    head = "Traceback (most recent call last):\n" if frames else ""
    return "".join([head, *traceback.format_list(frames), message])


def _related(error: BaseException) -> Iterator[BaseException]:
    """Walk from an exception to its causes and members, each once, a limited number."""
    waiting = [error]
    seen = {id(error)}
    for _ in range(ERRORS_MAX):
        if not waiting:
            return
        each = waiting.pop(0)
        yield each
        # As the interpreter does: `raise … from None` hides the context.
        cause = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        # A group of thousands is bounded before it is walked.
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
    """Decides which lines of a site are written: a few per period; the rest are counted."""

    def __init__(self) -> None:
        self._sites: OrderedDict[Hashable, _Site] = OrderedDict()

    def admit(self, site: Hashable, now_ns: int) -> int | None:
        """Return how many lines were omitted since the last written one.

        None: this one is omitted too.
        """
        known = self._sites.get(site) or _Site(now_ns)
        self._sites[site] = known
        # A site that faults all the time stays known among all others.
        self._sites.move_to_end(site)
        if len(self._sites) > SITES_MAX:
            self._sites.popitem(last=False)
        # `left_out` lives on, for the next line that is written.
        if now_ns - known.began_ns >= PERIOD_NS:
            known.began_ns = now_ns
            known.written = 0
        if known.written == REPEATS_MAX:
            known.left_out += 1
            return None
        known.written += 1
        left_out, known.left_out = known.left_out, 0
        return left_out
