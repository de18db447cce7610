"""Names of countries: each in every language, and a code where there is none."""

import phonenumbers
import pytest

from gateway.http.site.countries import NAMES, country_name, in_words, sort_key
from gateway.http.site.words import WORDS


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_country_that_has_numbers_has_a_name(language):
    assert set(phonenumbers.SUPPORTED_REGIONS) <= NAMES[language].keys()
    assert country_name("ZZ", language) == "ZZ"
    assert country_name("", language) == ""


def test_names_are_of_their_language():
    names = [country_name("DE", language) for language in ("en", "de", "es", "fr")]
    assert names == ["Germany", "Deutschland", "Alemania", "Allemagne"]


def test_a_whole_country_is_named_in_the_readers_language():
    assert in_words("Germany", "DE", "es") == "Alemania"
    assert in_words("Germany, mobile", "DE", "es") == "Germany, mobile"
    assert in_words("Somewhere", "", "de") == "Somewhere"


def test_what_stands_above_a_letter_sorts_nobody_last():
    assert sorted(["ES", "AT", "PL"], key=lambda code: sort_key(code, "de")) == ["AT", "PL", "ES"]


@pytest.mark.parametrize(
    ("language", "codes"),
    [
        ("de", ["EG", "AL", "GQ", "AU"]),
        ("es", ["AO", "AQ", "AR", "AU"]),
        ("fr", ["EG", "AE", "EC", "ER"]),
    ],
)
def test_a_letter_with_a_mark_sorts_as_the_letter_alone(language, codes):
    assert sorted(codes, key=lambda code: sort_key(code, language)) == codes
