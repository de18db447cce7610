"""Applies the velocity limits: how often an account, key, client address or number may be used.

Defines which uses count under which name, and when a refused use may be repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import floor
from typing import NamedTuple

from gateway.errors import TooFastError
from gateway.limits.source import network_of, subject_of
from gateway.limits.velocity_limits import (
    DAY_S,
    HOUR_S,
    LIMITS,
    LONG_CALLS,
    MINUTE_S,
    RANGE_LONG_CALLS,
    RANGE_SHORT_CALLS,
    SHORT_CALLS,
    TABLE,
    Limit,
)

__all__ = ["DAY_S", "HOUR_S", "LIMITS", "MINUTE_S", "Limit"]

AMOUNT_MAX = 1_000_000
"""Highest amount that a limit can be set to."""

SHORT_CALL_S = 10
"""An answered call of at most this length is short. Traffic pumping is paid per answer or per
minute begun, so its calls are ended at once; a person's greeting takes longer."""

RANGE_DIGITS = 4
"""How many last digits vary within a number range: a block of 10,000 is the least that most
numbering plans allocate, and what is rented for revenue share."""

TOKENS_PER_CALL = 4
"""Tokens that a visitor may request, for each call that may begin."""
TOKENS_WAITING_MIN = 3
"""The least of them within a minute, even if fewer calls may begin within an hour."""

ALL = "all"
OFF = "off"


class Override(NamedTuple):
    """An operator's replacement for a default."""

    name: str
    """Of a limit, or ALL."""
    amount: int | None
    """None switches the limit off."""


def parse_override(text: str) -> Override:
    """Parse `name=amount` or `name=off`. Raises ValueError that says what is valid."""
    name, _, value = (part.strip() for part in text.partition("="))
    if name not in LIMITS and (name, value) != (ALL, OFF):
        raise ValueError("names no velocity limit; docs/configuration.md lists them")
    # Only `all=off` may be set for all: no amount would fit two of them.
    if value == OFF:
        return Override(name, None)
    # `isdigit` accepts other scripts' digits too, and `int` refuses numbers of thousands of digits.
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(AMOUNT_MAX))
    if not is_number or not 0 < int(value) <= AMOUNT_MAX:
        raise ValueError(f"must be name=1 to {AMOUNT_MAX}, or name={OFF}")
    return Override(name, int(value))


def effective(overrides: Iterable[Override]) -> Mapping[str, Limit]:
    """Return the limits in force; the last override of a name wins."""
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
    amount: int = 0
    """The subject's own amount instead of the limit's; 0 for the limit's."""


class LimitRefusal(NamedTuple):
    """Why a use is refused, and when it may be repeated."""

    limit: Limit
    wait_s: int


def call_uses(account_id: str, key_id: str, address: str, number: str) -> Sequence[Use]:
    """Return the uses of starting a call."""
    return (
        *_of_each("calls_minute", account_id, key_id, address),
        *_of_each("calls_hour", account_id, key_id, address),
        # By account, otherwise one account could block a number for all the others.
        Use("number_calls_minute", f"{account_id} {number}"),
        Use("number_calls_hour", f"{account_id} {number}"),
        Use(SHORT_CALLS, account_id),
        Use(RANGE_SHORT_CALLS, _range_of(account_id, number)),
    )


def embed_uses(address: str) -> Sequence[Use]:
    """Return the uses of any request from a page with a button."""
    return (
        Use("address_embeds_minute", subject_of(address)),
        Use("network_embeds_minute", network_of(address)),
    )


def wrong_button_uses(address: str) -> Sequence[Use]:
    """Return the uses of an unknown publishable key."""
    return (Use("address_wrong_buttons_minute", subject_of(address)),)


def visitor_uses(visitor: str, amounts: Mapping[str, int]) -> Sequence[Use]:
    """Return the uses of a call that a visitor begins with a button; none without a visitor.

    `amounts` are the button's: `visitor_hour` and `visitor_day`.
    """
    return _of_button("visitor_", visitor, amounts)


def visitor_network_uses(network: str, amounts: Mapping[str, int]) -> Sequence[Use]:
    """Return the uses of that call by the network: `network_hour` and `network_day`."""
    return _of_button("network_", network, amounts)


def button_uses(button_id: str, amounts: Mapping[str, int]) -> Sequence[Use]:
    """Return the uses of that call by the button itself: `button_hour` and `button_day`."""
    return _of_button("", button_id, amounts)


