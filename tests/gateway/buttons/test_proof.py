"""What a proof call says, and what is kept of its code."""

import pytest

from gateway.buttons.ports import CODE_DIGITS
from gateway.buttons.proof import SERVICE_CHARS_MAX, code_of, digest_of, spoken, tidied_code


@pytest.mark.parametrize(
    ("language", "tag", "word"),
    [
        ("en", "en-US", "Your code is"),
        ("de-AT", "de-DE", "Ihr Code"),
        ("ES", "es-ES", "Su código"),
        ("fr-CA", "fr-FR", "Votre code est"),
        ("tlh", "en-US", "Your code is"),
        ("", "en-US", "Your code is"),
    ],
)
def test_the_code_is_said_twice_digit_by_digit_in_ones_language(language, tag, word):
    said_in, text = spoken("012345", language, "Example {calls}")
    assert said_in == tag
    assert word in text
    assert text.count("0. 1. 2. 3. 4. 5.") == 2
    assert "Example {calls}" in text


def test_a_long_name_is_cut():
    assert len(spoken("000000", "en", "a" * 500)[1]) < 200 + SERVICE_CHARS_MAX


def test_codes_have_all_their_digits():
    assert code_of(7) == "000007"
    assert len(code_of(10**CODE_DIGITS - 1)) == CODE_DIGITS
    assert tidied_code(" 012 - 345\n") == "012345"


def test_a_digest_is_of_the_secret_and_of_each_part():
    digest = digest_of("s", "a", "b")
    assert len(digest) == 64
    assert digest not in {digest_of("t", "a", "b"), digest_of("s", "ab"), digest_of("s", "a", "c")}
