"""The velocity limits: how often an account, key, client address or number may be used.

One table of all limits, the rule for when a refused use may be repeated, and what is counted under
which name. Knows no store, clock or request.

A limit uses a sliding window of two counters (see `limits`, "sliding window counter"): the uses in
the current window, plus those in the previous one in proportion to what is left of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import NamedTuple

from gateway.errors import TooFastError
from gateway.limits.source import network_of, subject_of

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400

AMOUNT_MAX = 1_000_000
"""Highest amount that a limit can be set to."""

SHORT_CALL_S = 10
"""An answered call of at most this length is short. Traffic pumping is paid per answer or per
minute begun, so its calls are ended at once; a person's greeting takes longer."""

ALL = "all"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` uses within `window_s`, for each subject."""

    name: str
    amount: int
    window_s: int
    code: str
    """Error code of the refusal, a key of `PROBLEMS`."""
    reason: str
    """Why this default."""
    outweighed_by: str = ""
    """Name of the count of good outcomes that balances the bad ones. Such a limit is not consumed
    by uses: it counts outcomes afterwards, and refuses uses while more are bad than good."""


RANGE_DIGITS = 4
"""Last digits that the numbers of one range do not share: a block of 10,000 is the least that most
numbering plans allocate, and what is rented for revenue share."""

SHORT_CALLS, LONG_CALLS = "account_short_calls_hour", "account_long_calls_hour"
RANGE_SHORT_CALLS, RANGE_LONG_CALLS = "range_short_calls_hour", "range_long_calls_hour"

_TABLE = (
    Limit(
        "account_calls_minute",
        *(30, MINUTE_S, "calls_limited"),
        "the ten lines of an account (CALLER_ACCOUNT_CALLS_MAX), each used again after 20 s",
    ),
    Limit(
        "account_calls_hour",
        *(300, HOUR_S, "calls_limited"),
        "the same lines, with calls of two minutes",
    ),
    Limit(
        "key_calls_minute",
        *(20, MINUTE_S, "calls_limited"),
        "a key that has leaked leaves a third of its account's calls to the others",
    ),
    Limit("key_calls_hour", *(200, HOUR_S, "calls_limited"), "the same, by the hour"),
    Limit(
        "address_calls_minute",
        *(60, MINUTE_S, "calls_limited"),
        "an office behind one address has more than one account",
    ),
    Limit("address_calls_hour", *(600, HOUR_S, "calls_limited"), "the same, by the hour"),
    Limit(
        "number_calls_minute",
        *(6, MINUTE_S, "number_limited"),
        "a busy number dialled again every ten seconds; counted per account",
    ),
    Limit(
        "number_calls_hour",
        *(30, HOUR_S, "number_limited"),
        "one call every two minutes to one number, for an hour; counted per account",
    ),
    Limit(
        SHORT_CALLS,
        *(30, HOUR_S, "short_calls_limited"),
        "so many answered calls of at most 10 s, and more of them than of longer ones: surveys and "
        "reminders that reach voicemail stay below one in two",
        outweighed_by=LONG_CALLS,
    ),
    Limit(
        RANGE_SHORT_CALLS,
        *(10, HOUR_S, "range_limited"),
        "the same to one range of 10,000 numbers, counted per account: nobody calls ten neighbours "
        "who all hang up, but whoever is paid by the call does",
        outweighed_by=RANGE_LONG_CALLS,
    ),
    Limit(
        "account_tokens_minute",
        *(120, MINUTE_S, "rate_limited"),
        "call and check tokens: four for each call that may start",
    ),
    Limit("key_tokens_minute", *(80, MINUTE_S, "rate_limited"), "the same, of a key"),
    Limit("address_tokens_minute", *(240, MINUTE_S, "rate_limited"), "the same, of an address"),
    Limit(
        "account_quotes_minute",
        *(240, MINUTE_S, "rate_limited"),
        "the phone page asks while a number is typed",
    ),
    Limit("key_quotes_minute", *(160, MINUTE_S, "rate_limited"), "the same, of a key"),
    Limit("address_quotes_minute", *(480, MINUTE_S, "rate_limited"), "the same, of an address"),
    Limit(
        "account_checkouts_hour",
        *(10, HOUR_S, "rate_limited"),
        "cards are tested by many small payments; a person pays once, and errs a few times",
    ),
    Limit(
        "address_checkouts_hour",
        *(20, HOUR_S, "rate_limited"),
        "the same, over the accounts of an address",
    ),
    Limit(
        "address_wrong_keys_minute",
        *(20, MINUTE_S, "rate_limited"),
        "keys cannot be guessed (144 bits); each wrong one costs the database a look",
    ),
    Limit(
        "account_sign_ins_hour",
        *(20, HOUR_S, "rate_limited"),
        "guesses at one password; a browser that has been signed in before is counted by itself, "
        "so that strangers lock nobody out",
    ),
    Limit(
        "device_step_ups_hour",
        *(20, HOUR_S, "rate_limited"),
        "passwords that are asked for once more: wrong ones lock nobody out of the sign-in",
    ),
    Limit(
        "address_sign_ins_hour",
        *(60, HOUR_S, "rate_limited"),
        "an office behind one address, and one password tried on many accounts",
    ),
    Limit(
        "network_sign_ins_hour",
        *(200, HOUR_S, "rate_limited"),
        "the same from a rented network (/24, /48)",
    ),
    Limit(
        "all_sign_ins_minute",
        *(600, MINUTE_S, "rate_limited"),
        "stolen passwords tried from everywhere: a third of what two threads can hash; browsers "
        "that have been signed in before are not counted",
    ),
    Limit(
        "address_sign_ups_hour",
        *(10, HOUR_S, "rate_limited"),
        "a family behind one address, with forms that came back for a weak password",
    ),
    Limit("network_sign_ups_hour", *(50, HOUR_S, "rate_limited"), "the same, of its /24 or /48"),
    Limit(
        "account_resets_hour",
        *(5, HOUR_S, "rate_limited"),
        "mails that arrive late are asked for again; a mailbox is not to be filled",
    ),
    Limit("address_resets_hour", *(20, HOUR_S, "rate_limited"), "the same, over all mailboxes"),
    Limit(
        "account_proof_mails_hour",
        *(5, HOUR_S, "rate_limited"),
        "mails that ask whether a mailbox is somebody's; anybody can have them sent",
    ),
    Limit(
        "account_codes_hour",
        *(20, HOUR_S, "rate_limited"),
        "codes of the second factor after a right password; a browser that has been signed in "
        "before is counted by itself",
    ),
    Limit(
        "account_codes_day",
        *(60, DAY_S, "rate_limited"),
        "the same by the day: three codes of a million are right, so that a year of guesses finds "
        "one in fifteen; NIST SP 800-63B-4 (3.2.2) allows 100 in a row",
    ),
    Limit(
        "address_codes_hour",
        *(60, HOUR_S, "rate_limited"),
        "the same, over the accounts of an address",
    ),
    Limit(
        "address_passkey_challenges_minute",
        *(60, MINUTE_S, "rate_limited"),
        "a challenge each time that the page of the sign-in is opened, in an office behind one "
        "address; each is kept for five minutes",
    ),
    Limit(
        "all_passkey_challenges_minute",
        *(6_000, MINUTE_S, "rate_limited"),
        "the same from everywhere: so 30,000 are kept at most, some megabytes",
    ),
    Limit(
        "address_wrong_links_minute",
        *(20, MINUTE_S, "rate_limited"),
        "links of mails cannot be guessed (256 bits); each wrong one costs the database a look",
    ),
    Limit(
        "address_wrong_sessions_minute",
        *(120, MINUTE_S, "rate_limited"),
        "sessions cannot be guessed either; an office whose sessions have all ended comes with one "
        "for each browser",
    ),
    Limit(
        "account_epochs_hour",
        *(20, HOUR_S, "rate_limited"),
        "other credentials, and sign-outs of all browsers: after each all nodes ask the database "
        "anew",
    ),
)

LIMITS: Mapping[str, Limit] = {limit.name: limit for limit in _TABLE}
"""All limits with their defaults, by name."""


class Override(NamedTuple):
    """What the operator sets instead of a default."""

    name: str
    """Of a limit, or ALL."""
    amount: int | None
    """None switches the limit off."""


def parse_override(text: str) -> Override:
    """Read `name=amount` or `name=off`. Raises ValueError that says what is valid."""
    name, _, value = (part.strip() for part in text.partition("="))
    if name not in LIMITS and (name, value) != (ALL, OFF):
        raise ValueError("names no velocity limit; docs/configuration.md lists them")
    # `all=off` is the only thing that may be set for all: one amount would fit no two of them.
    if value == OFF:
        return Override(name, None)
    # `isdigit` takes other scripts' digits too, and `int` no number of thousands of digits.
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(AMOUNT_MAX))
    if not is_number or not 0 < int(value) <= AMOUNT_MAX:
        raise ValueError(f"must be name=1 to {AMOUNT_MAX}, or name={OFF}")
    return Override(name, int(value))


def effective(overrides: Iterable[Override]) -> Mapping[str, Limit]:
    """Return the limits in force; the last override of a name counts."""
    limits = dict(LIMITS)
    for name, amount in overrides:
        if name == ALL:
            limits.clear()
        elif amount is None:
            limits.pop(name, None)
        else:
            limits[name] = replace(LIMITS[name], amount=amount)
    return limits


class Use(NamedTuple):
    """One use of one limit by one subject, such as a call by an account."""

    limit: str
    subject: str


class Refusal(NamedTuple):
    """Why a use is refused, and when it may be repeated."""

    limit: Limit
    wait_s: int


def call_uses(account_id: str, key_id: str, address: str, number: str) -> Sequence[Use]:
    """Return the uses of starting a call."""
    return (
        *_of_each("calls_minute", account_id, key_id, address),
        *_of_each("calls_hour", account_id, key_id, address),
        # By account, or one account could close a number to all the others.
        Use("number_calls_minute", f"{account_id} {number}"),
        Use("number_calls_hour", f"{account_id} {number}"),
        Use(SHORT_CALLS, account_id),
        Use(RANGE_SHORT_CALLS, _range_of(account_id, number)),
    )


def token_uses(account_id: str, key_id: str, address: str) -> Sequence[Use]:
    """Return the uses of issuing a call or check token."""
    return _of_each("tokens_minute", account_id, key_id, address)


def quote_uses(account_id: str, key_id: str, address: str) -> Sequence[Use]:
    """Return the uses of a quote."""
    return _of_each("quotes_minute", account_id, key_id, address)


def rate_uses(address: str) -> Sequence[Use]:
    """Return the uses of asking for a rate without an account."""
    return (Use("address_quotes_minute", subject_of(address)),)


def checkout_uses(account_id: str, address: str) -> Sequence[Use]:
    """Return the uses of starting a payment."""
    return (
        Use("account_checkouts_hour", account_id),
        Use("address_checkouts_hour", subject_of(address)),
    )


def wrong_key_uses(address: str) -> Sequence[Use]:
    """Return what a wrong key uses."""
    return (Use("address_wrong_keys_minute", subject_of(address)),)


def sign_in_uses(email_key: str, device_id: str, address: str) -> Sequence[Use]:
    """Return what an attempt to sign in uses of the account, which need not exist, and its place.

    `device_id` is empty for a device that has not been signed in before. One that has been has an
    allowance of its own, and no other: neither strangers to the account nor those who share its
    network lock it out.
    """
    if device_id:
        return (Use("account_sign_ins_hour", f"{email_key} {device_id}"),)
    return (
        Use("account_sign_ins_hour", email_key),
        Use("address_sign_ins_hour", subject_of(address)),
        Use("network_sign_ins_hour", network_of(address)),
        Use("all_sign_ins_minute", ALL),
    )


def step_up_uses(account_id: str, device_id: str) -> Sequence[Use]:
    """Return what a proof once more uses, of whoever is signed in with a device."""
    return (Use("device_step_ups_hour", f"{account_id} {device_id}"),)


def sign_up_uses(address: str) -> Sequence[Use]:
    """Return the uses of signing up."""
    return (
        Use("address_sign_ups_hour", subject_of(address)),
        Use("network_sign_ups_hour", network_of(address)),
    )


def reset_uses(email_key: str, device_id: str, address: str) -> Sequence[Use]:
    """Return the uses of asking for a link that resets the password; see `sign_in_uses`."""
    if device_id:
        return (Use("account_resets_hour", f"{email_key} {device_id}"),)
    return (
        Use("account_resets_hour", email_key),
        Use("address_resets_hour", subject_of(address)),
    )


def code_uses(account_id: str, device_id: str, address: str) -> Sequence[Use]:
    """Return the uses of a try of a code; see `sign_in_uses`."""
    if device_id:
        own = f"{account_id} {device_id}"
        return (Use("account_codes_hour", own), Use("account_codes_day", own))
    return (
        Use("account_codes_hour", account_id),
        Use("account_codes_day", account_id),
        Use("address_codes_hour", subject_of(address)),
    )


def challenge_uses(address: str) -> Sequence[Use]:
    """Return the uses of a challenge for a passkey."""
    return (
        Use("address_passkey_challenges_minute", subject_of(address)),
        Use("all_passkey_challenges_minute", ALL),
    )


def wrong_link_uses(address: str) -> Sequence[Use]:
    """Return what a link uses that is none."""
    return (Use("address_wrong_links_minute", subject_of(address)),)


def wrong_session_uses(address: str) -> Sequence[Use]:
    """Return what a session uses that is unknown or over."""
    return (Use("address_wrong_sessions_minute", subject_of(address)),)


def epoch_uses(account_id: str) -> Sequence[Use]:
    """Return what whoever is signed in uses by beginning a credentials epoch."""
    return (Use("account_epochs_hour", account_id),)


def proof_mail_uses(email_key: str) -> Sequence[Use]:
    """Return the uses of a mail to an address that nobody has proven."""
    return (Use("account_proof_mails_hour", email_key),)


def outcomes(account_id: str, number: str, seconds: int) -> Sequence[Use]:
    """Return the outcomes that an ended, answered call counts as."""
    is_short = seconds <= SHORT_CALL_S
    return (
        Use(SHORT_CALLS if is_short else LONG_CALLS, account_id),
        Use(RANGE_SHORT_CALLS if is_short else RANGE_LONG_CALLS, _range_of(account_id, number)),
    )


def _range_of(account_id: str, number: str) -> str:
    return f"{account_id} {number[:-RANGE_DIGITS]}"


def _of_each(what: str, account_id: str, key_id: str, address: str) -> Sequence[Use]:
    """Return the uses of an account, of its key if one was used, and of an address."""
    keys = (Use(f"key_{what}", key_id),) if key_id else ()
    of_address = Use(f"address_{what}", subject_of(address))
    return (Use(f"account_{what}", account_id), *keys, of_address)


def refuse(refusal: Refusal | None) -> None:
    """Raise TooFastError if a limit is reached; it says when to try again."""
    if refusal is not None:
        raise TooFastError(refusal.limit.code, retry_after_s=refusal.wait_s)


class Window(NamedTuple):
    """The two counters of one subject of a limit."""

    previous: int
    """Uses in the previous window."""
    previous_left_s: float
    """How long they still count, at decreasing weight."""
    current: int
    current_left_s: float
    """How long until the current ones no longer count: up to two windows."""

    def uses(self, window_s: int) -> float:
        """Return how many uses count now."""
        return self.previous * self.previous_left_s / window_s + self.current


def wait_s(limit: Limit, window: Window) -> int:
    """Return after how many seconds one more use is within the limit; 0 for now.

    The library's script admits a use while floor(previous x left / window) + current < amount.
    """
    amount, length_s = limit.amount, limit.window_s
    if floor(window.previous * window.previous_left_s / length_s) + window.current < amount:
        return 0
    if window.current < amount:
        # The weight of the previous uses falls: at this instant there is room for one more.
        # previous x left / length + current = amount, solved for left.
        left_s = length_s * (amount - window.current) / window.previous
        wait = window.previous_left_s - left_s
    else:
        # First the current window must end, then the weight of its uses falls.
        # The same with the current window as the previous one, and none in the new one yet.
        left_s = min(length_s, length_s * amount / window.current)
        wait = (window.current_left_s - length_s) + (length_s - left_s)
    # At exactly that instant the use would still be one too many.
    return max(0, floor(wait)) + 1


def outcome_wait_s(limit: Limit, bad: Window, good: Window) -> int:
    """Return the wait for a limit of outcomes: 0 while the good ones outweigh the bad."""
    if bad.uses(limit.window_s) <= good.uses(limit.window_s):
        return 0
    return wait_s(limit, bad)


def longest(refusals: Collection[Refusal]) -> Refusal | None:
    """Return the refusal that takes longest to expire; None if there is none."""
    return max(refusals, key=lambda refusal: refusal.wait_s, default=None)


def markdown() -> str:
    """Return the reference of all limits as a Markdown table."""
    rows = [
        "| limit | default | within | why |",
        "|---|---|---|---|",
        *(
            f"| `{limit.name}` | {limit.amount} | {limit.window_s} s | {limit.reason} |"
            for limit in _TABLE
        ),
    ]
    return "\n".join(rows) + "\n"