def visitor_token_uses(
    visitor: str, network: str, amounts: Mapping[str, int]
) -> Sequence[Sequence[Use]]:
    """Return the uses of a token for a visitor's call: first theirs, then their network's.

    Their amounts are larger than those of calls, which count only once they begin.
    """
    least, hour = TOKENS_WAITING_MIN, amounts["visitor_hour"]
    own = (
        Use("visitor_button_tokens_minute", visitor, max(least, hour)),
        Use("visitor_button_tokens_hour", visitor, TOKENS_PER_CALL * hour),
    )
    theirs = Use("network_button_tokens_hour", network, TOKENS_PER_CALL * amounts["network_hour"])
    return own if visitor else (), (theirs,) if network else ()


def _of_button(who: str, subject: str, amounts: Mapping[str, int]) -> Sequence[Use]:
    return tuple(
        Use(
            f"{who}button_calls_{period}",
            subject,
            amounts[f"{who or 'button_'}{period}"],
        )
        for period in ("hour", "day")
        if subject
    )


def proof_call_uses(account_id: str, number: str, address: str) -> Sequence[Use]:
    """Return the uses of a call that speaks a code to a number."""
    return (
        Use("account_proof_calls_day", account_id),
        Use("number_proof_calls_day", number),
        Use("network_proof_calls_day", network_of(address)),
        Use("all_proof_calls_hour", ALL),
    )


