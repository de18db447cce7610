"""Settings: read once, bounded, documented."""

import pytest

from gateway.errors import SettingsError
from gateway.settings import Settings, from_mapping


def test_nothing_set_is_the_defaults():
    assert from_mapping({"PATH": "/bin", "HOME": "/"}) == Settings()


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
        ("CALLER_NODE", "Node 1", "must match"),
        ("CALLER_CALLER_ID", "0123", "must match"),
        ("CALLER_LOG_LEVEL", "loud", "debug, info"),
        ("CALLER_CURRENCY", "XXX", "currency"),
        ("CALLER_PHONEBOOK", "1=a", "+number=label"),
        ("CALLER_REDIS_URL", "http://redis", "must match"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value, named):
    with pytest.raises(SettingsError) as caught:
        from_mapping({name: value})
    assert name in str(caught.value)
    assert named in str(caught.value)


def test_the_origin_follows_from_host_and_port():
    assert from_mapping({"CALLER_PORT": "9"}).origin == "http://127.0.0.1:9"
    assert from_mapping({"CALLER_HOST": "0.0.0.0"}).origin == "http://127.0.0.1:8080"
    public = from_mapping({"CALLER_PUBLIC_ORIGIN": "https://Calls.example.com/"})
    assert public.origin == "https://calls.example.com"
    assert public.media_origin == "wss://calls.example.com"
    assert public.page_origins == {"https://calls.example.com"}


def test_a_local_gateway_takes_pages_of_either_local_name():
    assert from_mapping({}).page_origins == {"http://127.0.0.1:8080", "http://localhost:8080"}


def test_secrets_are_not_shown():
    shown = repr(
        from_mapping({"CALLER_TWILIO_AUTH_TOKEN": "hush", "CALLER_REDIS_URL": "redis://u:hush@h"})
    )
    assert "hush" not in shown
