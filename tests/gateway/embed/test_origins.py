"""Origins of host pages: one text for each, and a clear word for whatever is none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.embed.origins import OriginError, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://example.com", "https://example.com"),
        (" https://Shop.Example.com/ ", "https://shop.example.com"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
        ("https://例え.テスト", "https://xn--r8jz45g.xn--zckzah"),
        ("https://intranet", "https://intranet"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://localhost:80", "http://localhost"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://localhost", "https://localhost"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(text, origin):
    assert parse_origin(text) == origin
    assert parse_origin(origin) == origin


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "origin_invalid"),
        ("example.com", "origin_invalid"),
        ("//example.com", "origin_invalid"),
        ("https://*.example.com", "origin_wildcard"),
        ("*", "origin_wildcard"),
        ("https://example.com/shop", "origin_path"),
        ("https://example.com?a=1", "origin_path"),
        ("https://example.com#a", "origin_path"),
        ("http://example.com", "origin_insecure"),
        ("http://localhost.example.com", "origin_insecure"),
        ("ftp://example.com", "origin_invalid"),
        ("javascript:alert(1)", "origin_invalid"),
        ("null", "origin_invalid"),
        ("https://user@example.com", "origin_invalid"),
        ("https://example.com:0", "origin_invalid"),
        ("https://example.com:99999", "origin_invalid"),
        ("https://192.0.2.1", "origin_address"),
        ("https://[2001:db8::1]", "origin_address"),
        ("https://0x7f.1", "origin_address"),
        ("https://127.1", "origin_address"),
        ("https://example.0X", "origin_address"),
        ("https://１９２.0.2.1", "origin_address"),
        ("https://example.com; script-src *", "origin_wildcard"),
        ("https://example.com; script-src x", "origin_invalid"),
        ("https://exa mple.com", "origin_invalid"),
        ("https://exa\tmple.com", "origin_invalid"),
        ("https://exa\nmple.com", "origin_invalid"),
        ("https://-example.com", "origin_invalid"),
        ("https://example..com", "origin_invalid"),
        ("https://example.com.", "origin_invalid"),
        ("https://" + "a" * 300 + ".com", "origin_invalid"),
    ],
)
def test_what_is_no_origin_is_named(text, code):
    with pytest.raises(OriginError) as refused:
        parse_origin(text)
    assert refused.value.code == code


ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


@given(st.text(max_size=40) | st.from_regex(r"https?://[^/]{1,20}(:[0-9]{1,6})?/?", fullmatch=True))
def test_whatever_is_typed_nothing_gets_into_a_policy_but_an_origin(text):
    try:
        origin = parse_origin(text)
    except OriginError:
        return
    assert ORIGIN.fullmatch(origin)
    assert parse_origin(origin) == origin
