"""What Twilio's codes mean: every one is explained to the operator, and told to the caller."""

import re

import pytest

from gateway.carriers.twilio import refusals
from gateway.carriers.twilio.refusals import (
    MEANINGS,
    CallerSentence,
    meaning_of,
    of_notes,
    of_stream,
    refusal,
    without_numbers,
)
from gateway.cause import Cause
from gateway.settings import KNOBS
from gateway.words.languages import LANGUAGES

NEW_ACCOUNTS = [10001, 10004, 10005, 20005, 21219, 573002, 573005, 70051]


def test_forty_codes_and_more_are_explained():
    assert len(MEANINGS) >= 40
    for code, each in MEANINGS.items():
        assert each.what.endswith("."), code
        assert each.do.endswith((".", ")")), code


@pytest.mark.parametrize("code", NEW_ACCOUNTS)
@pytest.mark.parametrize("status", [400, 401, 403, 429])
def test_what_a_new_account_meets_is_never_called_declined_or_a_matter_of_credentials(code, status):
    meaning = meaning_of(code, status)
    assert meaning.cause is not Cause.CALL_REJECTED
    assert "does not accept" not in meaning.what


def test_each_sentence_is_told_in_every_language():
    texts = [text for told in CallerSentence for text in told.words.values()]
    assert len(set(texts)) == len(texts) == len(LANGUAGES) * len(CallerSentence)
    for told in CallerSentence:
        assert tuple(told.words) == LANGUAGES
        # Whose account it is, and what is wrong with it, is the operator's business.
        assert not re.search(
            r"Twilio|\d|CALLER_|account|Konto|cuenta|compte", " ".join(told.words.values())
        )
    assert {each.told for each in MEANINGS.values()} == set(CallerSentence)


def test_the_settings_that_are_named_exist():
    named = {name for each in MEANINGS.values() for name in re.findall(r"CALLER_\w+", each.do)}
    assert len(named) > 5
    assert named <= KNOBS.keys()


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        (573001, 403, Cause.OUTGOING_CALL_BARRED),
        (0, 401, Cause.NETWORK_OUT_OF_ORDER),
        (99999, 403, Cause.NETWORK_OUT_OF_ORDER),
        (99999, 503, Cause.NETWORK_OUT_OF_ORDER),
        (99999, 400, Cause.CALL_REJECTED),
        (0, 0, Cause.CALL_REJECTED),
    ],
)
def test_a_code_that_is_not_listed_is_judged_by_what_is_known(code, status, cause):
    assert meaning_of(code, status).cause is cause
    assert refusal(code, "", status).told["de"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("The number +4915112345678 is not valid.", "The number … is not valid."),
        ("Call to (415) 555-0100 failed", "Call to … failed"),
        ("limit of 5 calls; see 10004", "limit of 5 calls; see 10004"),
        ("a\nb\0c", "a b c"),
        ("x" * 400, "x" * 299 + "…"),
        ("", ""),
    ],
)
def test_the_words_that_are_kept_name_no_number_of_a_person(said, kept):
    assert without_numbers(said) == kept


def test_the_table_has_a_row_for_each_code():
    rows = refusals.markdown().splitlines()[2:]
    assert len(rows) == len(MEANINGS)
    assert all(row.count("|") == 6 for row in rows)


def noted(code, text="Msg=why", level="0"):
    return (level, str(code), text)


@pytest.mark.parametrize(
    ("notes", "code", "text"),
    [
        ([noted(13224)], 13224, "why"),
        (
            [noted(13224, "ErrorCode=13224&LogLevel=ERROR&Msg=Dial%3A+no+%2B14155550123")],
            13224,
            None,
        ),
        # No form: the text as it is.
        ([noted(13224, "plain words")], 13224, "plain words"),
        ([noted(13224, None)], 13224, ""),
        # The newest comes first; what began it explains most.
        ([noted(31921), noted(11205)], 11205, "why"),
        # One that is known explains more than one that is not, whenever it came.
        ([noted(13227), noted(99999)], 13227, "why"),
        ([noted(99999), noted(88888)], 99999, "why"),
        ([noted("none")], 0, "why"),
        ([noted("9" * 400)], 0, "why"),
    ],
)
def test_a_call_that_failed_is_explained_by_what_twilio_has_noted(notes, code, text):
    said = of_notes(notes)
    assert said.code == code
    assert text is None or said.text == text
    assert "+14155550123" not in said.text
    assert tuple(said.told) == LANGUAGES


@pytest.mark.parametrize("notes", [[], [noted(15003, level="1")], [noted(13224, level="1")]])
def test_a_warning_explains_nothing(notes):
    assert of_notes(notes) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("31920", 31920),
        ("31920: handshake failed", 31920),
        ("Error 31910 - TLS", 31910),
        ("Stream - WebSocket - Handshake Error", 0),
        ("131920", 0),
        ("31999 then 31902", 31902),
        ("", 0),
    ],
)
def test_the_code_of_a_stream_error_is_found_in_its_words(text, code):
    said = of_stream(text)
    assert (said.code, said.text) == (code, text)
    assert said.told == CallerSentence.NO_SOUND.words
