"""Lists the velocity limits with their defaults, and the reason for each.

A limit has a sliding window of two counters (see `limits`, "sliding window counter"): the uses in
the current window, plus those in the previous one in proportion to how much of it is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400


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
    """Name of the count of good outcomes that balances the bad ones. Uses do not consume such a
    limit: it counts outcomes afterwards, and refuses uses while more are bad than good."""


SHORT_CALLS, LONG_CALLS = "account_short_calls_hour", "account_long_calls_hour"
RANGE_SHORT_CALLS, RANGE_LONG_CALLS = "range_short_calls_hour", "range_long_calls_hour"

TABLE = (
    Limit(
        "account_calls_minute",
        30,
        MINUTE_S,
        "calls_limited",
        "the ten lines of an account (CALLER_ACCOUNT_CALLS_MAX), each used again after 20 s",
    ),
    Limit(
        "account_calls_hour",
        300,
        HOUR_S,
        "calls_limited",
        "the same lines, with calls of two minutes",
    ),
    Limit(
        "key_calls_minute",
        20,
        MINUTE_S,
        "calls_limited",
        "a leaked key leaves a third of its account's calls to the others",
    ),
    Limit("key_calls_hour", 200, HOUR_S, "calls_limited", "the same, per hour"),
    Limit(
        "address_calls_minute",
        60,
        MINUTE_S,
        "calls_limited",
        "an office behind one address has more than one account",
    ),
    Limit("address_calls_hour", 600, HOUR_S, "calls_limited", "the same, per hour"),
    Limit(
        "number_calls_minute",
        6,
        MINUTE_S,
        "number_limited",
        "a busy number dialled again every ten seconds; counted per account",
    ),
    Limit(
        "number_calls_hour",
        30,
        HOUR_S,
        "number_limited",
        "one call every two minutes to one number, for an hour; counted per account",
    ),
    Limit(
        SHORT_CALLS,
        30,
        HOUR_S,
        "short_calls_limited",
        "so many answered calls of at most 10 s, and more of them than of longer ones: surveys and "
        "reminders that reach voicemail stay below one in two",
        outweighed_by=LONG_CALLS,
    ),
    Limit(
        RANGE_SHORT_CALLS,
        10,
        HOUR_S,
        "range_limited",
        "the same to one range of 10,000 numbers, counted per account: no one calls ten neighbours "
        "who all hang up, except someone who is paid per call",
        outweighed_by=RANGE_LONG_CALLS,
    ),
    Limit(
        "account_tokens_minute",
        120,
        MINUTE_S,
        "rate_limited",
        "call and check tokens: four for each call that may start",
    ),
    Limit("key_tokens_minute", 80, MINUTE_S, "rate_limited", "the same, per key"),
    Limit("address_tokens_minute", 240, MINUTE_S, "rate_limited", "the same, per address"),
    Limit(
        "account_quotes_minute",
        240,
        MINUTE_S,
        "rate_limited",
        "the phone page asks while a number is typed",
    ),
    Limit("key_quotes_minute", 160, MINUTE_S, "rate_limited", "the same, per key"),
    Limit("address_quotes_minute", 480, MINUTE_S, "rate_limited", "the same, per address"),
    Limit(
        "account_checkouts_hour",
        10,
        HOUR_S,
        "rate_limited",
        "stolen cards are tested with many small payments; a person pays once, with a few retries",
    ),
    Limit(
        "address_checkouts_hour",
        20,
        HOUR_S,
        "rate_limited",
        "the same, over the accounts of an address",
    ),
    Limit(
        "address_wrong_keys_minute",
        20,
        MINUTE_S,
        "rate_limited",
        "keys cannot be guessed (144 bits); each wrong one costs a database query",
    ),
    Limit(
        "account_sign_ins_hour",
        20,
        HOUR_S,
        "rate_limited",
        "guesses at one password; a browser that has been signed in before is counted by itself, "
        "so that strangers can lock no one out",
    ),
    Limit(
        "device_step_ups_hour",
        20,
        HOUR_S,
        "rate_limited",
        "passwords for a step-up: wrong ones lock no one out of the sign-in",
    ),
    Limit(
        "address_sign_ins_hour",
        60,
        HOUR_S,
        "rate_limited",
        "an office behind one address, and one password tried on many accounts",
    ),
    Limit(
        "network_sign_ins_hour",
        200,
        HOUR_S,
        "rate_limited",
        "the same from a rented network (/24, /48)",
    ),
    Limit(
        "all_sign_ins_minute",
        600,
        MINUTE_S,
        "rate_limited",
        "stolen passwords tried from everywhere: a quarter of what one core can hash; browsers "
        "that have been signed in before are not counted",
    ),
    Limit(
        "address_sign_ups_hour",
        10,
        HOUR_S,
        "rate_limited",
        "a family behind one address, with forms rejected for a weak password",
    ),
    Limit("network_sign_ups_hour", 50, HOUR_S, "rate_limited", "the same, per /24 or /48"),
    Limit(
        "account_resets_hour",
        5,
        HOUR_S,
        "rate_limited",
        "mails that arrive late are requested again; a mailbox must not be flooded",
    ),
    Limit("address_resets_hour", 20, HOUR_S, "rate_limited", "the same, over all mailboxes"),
    Limit(
        "account_proof_mails_hour",
        5,
        HOUR_S,
        "rate_limited",
        "mails that ask whether a mailbox is someone's; anyone can trigger them",
    ),
    Limit(
        "account_codes_hour",
        20,
        HOUR_S,
        "rate_limited",
        "codes of the second factor after a right password; a browser that has been signed in "
        "before is counted by itself",
    ),
    Limit(
        "account_codes_day",
        60,
        DAY_S,
        "rate_limited",
        "the same by the day: three codes of a million are right, so that a year of guesses finds "
        "one in fifteen; NIST SP 800-63B-4 (3.2.2) allows 100 in a row",
    ),
    Limit(
        "address_codes_hour",
        60,
        HOUR_S,
        "rate_limited",
        "the same, over the accounts of an address",
    ),
    Limit(
        "address_passkey_challenges_minute",
        60,
        MINUTE_S,
        "rate_limited",
        "a challenge each time that the page of the sign-in is opened, in an office behind one "
        "address; each is kept for five minutes",
    ),
    Limit(
        "all_passkey_challenges_minute",
        6_000,
        MINUTE_S,
        "rate_limited",
        "the same from everywhere: so 30,000 are kept at most, some megabytes",
    ),
    Limit(
        "address_wrong_links_minute",
        20,
        MINUTE_S,
        "rate_limited",
        "links in mails cannot be guessed (256 bits); each wrong one costs a database query",
    ),
    Limit(
        "address_wrong_sessions_minute",
        120,
        MINUTE_S,
        "rate_limited",
        "sessions cannot be guessed either; an office whose sessions have all ended comes with one "
        "for each browser",
    ),
    Limit(
        "account_epochs_hour",
        20,
        HOUR_S,
        "rate_limited",
        "other credentials, and sign-outs of all browsers, of one browser that is signed in: after "
        "each all nodes ask the database again",
    ),
    Limit(
        "account_keys_hour",
        20,
        HOUR_S,
        "rate_limited",
        "each new key sends a mail, and urgent mails must not delay the others",
    ),
    Limit(
        "account_supervision_hour",
        20,
        HOUR_S,
        "rate_limited",
        "the same for what supervisors may do in live calls, each time that it is extended",
    ),
    Limit(
        "supervision_grants_minute",
        30,
        MINUTE_S,
        "rate_limited",
        "grants of one key, or one holder: each may write a line, and sound a tone to two people",
    ),
    Limit(
        "account_buttons_hour",
        20,
        HOUR_S,
        "rate_limited",
        "the same for buttons: as many as an account may have, and deleting one allows no more",
    ),
    Limit(
        "account_webhooks_hour",
        20,
        HOUR_S,
        "rate_limited",
        "the same for webhooks, each time that one is added, gets an address or is enabled again",
    ),
    Limit(
        "address_embeds_minute",
        120,
        MINUTE_S,
        "rate_limited",
        "what a page with a button asks: three requests for each call, in an office behind one "
        "address",
    ),
    Limit(
        "network_embeds_minute",
        600,
        MINUTE_S,
        "rate_limited",
        "the same from a rented network (/24, /48)",
    ),
    Limit(
        "address_wrong_buttons_minute",
        30,
        MINUTE_S,
        "rate_limited",
        "publishable keys cannot be guessed (142 bits); each wrong one costs a database query",
    ),
    Limit(
        "visitor_button_calls_hour",
        3,
        HOUR_S,
        "button_limited",
        "calls of one visitor with one button; each button has its own amount, and so it has of "
        "networks, tokens and all calls",
    ),
    Limit("visitor_button_calls_day", 9, DAY_S, "button_limited", "the same, per day"),
    Limit(
        "network_button_calls_hour",
        20,
        HOUR_S,
        "button_limited",
        "by one network: an office, or a rented range",
    ),
    Limit("network_button_calls_day", 60, DAY_S, "button_limited", "the same, per day"),
    Limit(
        "visitor_button_tokens_minute",
        3,
        MINUTE_S,
        "button_limited",
        "tokens of one visitor that wait for their calls: as many as may begin within the hour, "
        "and at least three",
    ),
    Limit(
        "visitor_button_tokens_hour",
        12,
        HOUR_S,
        "button_limited",
        "tokens are requested again if a call does not come about: four for each that may begin",
    ),
    Limit("network_button_tokens_hour", 80, HOUR_S, "button_limited", "the same, per network"),
    Limit(
        "account_proof_calls_day",
        6,
        DAY_S,
        "rate_limited",
        "calls that speak a code, to prove a number; the operator pays for them",
    ),
    Limit(
        "number_proof_calls_day",
        3,
        DAY_S,
        "number_limited",
        "the same to one number, from any account: no one must be pestered",
    ),
    Limit(
        "network_proof_calls_day",
        12,
        DAY_S,
        "rate_limited",
        "the same, over the accounts of a network (/24, /48)",
    ),
    Limit(
        "all_proof_calls_hour",
        100,
        HOUR_S,
        "rate_limited",
        "the same, by everyone: this bounds what the operator may lose",
    ),
    Limit("button_calls_hour", 100, HOUR_S, "button_limited", "by all visitors of one button"),
    Limit("button_calls_day", 500, DAY_S, "button_limited", "the same, per day"),
)

LIMITS: Mapping[str, Limit] = {limit.name: limit for limit in TABLE}
"""All limits with their defaults, by name."""
