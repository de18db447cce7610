"""Defines what a call says to prove who owns a number, and the digests of its code."""

from __future__ import annotations

import hmac
from typing import Final

from gateway.buttons.ports import (
    CODE_DIGITS,
)

_SPOKEN: Final = {
    "en": (
        "en-US",
        "Hello. This is {service}. Your code is: {code} Once more: {code} If you have not asked for"
        " a code, just hang up.",
    ),
    "de": (
        "de-DE",
        "Guten Tag. Hier ist {service}. Ihr Code lautet: {code} Noch einmal: {code} Wenn Sie keinen"
        " Code angefordert haben, legen Sie einfach auf.",
    ),
    "es": (
        "es-ES",
        "Buenos días. Le llama {service}. Su código es: {code} Otra vez: {code} Si no ha pedido"
        " ningún código, simplemente cuelgue.",
    ),
}
"""Language -> its BCP 47 tag with a country, as voices have one, and the spoken text."""
_DEFAULT: Final = "en"
SERVICE_CHARS_MAX: Final = 60


def code_of(number: int) -> str:
    """Return a random number below 10^`CODE_DIGITS` as a code."""
    return f"{number:0{CODE_DIGITS}}"


def tidied_code(text: str) -> str:
    """Return a typed code as it was spoken; people type blanks into it."""
    return "".join(text.split()).replace("-", "")


def spoken(code: str, language: str, service: str) -> tuple[str, str]:
    """Return the voice's language, and the text: the code twice, digit by digit."""
    tag, text = _SPOKEN.get(language.partition("-")[0].lower(), _SPOKEN[_DEFAULT])
    # With a full stop after each digit, voices say them one by one.
    digits = " ".join(f"{digit}." for digit in code)
    return tag, text.format(service=service[:SERVICE_CHARS_MAX], code=digits)


def digest_of(secret: str, *named: str) -> str:
    """Return a keyed digest: of a number's place in the store, and of its code.

    There are so few numbers and codes that a reader of the store could try them all, but for the
    secret key.
    """
    return hmac.digest(secret.encode(), "\0".join(named).encode(), "sha256").hex()
