"""The words of pages: which language a browser gets, and which country is its first guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.site.words import WORDS, best_country, best_language


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("en-GB,en;q=0.9", "en"),
        ("EN", "en"),
        ("tlh, en", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("es-419", "es"),
        ("fr-CA, en", "fr"),
        ("", "en"),
        ("*", "en"),
        (",".join(["tlh"] * 50) + ",en", "en"),
    ],
)
def test_a_browser_gets_what_it_likes_best_of_ours(accepted, language):
    assert best_language(accepted) == language


@pytest.mark.parametrize(
    ("accepted", "country"),
    [
        ("de-AT,de;q=0.9,en-GB;q=0.8", "AT"),
        ("zh-Hant-tw;q=0.9", "TW"),
        ("de,en-GB;q=0.8", "GB"),
        # A region by its number (UN M.49), and what only looks like two letters, are no country.
        ("es-419,es;q=0.9", "ES"),
        ("fr,en-GB;q=0.8", "GB"),
        ("fr,en", "FR"),
        ("en-\u0130\u0130", "US"),
        ("en-4x", "US"),
        ("tlh", "US"),
        ("", "US"),
        (",".join(["de"] * 50) + ",de-CH", "DE"),
        ("de" + " " * 300 + ",de-CH", "DE"),
    ],
)
def test_the_first_country_that_a_browser_names_is_guessed(accepted, country):
    assert best_country(accepted) == country


@given(st.text(max_size=300))
def test_every_header_gets_a_language(accepted):
    assert best_language(accepted) in WORDS
