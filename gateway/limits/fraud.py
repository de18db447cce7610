"""The rules of admission: their order, their inputs, and their decisions.

They are in `limits` and not in `calls` because rules are pure: facts and the moment come as
arguments. The criteria are in this module (countries, new cards), in `velocity` (how often) or in
`call.number` (which numbers); only this module has the rules' order and names.

Fraud with stolen cards calls numbers that pay their owner for each minute (GSMA FS.21, CTIA
"international revenue share fraud"): soon after the first payment, abroad, and much at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.limits.velocity import LIMITS, Use

HOLDERS, EVERYBODY = "accounts of people", "everyone"


class Allowance(StrEnum):
    """A rule that an operator can lift from an account until a moment; values are stored."""

    COUNTRIES = "countries"
    NEW_CARD = "new-card"
    SHORT_CALLS = "short-calls"
    VELOCITY = "velocity"


@dataclass(frozen=True, slots=True)
class AdmissionRule:
    """One rule of admission."""

    name: str
    codes: tuple[str, ...]
    """Codes of its refusals, keys of `PROBLEMS`, which say what a person can do."""
    looks_at: str
    holds_for: str = EVERYBODY
    lifted_by: Allowance | None = None
    is_counted: bool = False
    """Whether its refusals are counted by account and hour: they may hit an honest account, or be
    the first sign of a dishonest one."""


RULES: Sequence[AdmissionRule] = (
    AdmissionRule(
        "account",
        ("account_frozen", "account_restricted", "address_unproven"),
        "whether the account may call at all",
    ),
    AdmissionRule("emergency", ("number_emergency",), "the number alone"),
    AdmissionRule("number", ("number_invalid", "number_too_short"), "the number alone"),
    AdmissionRule(
        "premium",
        ("number_premium",),
        "the kind of number: premium, shared cost, satellite, without a country",
        is_counted=True,
    ),
    AdmissionRule(
        "high-risk",
        ("number_high_risk",),
        "the closed lists, and what `CALLER_OPEN_HIGH_RISK` opens",
        is_counted=True,
    ),
    AdmissionRule(
        Allowance.COUNTRIES,
        ("country_closed",),
        "the number's country, `CALLER_HOME_COUNTRIES`, and what the holder has opened",
        HOLDERS,
        Allowance.COUNTRIES,
        is_counted=True,
    ),
    AdmissionRule("price", ("destination_not_priced",), "the rate deck"),
    AdmissionRule("credit", ("insufficient_credit",), "the balance"),
    AdmissionRule(
        Allowance.NEW_CARD,
        ("new_card_limited",),
        "what was spent today, in the days after the first payment; a disposable mail address,"
        " and the countries of sign-ins",
        HOLDERS,
        Allowance.NEW_CARD,
        is_counted=True,
    ),
    AdmissionRule(
        "spend-limits", ("cap_reached",), "what was spent, and the limits of account and key"
    ),
    AdmissionRule(
        Allowance.VELOCITY,
        ("calls_limited", "number_limited"),
        "how often account, key, address and number were used",
        lifted_by=Allowance.VELOCITY,
        is_counted=True,
    ),
    AdmissionRule(
        Allowance.SHORT_CALLS,
        ("short_calls_limited", "range_limited"),
        "how many calls ended right after the answer, in all and to one range of numbers",
        lifted_by=Allowance.SHORT_CALLS,
        is_counted=True,
    ),
    AdmissionRule(
        "lines", ("too_many_calls",), "the account's live calls, `CALLER_ACCOUNT_CALLS_MAX`"
    ),
)
"""All rules in the order in which they are checked; the first refusal is the one reported. Velocity
and short calls are checked together, and the one with the longest wait is reported."""

COUNTED: Mapping[str, str] = {code: r.name for r in RULES if r.is_counted for code in r.codes}
"""Code of a refusal -> the rule under which it is counted."""

_LIFTS: Mapping[str, Allowance] = {
    code: rule.lifted_by for rule in RULES if rule.lifted_by is not None for code in rule.codes
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's settings."""

    home_countries: frozenset[str] = frozenset()
    """ISO 3166 alpha-2 of the countries that every person may call; empty: all."""
    new_card_days: int = 0
    """How long a card counts as new; 0: the rule is off."""
    new_card_day_micros: int = 0
    """The most that a person may spend in a day (UTC) during that time."""


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The facts about an account that the rules need, from the book."""

    opened: frozenset[str] = frozenset()
    """Countries that the holder has opened, ISO 3166 alpha-2."""
    first_paid_at: datetime | None = None
    """When the first payment was booked."""
    is_disposable: bool = False
    """Whether the holder's address is at a service for disposable addresses."""
    lifted: Mapping[Allowance, datetime] | None = None
    """Rules that an operator has lifted, until when."""
    seen_in: frozenset[str] = frozenset()
    """Countries that the holder has signed in from, ISO 3166 alpha-2; empty if unknown."""

    def allows(self, rule: Allowance, at: datetime) -> bool:
        """Return whether a rule is lifted at a moment."""
        until = (self.lifted or {}).get(rule)
        return until is not None and at < until

    def lifted_at(self, at: datetime) -> frozenset[Allowance]:
        """Return the rules that are lifted at a moment."""
        return frozenset(rule for rule in Allowance if self.allows(rule, at))


def is_home(policy: Policy, country: str) -> bool:
    """Return whether a country is open to every person."""
    return not policy.home_countries or country in policy.home_countries


def may_call_country(policy: Policy, standing: AccountFacts, country: str, at: datetime) -> bool:
    """Return whether a person may call a country.

    Numbers without a country (empty) are not at home.
    """
    return (
        is_home(policy, country)
        or country in standing.opened
        or standing.allows(Allowance.COUNTRIES, at)
    )


def new_card_bound(policy: Policy, standing: AccountFacts, at: datetime) -> int | None:
    """Return the most micros that a person may spend in the day of a moment; None for no bound.

    Half as much for a disposable address, and for a person who only ever signs in from countries
    they may not call: neither alone is a reason to refuse anyone.
    """
    if standing.first_paid_at is None or standing.allows(Allowance.NEW_CARD, at):
        return None
    if at >= standing.first_paid_at + timedelta(days=policy.new_card_days):
        return None
    is_odd = standing.is_disposable or _is_foreign(policy, standing)
    return policy.new_card_day_micros // (2 if is_odd else 1)


def _is_foreign(policy: Policy, standing: AccountFacts) -> bool:
    own = standing.opened | policy.home_countries
    return bool(policy.home_countries and standing.seen_in and own.isdisjoint(standing.seen_in))


def uses_left(uses: Sequence[Use], lifted: Collection[str]) -> Sequence[Use]:
    """Return the uses of velocity limits that still count under these lifted rules.

    Limits of an address stay, because others share it.
    """
    return [
        use
        for use in uses
        if use.limit.startswith("address_") or _LIFTS.get(LIMITS[use.limit].code) not in lifted
    ]


def markdown() -> str:
    """Return the reference of all rules as a Markdown table."""
    rows = [
        "| rule | looks at | holds for | code | an operator can lift it |",
        "|---|---|---|---|---|",
    ]
    for rule in RULES:
        codes = ", ".join(f"`{code}`" for code in rule.codes)
        lifted = f"`{rule.lifted_by}`" if rule.lifted_by else ""
        rows.append(f"| {rule.name} | {rule.looks_at} | {rule.holds_for} | {codes} | {lifted} |")
    return "\n".join(rows) + "\n"
