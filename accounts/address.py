"""Reads e-mail addresses: which are accepted, and when two are one mailbox.

Knows no DNS and no mail server: whether an address is somebody's is proven by a link sent to it.
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

# Of Default_Ignorable_Code_Point (UAX 44) what counts as a letter or a mark: invisible, so that two
# addresses that look the same would be two accounts. The library refuses the others.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ENCODED_WORD: Final = "=?"
_LETTERS: Final = frozenset({"Lu", "Ll", "Lt", "Lo"})
_WORD_ENDS: Final = re.compile(r"[!-/:-@\[-`{-~]")
"""ASCII punctuation: of a domain only dots and hyphens are left when it is asked."""
_WRITTEN_TOGETHER: Final = (
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "HANGUL"}),
)
"""Scripts of one language, and Latin beside it: "highly restrictive" of UTS 39, 5.2."""


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address that mail can be sent to."""

    text: str = field(repr=False)
    """As the person wrote it, but for Unicode forms and the case of the domain."""
    key: str = field(repr=False)
    """The same for all spellings of one mailbox, and no address to send to: a mail goes to the text
    that was stored when the key was taken, never to one that only has the same key."""


def parse_address(text: str) -> EmailAddress:
    """Read what was typed as an address. Raises AddressError.

    Refused besides what is no address (RFC 5321): local parts beyond ASCII, which need mail servers
    that speak SMTPUTF8 (RFC 6531) all the way, or that look like an encoded word (RFC 2047), which
    no header field can hold as they are; quoted local parts, domain literals,
    special-use domains (RFC 6761: `.test`, `.local`, `.invalid`, `localhost`, `.onion`), invisible
    characters, and words that mix scripts. `example.com` and its like are accepted, as RFC 6761
    (6.5) wants it, so that tests and a demo have addresses that are nobody's.
    """
    # Measured before it is looked at: what follows takes time by its length.
    if len(text) > 2 * LENGTH_MAX:
        raise AddressError("address_too_long")
    # Compatible forms of a character are one character: an @ or letters of full width, as typed
    # with a Japanese keyboard, become those that mail servers know.
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
    # The case of a local part may matter to a mail server (RFC 5321, 2.4); no two people's
    # mailboxes differ by it, and to most people it does not matter.
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
    # Outside, so that it drags along no exception whose text quotes the address.
    raise AddressError("address_invalid")


def _is_too_long(address: str) -> bool:
    size = len(address.encode(errors="surrogatepass"))
    local = address.rpartition("@")[0].encode(errors="surrogatepass")
    return size > LENGTH_MAX or len(local) > LOCAL_LENGTH_MAX


def _words(address: ValidatedEmail) -> list[str]:
    return list(chain(_WORD_ENDS.split(address.local_part), _WORD_ENDS.split(address.domain)))


def _mixes_scripts(word: str) -> bool:
    """Return whether letters of one word are of scripts that no language writes together.

    The script is the first word of a letter's name, which is so for all scripts in use.
    """
    scripts = {
        unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
        for letter in word
        if unicodedata.category(letter) in _LETTERS
    }
    return len(scripts) > 1 and not any(scripts <= allowed for allowed in _WRITTEN_TOGETHER)
