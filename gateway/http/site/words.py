"""Reads the words of the pages, language by language, and what a browser prefers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.words.languages import DEFAULT_LANGUAGE, LANGUAGES, primary_of, read_part, read_words

_PREFERENCES_MAX: Final = 10
_HEADER_CHARS_MAX: Final = 256


WORDS: Final = read_words("site")


def best_language(accepted: str) -> str:
    """Return our language that a browser prefers, according to its `Accept-Language`.

    Uses the order, which matches the weights in what browsers send.
    """
    for part in accepted[:_HEADER_CHARS_MAX].split(",")[:_PREFERENCES_MAX]:
        primary = primary_of(part.partition(";")[0].strip())
        if primary in WORDS:
            return primary
    return DEFAULT_LANGUAGE


_HOMES: Final[Mapping[str, str]] = {
    language: read_part(language, "language")["home"] for language in LANGUAGES
}
"""The most likely country of someone who names none beside their language."""


def best_country(accepted: str) -> str:
    """Return the country (ISO 3166 alpha-2) that a browser's `Accept-Language` names first.

    Without one, a country of its preferred language: a first guess, which a person can correct.
    """
    for part in accepted[:_HEADER_CHARS_MAX].split(",")[:_PREFERENCES_MAX]:
        for subtag in part.partition(";")[0].strip().split("-")[1:]:
            if len(subtag) == 2 and subtag.isascii() and subtag.isalpha():
                return subtag.upper()
    return _HOMES.get(best_language(accepted), "")
