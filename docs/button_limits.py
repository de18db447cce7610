"""The table of all limits of buttons, written from the code into docs/buttons.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.buttons import challenge, human_check, ports
from gateway.buttons.acts import LABEL_CHARS_MAX
from gateway.buttons.visitor_api import FEEDBACK_WITHIN
from gateway.embed import hours, rules
from gateway.embed.rules import ButtonRules, CallAllowance
from gateway.limits.velocity import LIMITS, TOKENS_PER_CALL, TOKENS_WAITING_MIN
from gateway.settings import Settings

_RULES: Final = ButtonRules(title="")
_BY_NAME: Final = {
    "account_buttons_hour": "buttons that an account makes within an hour",
    "address_embeds_minute": "requests of pages with a button within a minute, from one address",
    "network_embeds_minute": "the same, from one network",
    "address_wrong_buttons_minute": "keys that are none within a minute, from one address",
    "account_proof_calls_day": "calls that speak a code within a day, of one account",
    "number_proof_calls_day": "the same, to one number",
    "network_proof_calls_day": "the same, asked for from one network",
    "all_proof_calls_hour": "the same within an hour, of everybody",
}
"""Limits that `CALLER_VELOCITY_LIMITS` changes."""
_AMOUNTS: Final = {
    "visitor_hour": "calls that one visitor begins within an hour",
    "visitor_day": "the same, within a day",
    "network_hour": "calls that one network (/24, /48) begins within an hour",
    "network_day": "the same, within a day",
    "button_hour": "calls of everybody within an hour",
    "button_day": "the same, within a day",
}


def markdown() -> str:
    """Return the tables."""
    own = ["| limit of one button | field | default | allowed |", "|---|---|---|---|"]
    own += [f"| {' | '.join(row)} |" for row in _own()]
    fixed = ["| limit of all buttons | value |", "|---|---|"]
    fixed += [f"| {what} | {value} |" for what, value in _fixed()]
    return "\n".join([*own, "", *fixed]) + "\n"


def _own() -> Iterator[tuple[str, str, str, str]]:
    most = Settings().call_duration_max_s
    yield (
        "seconds of one call",
        "`seconds_max`",
        str(_RULES.seconds_max),
        f"{rules.SECONDS_MIN} to {most:,} (`CALLER_CALL_DURATION_MAX_S`)",
    )
    most = rules.CALLS_AT_ONCE_MAX
    yield "calls at once", "`calls_at_once`", str(_RULES.calls_at_once), f"1 to {most}"
    amounts = CallAllowance()
    for name, what in _AMOUNTS.items():
        bounds = f"1 to {rules.AMOUNT_MAX:,}"
        yield what, f"`amounts.{name}`", str(getattr(amounts, name)), bounds
    for name, period, amount in (
        ("day_cap", "day", rules.DAY_CAP_DEFAULT),
        ("month_cap", "month", rules.MONTH_CAP_DEFAULT),
    ):
        what = f"what its calls may cost in a {period} (UTC), in the account's currency"
        yield what, f"`{name}`", str(amount), "above 0; one of the two at least"
    yield "sites that may show it", "`origins`", "none", f"up to {rules.ORIGINS_MAX}"
    yield "characters of what visitors read", "`title`", "", f"1 to {rules.TITLE_CHARS_MAX}"
    yield "characters of your own name for it", "`label`", "", f"1 to {LABEL_CHARS_MAX}"
    yield (
        "spans of opening hours a day",
        "`hours.week`",
        "all day",
        f"up to {hours.SPANS_A_DAY_MAX}",
    )
    yield "holidays", "`hours.holidays`", "none", f"up to {hours.HOLIDAYS_MAX}"


def _fixed() -> Iterator[tuple[str, str]]:
    yield "buttons of an account", str(ports.BUTTONS_MAX)
    yield "live keys of a button at once", str(ports.KEYS_MAX)
    yield "proven numbers of an account", str(ports.DESTINATIONS_MAX)
    code = f"{ports.CODE_LIFETIME_S // 60} minutes, {ports.CODE_TRIES_MAX} tries"
    yield "a code that was spoken", code
    yield (
        "tokens of one visitor within a minute",
        f"what they may call within an hour, and at least {TOKENS_WAITING_MIN}",
    )
    yield (
        "tokens of one visitor, or of one network, within an hour",
        f"{TOKENS_PER_CALL} for each call that they may begin",
    )
    yield "life of a token", f"{Settings().token_ttl_s} s (`CALLER_TOKEN_TTL_S`)"
    yield "life of a challenge", f"{challenge.LIFETIME_S} s"
    yield (
        "challenges of one network or range within a minute, before they grow harder",
        str(challenge.CALM),
    )
    yield (
        "an operator's check of persons",
        f"{human_check.TIMEOUT_S:g} s, {human_check.AT_ONCE_MAX} at once",
    )
    yield "feedback after a call", f"{int(FEEDBACK_WITHIN.total_seconds()) // 60} minutes"
    for name, what in _BY_NAME.items():
        yield f"{what} (`{name}`)", f"{LIMITS[name].amount:,}"
    yield (
        "calls at once of an account",
        f"{Settings().account_calls_max} (`CALLER_ACCOUNT_CALLS_MAX`)",
    )
