"""Defines what a call says to prove who owns a number, and the digests of its code."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from gateway.buttons.ports import CODE_DIGITS
from gateway.words.languages import LANGUAGES, known, read_part, read_words

_WORDS: Final = read_words("spoken")
_VOICES: Final[Mapping[str, str]] = {
    language: read_part(language, "language")["voice"] for language in LANGUAGES
}
"""Language -> its BCP 47 tag with a country, as voices have one."""
SERVICE_CHARS_MAX: Final = 60


def code_of(number: int) -> str:
    """Return a random number below 10^`CODE_DIGITS` as a code."""
    return f"{number:0{CODE_DIGITS}}"


def tidied_code(text: str) -> str:
    """Return a typed code as it was spoken; people type blanks into it."""
    return "".join(text.split()).replace("-", "")


def spoken(code: str, language: str, service: str) -> tuple[str, str]:
    """Return the voice's language, and the text: the code twice, digit by digit."""
    ours = known(language)
    # With a full stop after each digit, voices say them one by one.
    digits = " ".join(f"{digit}." for digit in code)
    text = _WORDS[ours]["proof.code"].format(service=service[:SERVICE_CHARS_MAX], code=digits)
    return _VOICES[ours], text


def digest_of(secret: str, *named: str) -> str:
    """Return a keyed digest: of a number's place in the store, and of its code.

    There are so few numbers and codes that a reader of the store could try them all, but for the
    secret key.
    """
    return hmac.digest(secret.encode(), "\0".join(named).encode(), "sha256").hex()
