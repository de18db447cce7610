"""Settings: read once, bounded, documented."""

import re
from dataclasses import fields

import pytest

from gateway import setting_forms
from gateway.errors import SettingsError
from gateway.knobs import Form
from gateway.secret import Secret
from gateway.settings import Settings
from gateway.settings_variables import from_mapping


def test_nothing_set_is_the_defaults():
    assert from_mapping({"PATH": "/bin", "HOME": "/"}) == Settings()
    # An operator's shell may have what `caller-remote` reads.
    assert from_mapping({"CALLER_REMOTE_URL": "https://a", "CALLER_REMOTE_KEY": "k"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("CALLER_PORTT", "1", "CALLER_PORT"),
        ("CALLER_PORT", "eighty", "0 to 65535"),
        ("CALLER_PORT", "70000", "0 to 65535"),
        ("CALLER_PORT", "-1", "0 to 65535"),
        ("CALLER_CALLS_MAX", "0", "1 to 10000"),
        ("CALLER_PUBLIC_ORIGIN", "calls.example.com", "origin"),
        ("CALLER_PUBLIC_ORIGIN", "https://calls.example.com/path", "origin"),
        ("CALLER_PUBLIC_ORIGIN", "https://user@calls.example.com", "origin"),
        ("CALLER_NODE", "Node 1", "small letters, digits and -, such as n1"),
        ("CALLER_CALLER_ID", "0123", "a number with its country code, such as +1"),
        ("CALLER_LOG_LEVEL", "loud", "debug, info"),
        ("CALLER_CURRENCY", "XXX", "currency"),
        ("CALLER_PHONEBOOK", "1=a", "+number=label"),
        (
            "CALLER_REDIS_URL",
            "http://redis",
            "such as redis://user:password@host:6379/0 (rediss://",
        ),
        ("CALLER_REDIS_URL", "redis://u:p@ss@redis", "percent-encoded"),
        ("CALLER_TOP_UP_AMOUNTS", "10,0", "amounts such as"),
        ("CALLER_TRUSTED_PROXIES", "proxy.example.com", "IP addresses"),
        ("CALLER_TRUSTED_PROXIES", "10.0.0.1/8", "networks such as"),
        ("CALLER_TRUSTED_PROXIES", "*", "IP addresses"),
        ("CALLER_VELOCITY_LIMITS", "calls=3", "velocity limit"),
        ("CALLER_VELOCITY_LIMITS", "key_calls_hour=0", "name=off"),
        ("CALLER_OPEN_HIGH_RISK", "Cuba", "leading digits"),
        ("CALLER_TLS_CERTIFICATE", "a.pem", "CALLER_TLS_KEY"),
        ("CALLER_TLS_KEY", "a.key", "CALLER_TLS_CERTIFICATE"),
        ("CALLER_PUBLIC_IPS", "203.0.113.7,0.0.0.0", "lead to this host"),
        ("CALLER_PUBLIC_IPS", "::", "lead to this host"),
        ("CALLER_PUBLIC_IPS", "0.0.0.1", "lead to this host"),
        ("CALLER_PUBLIC_IPS", "::ffff:0.0.0.0", "lead to this host"),
        ("CALLER_PUBLIC_IPS", "224.0.0.1", "lead to this host"),
        ("CALLER_PUBLIC_IPS", "ff02::1", "lead to this host"),
        ("CALLER_PUBLIC_IPS", "::ffff:224.0.0.1", "lead to this host"),
        ("CALLER_PUBLIC_IPS", "255.255.255.255", "lead to this host"),
        ("CALLER_EVENTS_URL", "http://[::1/x", "a URL with a host"),
        ("CALLER_EVENTS_URL", "https://a.example:99999/x", "a port from 1 to 65535"),
        ("CALLER_EVENTS_URL", "https://a.example:0/x", "a port from 1 to 65535"),
        ("CALLER_EVENTS_URL", "https://:80/x", "a URL with a host"),
        ("CALLER_OTLP_URL", "127.0.0.1:4318", "such as http://127.0.0.1:4318"),
        ("CALLER_OTLP_URL", "http://127.0.0.1:4318/?a=b", "without ? and #"),
        ("CALLER_OTLP_URL", "http://127.0.0.1:43180000", "a port from 1 to 65535"),
        ("CALLER_OTLP_HEADERS", "a=b", "CALLER_OTLP_URL"),
        *(
            ("CALLER_TRACES_RATIO", value, "a decimal fraction from 0 to 1")
            for value in ("", "2", "1.5", "-0", "1e-3", "nan", "0.", ".5", "0,5", "٠", "00")
        ),
        ("CALLER_SMTP_URL", "smtp://a.example:99999", "a port from 1 to 65535"),
        ("CALLER_CARRIER_URL", "https://[::1", "origin such as"),
        ("CALLER_PUBLIC_ORIGIN", "https://calls.example.com:99999", "origin such as"),
        ("CALLER_PUBLIC_ORIGIN", "https://calls..example.com", "two dots in a row"),
        ("CALLER_PUBLIC_ORIGIN", "https://.example.com:8443/", "begins with a dot"),
        ("CALLER_PUBLIC_ORIGIN", "https://calls.example.com.", "ends with a dot"),
        ("CALLER_PUBLIC_ORIGIN", "https://calls.example.com.:8443", "ends with a dot"),
        ("CALLER_PUBLIC_ORIGIN", f"https://{'a' * 64}.example.com", "more than 63 characters"),
        ("CALLER_ALLOWED_ORIGINS", "https://a.example,https://b.example.", "ends with a dot"),
        ("CALLER_WEBHOOK_PRIVATE_HOSTS", "ci..internal", "two dots in a row"),
        ("CALLER_WEBHOOK_PRIVATE_HOSTS", "ci.internal.", "ends with a dot"),
        ("CALLER_EVENTS_URL", "https://a..example/x", "two dots in a row"),
        ("CALLER_TRUSTED_PROXIES", "::ffff:0.0.0.0/96", "trusts everyone"),
        ("CALLER_TRUSTED_PROXIES", "::ffff:0.0.0.0/97,::ffff:128.0.0.0/97", "trusts everyone"),
        ("CALLER_TRUSTED_PROXIES", "0.0.0.0/1,::ffff:128.0.0.0/97", "trusts everyone"),
        ("CALLER_TRUSTED_PROXIES", "::/64", "trusts everyone"),
        ("CALLER_TOP_UP_AMOUNTS", "10,5.005", "which no card pays in USD"),
        ("CALLER_VELOCITY_LIMITS", "key_calls_hour=5,all=off,key_calls_hour=off", "parts 1 and 3"),
        ("CALLER_PHONEBOOK", "+15005551000=A,+15005551000=B", "parts 1 and 2"),
        ("CALLER_TERMS_VERSIONS", "2026", "dates such as"),
        ("CALLER_TERMS_VERSIONS", "2026-12-01:major", "dates such as"),
        ("CALLER_TERMS_VERSIONS", "2026-12-01.1", "dates such as"),
        ("CALLER_TERMS_VERSIONS", "2026-02-30", "not in the calendar"),
        ("CALLER_TERMS_VERSIONS", "2026-12-02,2026-12-01", "oldest first"),
        ("CALLER_TERMS_VERSIONS", "2026-12-01,2026-12-01:minor", "each version once"),
        ("CALLER_TERMS_VERSIONS", "2026-12-01:minor", "without :minor"),
        ("CALLER_TERMS_VERSIONS", "2026-12-01", "CALLER_TERMS_FILE"),
        ("CALLER_PRIVACY_FILE", "privacy.txt", "CALLER_PRIVACY_VERSIONS"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value, named):
    with pytest.raises(SettingsError) as caught:
        from_mapping({name: value})
    assert name in str(caught.value)
    assert named in str(caught.value)


def test_what_looks_like_those_is_taken():
    given = {
        "CALLER_PUBLIC_IPS": "10.0.0.1,fe80::1,127.0.0.1",
        "CALLER_EVENTS_URL": "https://[::1]:8443/x?y=z",
        "CALLER_EVENTS_SECRET": "whsec_" + "a" * 32,
        "CALLER_TRUSTED_PROXIES": "::ffff:10.0.0.0/104,::1",
        "CALLER_TOP_UP_AMOUNTS": "10,5.05",
        "CALLER_VELOCITY_LIMITS": "all=off,key_calls_hour=5",
        "CALLER_PHONEBOOK": "+15005551000=A,+15005551001=A",
    }
    assert len(from_mapping(given).top_up_amounts) == 2


@pytest.mark.parametrize(("text", "ratio"), [("0", 0.0), ("1", 1.0), ("1.0", 1.0), ("0.05", 0.05)])
def test_a_ratio_is_a_decimal_fraction(text, ratio):
    assert from_mapping({"CALLER_TRACES_RATIO": text}).traces_ratio == ratio


def test_a_currency_without_cents_has_no_amounts_with_them():
    given = {"CALLER_CURRENCY": "JPY", "CALLER_TOP_UP_AMOUNTS": "1000,2.50"}
    given |= {"CALLER_TOP_UP_MAX": "10000"}
    with pytest.raises(SettingsError, match=r"in JPY: amounts have at most 0 decimals"):
        from_mapping(given)


def test_the_origin_follows_from_host_and_port():
    assert from_mapping({"CALLER_PORT": "9"}).origin == "http://127.0.0.1:9"
    assert from_mapping({"CALLER_HOST": "0.0.0.0"}).origin == "http://127.0.0.1:8080"
    public = from_mapping({"CALLER_PUBLIC_ORIGIN": "https://Calls.example.com/"})
    assert public.origin == "https://calls.example.com"
    assert public.media_origin == "wss://calls.example.com"
    assert public.page_origins == {"https://calls.example.com"}


def test_an_origin_has_no_port_that_its_scheme_has_anyway():
    """As browsers write it; else no page would be of it."""
    named = "https://a.example:443,http://b.example:80,https://c.example:8443,http://[::1]:80"
    origins = from_mapping({"CALLER_ALLOWED_ORIGINS": named}).allowed_origins
    assert tuple(origins) == (
        "https://a.example",
        "http://b.example",
        "https://c.example:8443",
        "http://[::1]",
    )
    public = from_mapping({"CALLER_PUBLIC_ORIGIN": "https://calls.example.com:443"})
    assert public.media_origin == "wss://calls.example.com"


def test_a_local_gateway_takes_pages_of_either_local_name():
    assert from_mapping({}).page_origins == {"http://127.0.0.1:8080", "http://localhost:8080"}


def test_with_tls_the_origin_is_https():
    tls = {"CALLER_TLS_CERTIFICATE": "a.pem", "CALLER_TLS_KEY": "a.key"}
    own = from_mapping(tls)
    assert own.origin == "https://127.0.0.1:8080"
    assert own.page_origins == {"https://127.0.0.1:8080", "https://localhost:8080"}
    public = from_mapping({**tls, "CALLER_PUBLIC_ORIGIN": "https://calls.example.com"})
    assert public.origin == "https://calls.example.com"


def test_proxies_are_addresses_and_networks():
    given = from_mapping({"CALLER_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,2001:DB8::/32"})
    assert given.trusted_proxies == ("127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32")


def test_secrets_are_not_shown():
    shown = repr(
        from_mapping({"CALLER_TWILIO_AUTH_TOKEN": "hush", "CALLER_REDIS_URL": "redis://u:hush@h"})
    )
    assert "hush" not in shown


NOT_SECRET = {
    "twilio_api_key_sid",
    "token_ttl_s",
    "tls_key",
    "carrier_url",
    "stripe_url",
}
"""Named like a secret: an id, a time, the name of a file, and origins that hold no password."""


def test_every_knob_that_is_a_secret_is_of_the_type_that_hides_it():
    annotations = {knob.name: knob.type for knob in fields(Settings)}
    hidden = {name for name, kind in annotations.items() if "Secret" in kind}
    for name in annotations.keys() - NOT_SECRET:
        if re.search(r"secret|token|password|_key|_url$", name):
            assert name in hidden, name
    texts = {
        **dict.fromkeys(hidden, "hush"),
        "redis_url": "redis://u:hush@h",
        "database_url": "postgresql://u:hush@h/d",
        "smtp_url": "smtps://u:hush@h:1",
        "events_url": "https://h/hush",
        "events_secret": "whsec_" + "hush" * 8,
        "fleet_secret": "hush" * 8,
        "otlp_url": "https://h/hush",
        "stripe_api_key": "sk_test_hush",
        "stripe_webhook_secrets": "hush,hush2",
        "second_factor_keys": "hush" * 8,
    }
    given = {f"CALLER_{name.upper()}": texts[name] for name in hidden}
    # What these need beside them.
    given |= {"CALLER_TWILIO_API_KEY_SID": "SK" + "0" * 32, "CALLER_MAIL_FROM": "a@example.com"}
    read = from_mapping(given)
    for name in hidden:
        value = getattr(read, name)
        each = value if isinstance(value, tuple) else (value,)
        assert all(isinstance(secret, Secret) for secret in each), name
        assert ",".join(secret.reveal() for secret in each) == texts[name]
        for shown in (repr(value), f"{value}", f"{value!s:>30}", str(vars_of(read)[name])):
            assert "hush" not in shown, name
    assert "hush" not in repr(read)


def vars_of(settings):
    return {knob.name: getattr(settings, knob.name) for knob in fields(settings)}


def test_fraud_settings_are_lists():
    read = from_mapping(
        {
            "CALLER_VELOCITY_LIMITS": "key_calls_hour=9, number_calls_hour=off",
            "CALLER_OPEN_HIGH_RISK": "+53, 7840",
        }
    )
    assert read.velocity_limits == (("key_calls_hour", 9), ("number_calls_hour", None))
    assert read.open_high_risk == ("53", "7840")


def test_versions_are_kept_in_their_order():
    values = {"CALLER_TERMS_FILE": "a.txt", "CALLER_TERMS_VERSIONS": "2026-12-01, 2027-03-01:minor"}
    assert from_mapping(values).terms_versions == ("2026-12-01", "2027-03-01:minor")


def test_words_are_read_as_what_they_stand_for():
    read = from_mapping(
        {
            "CALLER_CURRENCY": "EUR",
            "CALLER_LOG_LEVEL": "debug",
            "CALLER_PHONEBOOK": "+15005551000=Home",
        }
    )
    assert (read.currency, read.log_level) == ("EUR", "debug")
    assert read.phonebook == ("+15005551000=Home",)


def test_a_key_of_second_factors_is_long_enough():
    whole = "k" * 32
    assert (
        len(from_mapping({"CALLER_SECOND_FACTOR_KEYS": f"{whole}, {whole}"}).second_factor_keys)
        == 2
    )
    with pytest.raises(SettingsError, match="less than 32 characters"):
        from_mapping({"CALLER_SECOND_FACTOR_KEYS": f"{whole},short"})


@pytest.mark.parametrize("name", ["CALLER_NODE", "CALLER_HOST", "CALLER_SERVICE_NAME"])
def test_a_text_that_is_empty_is_left_out(name):
    assert from_mapping({name: ""}) == from_mapping({})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"CALLER_TWILIO_REGION": "de1"}, "CALLER_TWILIO_REGION must be us1, ie1 or au1"),
        (
            {"CALLER_TWILIO_REGION": "ie1", "CALLER_CARRIER_URL": "https://carrier.example"},
            "leave CALLER_CARRIER_URL out",
        ),
    ],
)
def test_a_region_without_media_streams_or_at_another_carrier_is_none(given, words):
    with pytest.raises(SettingsError, match=words):
        from_mapping(given)


def test_no_refusal_shows_a_pattern_and_each_example_in_one_passes():
    forms = {name: each for name, each in vars(setting_forms).items() if isinstance(each, Form)}
    assert len(forms) > 10
    for name, form in forms.items():
        assert not set(r"[]{}\^$*?") & set(form.words.replace("$(", "").replace("? and", "")), name
        with pytest.raises(ValueError, match="must be "):
            form.matching("\n<>")
        for example in re.findall(r"such as (\S+?),?(?= |$)", form.words):
            assert form.matching(example) == example
