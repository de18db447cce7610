"""Reads the settings from the variables `CALLER_*`, and reports contradictions between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from billing.money import exponent, in_units
from gateway import knobs
from gateway.errors import SettingsError
from gateway.settings import KNOBS, PREFIX, SETTINGS_FILE, Settings

_KEY_CHARS_MIN = 32
"""Of a key that secrets are sealed under: in base64 that is 192 random bits."""
_DOCUMENTED_ELSEWHERE = frozenset(
    {
        SETTINGS_FILE,
        "CALLER_CHROMIUM",
        "CALLER_REMOTE_URL",
        "CALLER_REMOTE_KEY",
        "CALLER_REMOTE_KEY_FILE",
    }
)
"""Variables that the gateway itself does not read: the settings file, a variable of the tests, and
those of `caller-remote`."""


def from_mapping(environ: Mapping[str, str]) -> Settings:
    """Read the settings from `CALLER_*` variables. Raises SettingsError naming the variable."""
    values: dict[str, Any] = {}
    # Sorted, so that of several faults the same one is reported each time.
    for name in sorted(n for n in environ if n.startswith(PREFIX)):
        if name in _DOCUMENTED_ELSEWHERE:
            continue
        # A misspelt name would leave the default in force, unnoticed.
        if name not in KNOBS:
            raise SettingsError(f"{name} is not a setting of Caller.{_nearest(name, KNOBS)}")
        knob = KNOBS[name]
        try:
            values[knob.name] = knob.metadata["parse"](environ[name].strip())
        except ValueError as error:
            # The message names the rule and never the value, which may be a secret.
            raise SettingsError(f"{name} {error}.") from None
    if bool(values.get("tls_certificate")) != bool(values.get("tls_key")):
        raise SettingsError("CALLER_TLS_CERTIFICATE and CALLER_TLS_KEY need each other.")
    read = Settings(**values)
    for problem in _contradictions(read):
        raise SettingsError(problem)
    return read


def _contradictions(read: Settings) -> Iterator[str]:
    """Yield contradictions between settings that are valid by themselves."""
    if bool(read.twilio_api_key_sid) != bool(read.twilio_api_key_secret):
        yield "CALLER_TWILIO_API_KEY_SID and CALLER_TWILIO_API_KEY_SECRET need each other."
    if (read.twilio_region or read.twilio_edge) and read.carrier_url != Settings().carrier_url:
        yield (
            "CALLER_TWILIO_REGION and CALLER_TWILIO_EDGE name the host of Twilio's API: leave"
            " CALLER_CARRIER_URL out."
        )
    if read.top_up_min > read.top_up_max:
        yield "CALLER_TOP_UP_MIN is above CALLER_TOP_UP_MAX, so no top-up is possible."
    if not read.top_up_min:
        yield "CALLER_TOP_UP_MIN must be more than 0."
    if beyond := [amount for amount in read.top_up_amounts if amount > read.top_up_max]:
        yield (
            f"CALLER_TOP_UP_AMOUNTS offers {in_units(max(beyond))}, which is above"
            f" CALLER_TOP_UP_MAX ({in_units(read.top_up_max)})."
        )
    digits = exponent(read.currency)
    if finer := [amount for amount in read.top_up_amounts if amount % 10 ** (6 - digits)]:
        yield (
            f"CALLER_TOP_UP_AMOUNTS offers {in_units(finer[0])}, which no card pays in"
            f" {read.currency}: amounts have at most {digits} decimals there."
        )
    if read.stripe_webhook_secrets and not read.stripe_api_key:
        yield "CALLER_STRIPE_WEBHOOK_SECRETS needs CALLER_STRIPE_API_KEY: no card pays without it."
    yield from _of_posts(read)
    yield from _of_documents(read)
    if everyone := knobs.much_of_the_internet(read.trusted_proxies):
        yield (
            f"CALLER_TRUSTED_PROXIES trusts everyone ({everyone}): anyone could choose the"
            " address they are counted by. Name the proxy's own address or network."
        )


def _of_documents(read: Settings) -> Iterator[str]:
    """Yield the same for texts that people accept."""
    for name, file, versions in (
        ("TERMS", read.terms_file, read.terms_versions),
        ("PRIVACY", read.privacy_file, read.privacy_versions),
    ):
        if bool(file) != bool(versions):
            yield (
                f"{PREFIX}{name}_FILE and {PREFIX}{name}_VERSIONS need each other: what people"
                " accept is a version."
            )


def _of_posts(read: Settings) -> Iterator[str]:
    """Yield the same for mails, events and who writes them."""
    if read.operator_address and not read.operator:
        yield "CALLER_OPERATOR_ADDRESS needs CALLER_OPERATOR: an address alone says nothing."
    if read.smtp_url and not read.mail_from:
        yield "CALLER_MAIL_FROM must be a mail address; CALLER_SMTP_URL needs it."
    for name, value in (("MAIL_FROM", read.mail_from), ("ALARM_EMAIL", read.alarm_email)):
        if value and not read.smtp_url:
            yield f"{PREFIX}{name} needs CALLER_SMTP_URL: without a mail server no mail is sent."
    if any(len(key.reveal()) < _KEY_CHARS_MIN for key in read.second_factor_keys):
        yield f"CALLER_SECOND_FACTOR_KEYS has a key of less than {_KEY_CHARS_MIN} characters."
    if read.otlp_headers and not read.otlp_url:
        yield "CALLER_OTLP_HEADERS needs CALLER_OTLP_URL: without a collector they are not sent."
    if bool(read.events_url) != bool(read.events_secret):
        yield "CALLER_EVENTS_URL and CALLER_EVENTS_SECRET need each other: posts are signed."


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""
