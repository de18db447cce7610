"""Judges passwords that people choose: their length, and how easily they are guessed.

Takes up to 70 ms, and as long again the first time to load its dictionaries: never run it in a
process that carries audio.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from accounts.errors import PasswordError

LENGTH_MIN: Final = 8
"""In characters. NIST SP 800-63B-4 requires 8, or 15 if there is no second factor; guessability is
measured instead, which refuses many passwords of 15 and more."""
LENGTH_MAX: Final = 128
"""At least 64 must be allowed (NIST SP 800-63B-4); OWASP ASVS 5.0 (6.2.9) says the same."""
TYPED_MAX: Final = 4 * LENGTH_MAX
"""Beyond this nothing is normalised: more than any spelling of a password of 128 characters."""
GUESSES_MIN: Final = 10**8
"""zxcvbn's estimate for a random password of 8 characters, so that one is strong enough; its score
3, "safely unguessable", begins just above. Score 2 (10^6) resists someone who may guess a few times
an hour, but a thief of the hashes makes that many guesses in half a day on one core."""

# The estimator's time grows with the square of the length, and with each symbol that may stand for
# several letters (`1` for i or l): 72 characters crafted for it take seconds. A password is at
# least as hard to guess as its beginning.
_ESTIMATED_MAX = 32
_CHOICES_MAX = 64
"""At least 8 characters remain: no 8 characters have more choices (`({[1!|7+` has 54)."""

_NAME_MIN: Final = 4
_BESIDE_NAME_MAX: Final = 2
"""Letters that a password may have besides a name and still be nothing but the name."""
_LEET: Final = str.maketrans("0345678$@+(", "oeasgtbsatc")
"""Symbols and digits that people write for letters."""
_ENDS: Final = (r"^[\W\d_]+", r"[\W\d_]+$", r"^[\W\d_]+|[\W\d_]+$")

CONTEXT_TEXT_MAX: Final = 254
"""How much is read of an address, or of another text that a password must not be."""
_CONTEXT_WORDS_MAX = 64
_CONTEXT_WORD_MIN = 3


def normalise(password: str) -> str:
    """Return the form in which a password is judged and hashed: NFC (RFC 8265, 4.2.2).

    Two keyboards may send two forms of one text. Case, spaces and full-width letters are kept.
    """
    return unicodedata.normalize("NFC", password)


def check_password(password: str, context: Iterable[str] = ()) -> None:
    """Raise PasswordError if a password must not be chosen.

    `context` has what an attacker tries first for this person: their address, the service's name.
    There are no composition rules (NIST SP 800-63B-4). Each code point counts as a character.
    """
    if len(password) > TYPED_MAX:
        raise PasswordError("password_long")
    normal = normalise(password)
    if len(normal) < LENGTH_MIN:
        raise PasswordError("password_short")
    if len(normal) > LENGTH_MAX:
        raise PasswordError("password_long")
    words = context_words(*context)
    if _is_name(normal, words) or _guesses(normal, words) < GUESSES_MIN:
        raise PasswordError("password_guessable")


def _is_name(password: str, words: Iterable[str]) -> bool:
    """Return whether a password is one of the words, however it is written.

    It stays the same word with another case, with spaces, marks and digits around it, with accents
    or symbols for letters, repeated, or written backwards.
    """
    names = {name for word in words for name in _spelled(word) if len(name) >= _NAME_MIN}
    spelled = _spelled(password)
    return any(
        _consists_of(letters, name) or _consists_of(letters, name[::-1])
        for letters in spelled
        for name in names
    )


def _consists_of(letters: str, name: str) -> bool:
    beside = letters.replace(name, "")
    return beside != letters and len(beside) <= _BESIDE_NAME_MAX


def _spelled(text: str) -> set[str]:
    """Return the letters that a text may be read as, without accents and marks.

    A digit at an end may be a digit or stand for a letter, and `1` may stand for two letters.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    cores = {plain, *(re.sub(ends, "", plain) for ends in _ENDS)}
    tables = [_LEET | dict.fromkeys(map(ord, "1!|"), each) for each in "il"]
    return {
        "".join(filter(str.isalpha, core.translate(table))) for core in cores for table in tables
    }


def context_words(*context: str) -> tuple[str, ...]:
    """Return texts and their parts, the whole ones first, truncated as the password is.

    Otherwise an address longer than that would not be recognised as a password. Splitting the
    result again gives the same words.
    """
    texts = [text[:CONTEXT_TEXT_MAX].lower() for text in context]
    local_parts = [text.partition("@")[0] for text in texts]
    parts = [part for text in texts for part in re.split(r"[\W_]+", text)]
    words = dict.fromkeys(word[:_ESTIMATED_MAX] for word in (*texts, *local_parts, *parts))
    return tuple(word for word in words if len(word) >= _CONTEXT_WORD_MIN)[:_CONTEXT_WORDS_MAX]


def _guesses(password: str, words: Sequence[str]) -> int:
    """Return how many guesses an attacker with dictionaries needs for a password's beginning."""
    # Imported only when a password is chosen: its dictionaries take time and memory.
    from zxcvbn import matching, scoring  # noqa: PLC0415

    beginning = password[:_ESTIMATED_MAX]
    while _choices(beginning, matching.L33T_TABLE) > _CHOICES_MAX:
        beginning = beginning[:-1]
    # Not `zxcvbn()`: it stores one person's words in global state that other threads see.
    dictionaries = {
        **matching.RANKED_DICTIONARIES,
        "user_inputs": matching.build_ranked_dict(words),
    }
    matches = matching.omnimatch(beginning, dictionaries)
    return int(scoring.most_guessable_match_sequence(beginning, matches)["guesses"])


def _choices(password: str, symbols_of: dict[str, list[str]]) -> int:
    """Return how many ways there are to read the symbols in a password as letters."""
    present = set(password)
    return math.prod(max(1, len(present.intersection(symbols))) for symbols in symbols_of.values())
