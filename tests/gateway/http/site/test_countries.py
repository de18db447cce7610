"""Names of countries: each in every language, and a code where there is none."""

import phonenumbers
import pytest

from gateway.http.site.countries import NAMES, country_name
from gateway.http.site.words import WORDS

# Ascension, Tristan da Cunha and Kosovo have numbers, and no code of ISO 3166-1.
_UNNAMED = {"AC", "TA", "XK"}


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_country_that_has_numbers_has_a_name(language):
    assert set(phonenumbers.SUPPORTED_REGIONS) - NAMES[language].keys() == _UNNAMED
    assert country_name("XK", language) == "XK"
    assert country_name("", language) == ""


def test_names_are_of_their_language():
    names = [country_name("DE", language) for language in ("en", "de", "es")]
    assert names == ["Germany", "Deutschland", "Alemania"]
