"""Parses e-mail addresses: which are accepted, and when two name the same mailbox.

Syntax only, no DNS or mail server: a link sent to the address proves whose it is.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from accounts.errors import AddressError

LENGTH_MAX: Final = 254
"""In bytes of UTF-8: a path of 256 less its angle brackets (RFC 5321, 4.5.3.1.3)."""
LOCAL_LENGTH_MAX: Final = 64
"""Of the part before the @, in bytes of UTF-8 (RFC 5321, 4.5.3.1.1)."""

# Characters that Default_Ignorable_Code_Point (UAX 44) counts as letters or marks: they are
# invisible, so two addresses that look the same would be two accounts. The library refuses the
# others.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ENCODED_WORD: Final = "=?"
_LETTERS: Final = frozenset({"Lu", "Ll", "Lt", "Lo"})
_WORD_ENDS: Final = re.compile(r"[!-/:-@\[-`{-~]")
"""ASCII punctuation; in a domain, only dots and hyphens are left by then."""
_WRITTEN_TOGETHER: Final = (
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "HANGUL"}),
)
"""Scripts of one language, each with Latin: "highly restrictive" in UTS 39, 5.2."""


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address that mail can be sent to."""

    text: str = field(repr=False)
    """As the person wrote it, apart from Unicode normalisation and the case of the domain."""
    key: str = field(repr=False)
    """The same for all spellings of one mailbox. Never send to it: a mail goes to the text that was
    stored when the key was taken, not to another text with the same key."""


def parse_address(text: str) -> EmailAddress:
    """Parse what was typed as an address. Raises AddressError.

    Besides malformed addresses (RFC 5321), it refuses: local parts beyond ASCII, which need mail
    servers that speak SMTPUTF8 (RFC 6531) all the way, or that look like an encoded word (RFC
    2047), which no header field can hold as they are; quoted local parts; domain literals;
    special-use domains (RFC 6761: `.test`, `.local`, `.invalid`, `localhost`, `.onion`); invisible
    characters; and words that mix scripts. `example.com` and its like are accepted, as RFC 6761
    (6.5) intends, so that tests and a demo have addresses that belong to no one.
    """
    # Checked first, because everything below takes time proportional to the length.
    if len(text) > 2 * LENGTH_MAX:
        raise AddressError("address_too_long")
    # Compatibility forms become plain characters: a full-width @ or full-width letters, as typed on
    # a Japanese keyboard, become the ones mail servers know.
    typed = unicodedata.normalize("NFKC", text).strip()
    if _is_too_long(typed):
        raise AddressError("address_too_long")
    if _INVISIBLE.search(typed) or _ENCODED_WORD in typed:
        raise AddressError("address_invalid")
    address = _read(typed)
    if any(_mixes_scripts(word) for word in _words(address)):
        raise AddressError("address_confusable")
    if not address.local_part.isascii():
        raise AddressError("address_invalid")
    # A mail server may treat the case of a local part as significant (RFC 5321, 2.4), but no two
    # people's mailboxes differ only by it, and most people do not expect it to matter.
    key = f"{address.local_part.lower()}@{address.ascii_domain}"
    # Punycode makes some domains longer.
    if _is_too_long(address.normalized) or len(key.encode()) > LENGTH_MAX:
        raise AddressError("address_too_long")
    return EmailAddress(address.normalized, key)


def _read(typed: str) -> ValidatedEmail:
    try:
        return validate_email(
            typed,
            check_deliverability=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            allow_smtputf8=True,
            globally_deliverable=True,
            test_environment=False,
        )
    except (EmailNotValidError, UnicodeError):
        pass
    # Raised outside the except block, so that it carries no exception whose text quotes the
    # address.
    raise AddressError("address_invalid")


def _is_too_long(address: str) -> bool:
    size = len(address.encode(errors="surrogatepass"))
    local = address.rpartition("@")[0].encode(errors="surrogatepass")
    return size > LENGTH_MAX or len(local) > LOCAL_LENGTH_MAX


def _words(address: ValidatedEmail) -> list[str]:
    return list(chain(_WORD_ENDS.split(address.local_part), _WORD_ENDS.split(address.domain)))


def _mixes_scripts(word: str) -> bool:
    """Return whether a word has letters of scripts that no language writes together.

    The script is the first word of a letter's Unicode name, which holds for all scripts in use.
    """
    scripts = {
        unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
        for letter in word
        if unicodedata.category(letter) in _LETTERS
    }
    return len(scripts) > 1 and not any(scripts <= allowed for allowed in _WRITTEN_TOGETHER)