def button_call_uses(account_id: str, number: str, *, is_signed: bool) -> Sequence[Use]:
    """Return the uses of starting a visitor's call, in addition to those of its button.

    A number proven to be the account's own may be called as often as its owner likes, and fraud
    earns nothing there: outcomes of calls to it are not counted.
    """
    of_account = (
        Use("account_calls_minute", account_id),
        Use("account_calls_hour", account_id),
    )
    if not is_signed:
        return of_account
    return (
        *of_account,
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
    """Return the uses of a rate query without an account."""
    return (Use("address_quotes_minute", subject_of(address)),)


def checkout_uses(account_id: str, address: str) -> Sequence[Use]:
    """Return the uses of starting a payment."""
    return (
        Use("account_checkouts_hour", account_id),
        Use("address_checkouts_hour", subject_of(address)),
    )


def wrong_key_uses(address: str) -> Sequence[Use]:
    """Return the uses of a wrong key."""
    return (Use("address_wrong_keys_minute", subject_of(address)),)


def sign_in_uses(email_key: str, device_id: str, address: str) -> Sequence[Use]:
    """Return the uses of a sign-in attempt by the account, which need not exist, and its place.

    `device_id` is empty for a device that has not been signed in before. A device that has been has
    its own allowance only: neither strangers to the account nor those who share its network can
    lock it out.
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
    """Return the uses of a step-up by a person who is signed in on a device."""
    return (Use("device_step_ups_hour", f"{account_id} {device_id}"),)


def sign_up_uses(address: str) -> Sequence[Use]:
    """Return the uses of signing up."""
    return (
        Use("address_sign_ups_hour", subject_of(address)),
        Use("network_sign_ups_hour", network_of(address)),
    )


def reset_uses(email_key: str, device_id: str, address: str) -> Sequence[Use]:
    """Return the uses of a request for a password reset link; see `sign_in_uses`."""
    if device_id:
        return (Use("account_resets_hour", f"{email_key} {device_id}"),)
    return (
        Use("account_resets_hour", email_key),
        Use("address_resets_hour", subject_of(address)),
    )


def code_uses(
    account_id: str, device_id: str, address: str, *, by_link: bool = False
) -> Sequence[Use]:
    """Return the uses of a try of a code; see `sign_in_uses`.

    `by_link` are those after a link from the account's mailbox: someone who knows only the password
    uses up none of them.
    """
    if device_id:
        own = f"{account_id} {device_id}"
        return (Use("account_codes_hour", own), Use("account_codes_day", own))
    anybody = f"{account_id} by link" if by_link else account_id
    return (
        Use("account_codes_hour", anybody),
        Use("account_codes_day", anybody),
        Use("address_codes_hour", subject_of(address)),
    )


def challenge_uses(address: str) -> Sequence[Use]:
    """Return the uses of a challenge for a passkey."""
    return (
        Use("address_passkey_challenges_minute", subject_of(address)),
        Use("all_passkey_challenges_minute", ALL),
    )


def wrong_link_uses(address: str) -> Sequence[Use]:
    """Return the uses of an invalid link."""
    return (Use("address_wrong_links_minute", subject_of(address)),)


def wrong_session_uses(address: str) -> Sequence[Use]:
    """Return the uses of a session that is unknown or over."""
    return (Use("address_wrong_sessions_minute", subject_of(address)),)


def epoch_uses(account_id: str, device_id: str) -> Sequence[Use]:
    """Return the uses of beginning a credentials epoch by a signed-in person.

    Counted for the session's device only: a thief cannot use up what the owner needs to sign them
    out.
    """
    return (Use("account_epochs_hour", f"{account_id} {device_id}"),)


def key_uses(account_id: str) -> Sequence[Use]:
    """Return the uses of creating an API key by a signed-in person."""
    return (Use("account_keys_hour", account_id),)


def supervision_uses(account_id: str) -> Sequence[Use]:
    """Return the uses of letting supervisors do more."""
    return (Use("account_supervision_hour", account_id),)


def grant_uses(name: str) -> Sequence[Use]:
    """Return the uses of requesting to supervise a call, by a key or by the account's holder."""
    return (Use("supervision_grants_minute", name),)


def button_making_uses(account_id: str) -> Sequence[Use]:
    """Return the uses of creating a button, in a page or by a key."""
    return (Use("account_buttons_hour", account_id),)


def webhook_setting_uses(account_id: str) -> Sequence[Use]:
    """Return the uses of directing events to an address, in a page or by a key."""
    return (Use("account_webhooks_hour", account_id),)


def proof_mail_uses(email_key: str) -> Sequence[Use]:
    """Return the uses of a mail to an unproven address."""
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


def refuse(refusal: LimitRefusal | None) -> None:
    """Raise TooFastError if a limit is reached; it says when to try again."""
    if refusal is None:
        return
    limit, wait_s = refusal
    if limit.outweighed_by:
        raise TooFastError(limit.code, retry_after_s=wait_s)
    raise TooFastError(
        limit.code,
        retry_after_s=wait_s,
        limit=limit.name,
        amount=limit.amount,
        window_s=limit.window_s,
    )


class CounterWindow(NamedTuple):
    """The two counters of one subject of a limit."""

    previous: int
    """Uses in the previous window."""
    previous_left_s: float
    """How long they still count, with decreasing weight."""
    current: int
    current_left_s: float
    """How long until the current ones no longer count: up to two windows."""

    def uses(self, window_s: int) -> float:
        """Return how many uses count now."""
        return self.previous * self.previous_left_s / window_s + self.current


def wait_s(limit: Limit, window: CounterWindow) -> int:
    """Return after how many seconds one more use is within the limit; 0 for now.

    The library's script admits a use while floor(previous x left / window) + current < amount.
    """
    amount, length_s = limit.amount, limit.window_s
    if floor(window.previous * window.previous_left_s / length_s) + window.current < amount:
        return 0
    if window.current < amount:
        # The weight of the previous uses falls: at this instant one more fits. previous x left /
        # length + current = amount, solved for left.
        left_s = length_s * (amount - window.current) / window.previous
        wait = window.previous_left_s - left_s
    else:
        # First the current window must end, then the weight of its uses falls. The same with the
        # current window as the previous one, and none in the new one yet.
        left_s = min(length_s, length_s * amount / window.current)
        wait = (window.current_left_s - length_s) + (length_s - left_s)
    # At exactly that instant the use would still be one too many.
    return max(0, floor(wait)) + 1


def outcome_wait_s(limit: Limit, bad: CounterWindow, good: CounterWindow) -> int:
    """Return the wait for a limit of outcomes: 0 while the good ones outweigh the bad."""
    if bad.uses(limit.window_s) <= good.uses(limit.window_s):
        return 0
    return wait_s(limit, bad)


def longest(refusals: Collection[LimitRefusal]) -> LimitRefusal | None:
    """Return the refusal that takes longest to expire; None if there is none."""
    return max(refusals, key=lambda refusal: refusal.wait_s, default=None)


def markdown() -> str:
    """Return the reference of all limits as a Markdown table."""
    rows = [
        "| limit | default | within | why |",
        "|---|---|---|---|",
        *(
            f"| `{limit.name}` | {limit.amount} | {limit.window_s} s | {limit.reason} |"
            for limit in TABLE
        ),
    ]
    return "\n".join(rows) + "\n"
