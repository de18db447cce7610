"""Names countries in the languages of the pages."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

from gateway.words.languages import DEFAULT_LANGUAGE, LANGUAGES, read_part

NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    language: read_part(language, "countries") for language in LANGUAGES
}
"""Language (BCP 47) -> ISO 3166-1 alpha-2 code -> name."""


def country_name(code: str, language: str) -> str:
    """Return the name of a country; its code if it has no name, empty for no country."""
    return NAMES[language].get(code, code)


def names_of(code: str) -> Mapping[str, str]:
    """Return language (BCP 47) -> name of a country; empty for no country."""
    return {language: country_name(code, language) for language in NAMES} if code else {}


def sort_key(code: str, language: str) -> str:
    """Return the sort key of a country: its name, without diacritics."""
    letters = unicodedata.normalize("NFD", country_name(code, language))
    return "".join(each for each in letters if not unicodedata.combining(each)).casefold()


def in_words(description: str, code: str, language: str) -> str:
    """Return a rate deck's description of numbers, with the country's name translated."""
    is_whole = description == NAMES[DEFAULT_LANGUAGE].get(code)
    return country_name(code, language) if is_whole else description
