"""Says what a call speaks that proves whose a number is, and what is kept of its code meanwhile.

Knows no carrier and no store.
"""

from __future__ import annotations

import hmac
from typing import Final

from gateway.embed.ports import CODE_DIGITS

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
"""Language -> its BCP 47 tag with a country, which voices have, and what is said."""
_DEFAULT: Final = "en"
SERVICE_CHARS_MAX: Final = 60


def code_of(number: int) -> str:
    """Return the code that a random number below 10^`CODE_DIGITS` is."""
    return f"{number:0{CODE_DIGITS}}"


def tidied_code(text: str) -> str:
    """Return a code as it was spoken, of one as it is typed; people put blanks into it."""
    return "".join(text.split()).replace("-", "")


def spoken(code: str, language: str, service: str) -> tuple[str, str]:
    """Return the language of the voice, and the text: the code twice, digit by digit."""
    tag, text = _SPOKEN.get(language.partition("-")[0].lower(), _SPOKEN[_DEFAULT])
    # With a stop behind each digit, voices say them one by one.
    digits = " ".join(f"{digit}." for digit in code)
    return tag, text.format(service=service[:SERVICE_CHARS_MAX], code=digits)


def digest_of(secret: str, *named: str) -> str:
    """Return a keyed digest: of a number's place in the store, and of its code.

    Numbers and codes are few enough to be tried out by whoever reads the store, who has no secret.
    """
    return hmac.digest(secret.encode(), "\0".join(named).encode(), "sha256").hex()
