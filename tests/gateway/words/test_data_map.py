"""Every kind of personal data has its words, in every language."""

import re

import pytest

from accounts.personal_data import DataPurpose, DataViewer, Fate, KeptFor, KeptSpan
from gateway.data_map import KINDS
from gateway.words.data_map import (
    BESIDE,
    WORDS,
    Kept,
    after_in,
    left_in,
    list_in,
    period_in,
    row_in,
    words_in,
)
from gateway.words.languages import DEFAULT_LANGUAGE

EXPECTED = {
    *(f"{table}.{kind.name}" for kind in KINDS for table in ("kind", "what")),
    *(f"readme.not_{kind.name}" for kind in KINDS if not kind.is_exported),
    *(f"purpose.{each}" for each in DataPurpose),
    *(f"viewer.{each}" for each in (*DataViewer, "nobody")),
    *(f"period.{each}" for each in (*KeptSpan, "minutes_one", "months_one", "years_one")),
    "fate.deleted",
    "left.for",
    *(
        f"left.{kind.name}"
        for kind in KINDS
        # What expires by itself is then what it always is, but for the last mail.
        if kind.stays and (kind.erasure.fate is not Fate.EXPIRES or kind.name == "mails")
    ),
    *(f"{table}.{name}" for name in BESIDE for table in ("left", "left_title")),
    *(
        f"field.{name}"
        for kind in KINDS
        if kind.is_exported
        for columns in kind.sql
        for name in columns.exported
    ),
    "field.began_at",
    "field.seen_at",
    "value.yes",
    "value.no",
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
    of_calls = KeptFor(KeptSpan.MONTHS, "", 12, "CALLER_CALLS_KEPT_MONTHS")
    assert period_in(words, of_calls, Kept()) == "12 months"
    assert period_in(words, of_calls, Kept(1)) == "1 month"
    assert period_in(words, KeptFor(KeptSpan.MONTHS, "", 12), Kept(1)) == "12 months"
    assert (
        period_in(words, KeptFor(KeptSpan.ACCOUNT, ""), Kept()) == "as long as the account exists"
    )
    of_books = KeptFor(KeptSpan.YEARS, "", 10, "CALLER_BOOKS_KEPT_YEARS")
    assert period_in(words, of_books, Kept(books_years=1)) == "1 year from the end of that year"
    assert "7 years" in period_in(words, of_books, Kept(books_years=7))
    assert list_in(words, "viewer", (DataViewer.PERSON, DataViewer.CARRIER)) == "you, Twilio"
    assert list_in(words, "viewer", ()) == ""


def test_a_row_says_who_sees_it_even_if_nobody_does():
    by_name = {kind.name: kind for kind in KINDS}
    assert row_in(words_in("en"), by_name["limits"], Kept())[4] == "no one"
    title, _, purposes, period, viewers, fate = row_in(words_in("en"), by_name["calls"], Kept(6))
    assert (title, period, fate) == ("Calls", "6 months", "deleted with the account")
    assert "Twilio" in viewers
    assert "to prevent fraud" in purposes


@pytest.mark.parametrize("language", sorted(WORDS))
def test_what_stays_is_what_the_map_says_for_as_long_as_it_says(language):
    words, kept = words_in(language), Kept(6, 7)
    staying = [kind for kind in KINDS if kind.erasure.fate is not Fate.DELETED]
    left = left_in(words, kept)
    assert [each.title for each in left[: len(staying)]] == [
        words[f"kind.{kind.name}"] for kind in staying
    ]
    assert [each.title for each in left[len(staying) :]] == [
        words[f"left_title.{name}"] for name in BESIDE
    ]
    for kind, each in zip(staying, left, strict=False):
        period = kind.erasure.period or kind.period
        assert each.text.endswith(f"; {period_in(words, period, kept)}")
        assert each.text == after_in(words, kind, kept)
    for kind in set(KINDS) - set(staying):
        assert after_in(words, kind, kept) == words["fate.deleted"]
    # Whoever keeps something by their own duties is named.
    vendors = {each.partition(":")[0] for kind in KINDS for each in kind.services}
    assert all(vendor in words["left_title.services"] for vendor in vendors)


def test_how_long_what_stays_is_kept():
    by_title = {each.title: each.text for each in left_in(words_in("en"), Kept(books_years=7))}
    assert by_title["Account"].endswith("; for good")
    assert by_title["Activity"].endswith("; 12 months")
    assert by_title["Your requests"].endswith("; 7 years from the end of that year")
    assert by_title["Proof of your agreement"].endswith("; 48 months")
    assert by_title["Mails to you"].endswith("; 3 days")
    assert "usually 7 years" in by_title["Charges and credit"]
