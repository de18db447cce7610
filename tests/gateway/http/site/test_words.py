"""The words of pages: which language a browser gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.site.words import WORDS, best_language


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("en-GB,en;q=0.9", "en"),
        ("EN", "en"),
        ("tlh, en", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("es-419", "es"),
        ("", "en"),
        ("*", "en"),
        (",".join(["tlh"] * 50) + ",en", "en"),
    ],
)
def test_a_browser_gets_what_it_likes_best_of_ours(accepted, language):
    assert best_language(accepted) == language


@given(st.text(max_size=300))
def test_every_header_gets_a_language(accepted):
    assert best_language(accepted) in WORDS
