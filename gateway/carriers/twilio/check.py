"""Checks the carrier's account, its number and what it may call, for `caller check` and `setup`.

Read-only: no call is placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.carriers.twilio.account import NUMBER_RIGHTS, AccountStatus, Number, TwilioAccount
from gateway.carriers.twilio.configuration import api_origin
from gateway.carriers.twilio.dialing import Country, TwilioDialing
from gateway.carriers.twilio.lists import build_reader
from gateway.errors import CarrierError
from gateway.finding import Finding, away, wrong
from gateway.settings import Settings

PERMISSIONS: Final = "permissions to call countries"
_NAMED_MAX: Final = 12
"""Countries that are listed; beyond that their count is enough."""
_TRIAL: Final = (
    "on trial for 30 days: it reaches verified numbers only, five at most, each from the number"
    " that Twilio has assigned to it, for 10 minutes at most, and announces itself to the callee,"
    " who must press a key. Upgrade it at Twilio to call others."
)
_GEO: Final = "Twilio's console, Voice, Settings, Geo permissions"
_UNREADABLE: Final = (401, 403)
"""Answers to a key that may not read this; the credentials have a finding of their own."""


async def account(settings: Settings) -> list[Finding]:
    """Try the credentials that place calls, and the auth token, which signs callbacks."""
    has_key = bool(settings.twilio_api_key_sid)
    found = [await _credentials(settings, by_key=has_key)]
    if has_key and not found[0].is_fatal:
        token = await _credentials(settings, by_key=False)
        text = "Valid." if not token.is_fatal else f"{token.text} It verifies Twilio's callbacks."
        # Only the account's own token can read the account, and so tell whether it is a trial.
        known = found if token.is_fatal else [token]
        found = [*known, Finding("auth token", text, token.is_fatal, is_away=token.is_away)]
    if settings.twilio_auth_token_secondary:
        found.append(await _secondary(settings))
    return found


def _account(
    settings: Settings, *, by_key: bool = False, is_secondary: bool = False
) -> TwilioAccount:
    """Return the account as its API key sees it, or as one of its auth tokens does."""
    sid = settings.twilio_account_sid
    token = settings.twilio_auth_token_secondary if is_secondary else settings.twilio_auth_token
    return TwilioAccount(
        base_url=api_origin(settings),
        account_sid=sid,
        username=settings.twilio_api_key_sid if by_key else sid,
        password=(settings.twilio_api_key_secret if by_key else token).reveal(),
        timeout_s=settings.carrier_timeout_ms / 1000,
    )


async def _secondary(settings: Settings) -> Finding:
    """Try the other auth token of a rotation."""
    carrier = _account(settings, is_secondary=True)
    try:
        await carrier.standing()
    except CarrierError as error:
        if error.status not in _UNREADABLE:
            return Finding("second token", f"Not known whether it is valid: {error}", is_weak=True)
        text = (
            "Twilio does not accept CALLER_TWILIO_AUTH_TOKEN_SECONDARY: if the rotation is over,"
            " clear it."
        )
        return Finding("second token", text, is_weak=True)
    finally:
        await carrier.close()
    return Finding("second token", "Valid: what either auth token has signed is accepted.")


async def _credentials(settings: Settings, *, by_key: bool) -> Finding:
    carrier = _account(settings, by_key=by_key)
    try:
        standing = await carrier.standing()
    except CarrierError as error:
        return away("carrier", refused(error, by_key=by_key))
    finally:
        await carrier.close()
    return account_finding(standing)


def refused(error: CarrierError, *, by_key: bool) -> str:
    """Explain why the account could not be read, and what to correct."""
    if error.status in _UNREADABLE:
        names = "API_KEY_SID and CALLER_TWILIO_API_KEY_SECRET" if by_key else "AUTH_TOKEN"
        named = f"CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_{names}"
        return f"{error} Check Twilio's credentials (HTTP {error.status}): {named}."
    status = f" (HTTP {error.status})" if error.status else ""
    return f"{error} Check CALLER_CARRIER_URL{status}, and whether this machine reaches it."


def account_finding(standing: AccountStatus) -> Finding:
    """Assess the account's state."""
    # A Standard API key may place calls, but not read the account (Twilio error 20003).
    if standing.missing:
        text = (
            f"The API key lacks {', '.join(standing.missing)}: add it in Twilio's console, API"
            " keys, or use a Standard key."
        )
        return away("carrier", text)
    if not standing.status:
        return Finding("carrier", "Answers; the API key may place calls, not read the account.")
    if standing.status != "active":
        text = f"The account is {standing.status}, and places no calls: see Twilio's console."
        return away("carrier", text)
    text = f"Answers; the account is active{f', {_TRIAL}' if standing.is_trial else '.'}"
    return Finding("carrier", text, is_weak=standing.is_trial)


