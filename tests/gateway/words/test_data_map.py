"""Every kind of personal data has its words, in every language."""

import re

import pytest

from accounts.data_map import KINDS
from accounts.personal_data import Fate, Period, Purpose, Span, Viewer
from gateway.words.data_map import WORDS, Kept, list_in, period_in, row_in, words_in
from gateway.words.languages import DEFAULT_LANGUAGE

EXPECTED = {
    *(f"{table}.{kind.name}" for kind in KINDS for table in ("kind", "what")),
    *(f"readme.not_{kind.name}" for kind in KINDS if not kind.is_exported),
    *(f"purpose.{each}" for each in Purpose),
    *(f"viewer.{each}" for each in (*Viewer, "nobody")),
    *(f"period.{each}" for each in (*Span, "minutes_one", "months_one", "years_one")),
    *(f"fate.{each}" for each in Fate),
    *(
        f"field.{name}"
        for kind in KINDS
        if kind.is_exported
        for columns in kind.sql
        for name in columns.exported
    ),
    *("field.began_at", "field.seen_at", "value.yes", "value.no"),
}


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_word_is_there_and_means_something(language):
    words = WORDS[language]
    others = {key for key in words if key.startswith("readme.") and "not_" not in key}
    assert words.keys() - others == EXPECTED
    for key, text in words.items():
        named = set(re.findall(r"\{(\w+)\}", text))
        assert named == set(re.findall(r"\{(\w+)\}", WORDS[DEFAULT_LANGUAGE][key])), key


def test_an_unknown_language_is_read_in_the_default_one():
    assert words_in("tlh") is WORDS[DEFAULT_LANGUAGE]
    assert words_in("de")["kind.calls"] == "Anrufe"


def test_periods_and_lists_in_words():
    words = words_in("en")
    of_calls = Period(Span.MONTHS, "", 12, "CALLER_CALLS_KEPT_MONTHS")
    assert period_in(words, of_calls, Kept()) == "12 months"
    assert period_in(words, of_calls, Kept(1)) == "1 month"
    assert period_in(words, Period(Span.MONTHS, "", 12), Kept(1)) == "12 months"
    assert period_in(words, Period(Span.ACCOUNT, ""), Kept()) == "as long as the account exists"
    of_books = Period(Span.YEARS, "", 10, "CALLER_BOOKS_KEPT_YEARS")
    assert period_in(words, of_books, Kept(books_years=1)) == "1 year, from the end of that year on"
    assert "7 years" in period_in(words, of_books, Kept(books_years=7))
    assert list_in(words, "viewer", (Viewer.PERSON, Viewer.CARRIER)) == "you, Twilio"
    assert list_in(words, "viewer", ()) == ""


def test_a_row_says_who_sees_it_even_if_nobody_does():
    by_name = {kind.name: kind for kind in KINDS}
    assert row_in(words_in("en"), by_name["limits"], Kept())[4] == "nobody"
    title, _, purposes, period, viewers, fate = row_in(words_in("en"), by_name["calls"], Kept(6))
    assert (title, period, fate) == ("Calls", "6 months", "deleted with the account")
    assert "Twilio" in viewers
    assert "to prevent fraud" in purposes