async def caller_id(settings: Settings) -> Finding:
    """Check that the account may show the number."""
    carrier = _account(settings, by_key=bool(settings.twilio_api_key_sid))
    try:
        number = await carrier.number(settings.caller_id)
        # Asked only in this case: an API key may not read the account.
        is_trial = number is Number.FOREIGN and await _is_trial(settings)
        return number_finding(number, is_trial=is_trial)
    except CarrierError as error:
        return unread("number", error, NUMBER_RIGHTS)
    finally:
        await carrier.close()


async def _is_trial(settings: Settings) -> bool:
    carrier = _account(settings)
    try:
        return (await carrier.standing()).is_trial
    finally:
        await carrier.close()


def number_finding(number: Number, *, is_trial: bool = False) -> Finding:
    """Assess the number that phones show."""
    match number:
        case Number.FOREIGN if is_trial:
            text = (
                "CALLER_CALLER_ID is not listed for the account. On trial it must be the number"
                " that Twilio has assigned to the recipient, and reaches no other one: Twilio's"
                " console, Voice, Try out Voice."
            )
            return Finding("number", text, is_weak=True)
        case Number.OWN:
            return Finding("number", "CALLER_CALLER_ID is a number of the account.")
        case Number.VERIFIED:
            return Finding("number", "CALLER_CALLER_ID is verified as a caller id.")
        case Number.MUTE:
            text = (
                "CALLER_CALLER_ID is a number of the account that cannot place calls (no voice)."
                " Choose one that can."
            )
        case Number.FOREIGN:
            text = (
                "CALLER_CALLER_ID is not a number of the account, nor verified there. Buy one, or"
                " verify it: Twilio's console, Phone Numbers, Verified Caller IDs."
            )
    return wrong("number", text)


async def permissions(settings: Settings) -> Finding:
    """Read which countries the account may call."""
    try:
        async with build_reader(settings, "voice", PERMISSIONS) as reader:
            found = await TwilioDialing(reader).countries()
    except CarrierError as error:
        return unread("permissions", error)
    return permissions_finding(found, settings.home_countries)


def permissions_finding(countries: Sequence[Country], home: Sequence[str]) -> Finding:
    """Assess which countries may be called; `home` are those open to people from the start."""
    is_on = {each.iso_code for each in countries if each.low_risk_numbers_enabled}
    off = {each.iso_code for each in countries} - is_on
    if not is_on:
        return away("permissions", f"No country may be called. Switch some on: {_GEO}.")
    texts = [f"May be called: {_named(is_on)}; switched off: {_named(off)}."]
    lacking = [code for code in home if code not in is_on]
    if lacking:
        texts.append(f"CALLER_HOME_COUNTRIES names {', '.join(lacking)}: switch them on, {_GEO}.")
    risky = {
        each.iso_code
        for each in countries
        if each.high_risk_special_numbers_enabled or each.high_risk_tollfraud_numbers_enabled
    }
    if risky:
        texts.append(
            f"Numbers of high risk (premium, toll fraud) are open in {_named(risky)}: switch them"
            f" off, {_GEO}, unless you need them."
        )
    return Finding("permissions", " ".join(texts), is_weak=bool(lacking or risky))


def _named(codes: Iterable[str]) -> str:
    listed = sorted(codes)
    if len(listed) > _NAMED_MAX:
        return f"{len(listed)} countries"
    return ", ".join(listed) or "none"


def unread(subject: str, error: CarrierError, rights: Sequence[str] = ()) -> Finding:
    """Report that something could not be read, and which rights a key may lack."""
    if error.status in _UNREADABLE:
        named = f" A Restricted key needs {' and '.join(rights)}." if rights else ""
        text = f"Not known: the API key or the credentials do not allow reading it.{named}"
        return Finding(subject, text, is_weak=True)
    return away(subject, f"{error} Check again in a minute.")
