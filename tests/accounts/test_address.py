"""E-mail addresses: what is accepted, and which spellings are one mailbox."""

import traceback
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.address import LENGTH_MAX, parse_address
from accounts.errors import AddressError


def refused(text: str) -> str:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    return caught.value.code


@pytest.mark.parametrize(
    ("typed", "text", "key"),
    [
        ("ann@example.com", "ann@example.com", "ann@example.com"),
        ("  ann@example.com\n", "ann@example.com", "ann@example.com"),
        ("Ann.Lee@Example.COM", "Ann.Lee@example.com", "ann.lee@example.com"),
        ("ann+phone@example.com", "ann+phone@example.com", "ann+phone@example.com"),
        ("o'neil@example.org", "o'neil@example.org", "o'neil@example.org"),
        ("ann@bücher.example.net", "ann@bücher.example.net", "ann@xn--bcher-kva.example.net"),
        (
            "ann@xn--bcher-kva.example.net",
            "ann@bücher.example.net",
            "ann@xn--bcher-kva.example.net",
        ),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ann@example.com", "ann@example.com"),
        ("ann@пример.рф", "ann@пример.рф", "ann@xn--e1afmkfd.xn--p1ai"),
        ("ann@mail.пример.com", "ann@mail.пример.com", "ann@mail.xn--e1afmkfd.com"),
        ("1-2_3@example.com", "1-2_3@example.com", "1-2_3@example.com"),
    ],
)
def test_an_address_has_a_text_and_a_key(typed, text, key):
    address = parse_address(typed)
    assert (address.text, address.key) == (text, key)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        # Of mail servers that speak SMTPUTF8 all the way.
        "Jürgen@example.com",
        "почта@пример.рф",
        "山田tarou@example.jp",
        # What a header field cannot hold as it is (RFC 2047).
        "=?utf-8?q?x?=@example.com",
        "ann",
        "@example.com",
        "ann@",
        "ann@@example.com",
        "ann@localhost",
        "ann@host.localhost",
        "ann@example",
        "ann@host.test",
        "ann@host.local",
        "ann@host.invalid",
        "ann@host.onion",
        "ann@1.0.0.127.in-addr.arpa",
        "ann@[192.0.2.1]",
        "ann@[IPv6:2001:db8::1]",
        "ann@192.0.2.1",
        '"ann lee"@example.com',
        '"ann"@example.com',
        "Ann <ann@example.com>",
        "<ann@example.com>",
        "mailto:ann@example.com, bob@example.com",
        "ann@example.com,bob@example.com",
        "ann@example.com\nBcc: bob@example.com",
        "ann\r\n@example.com",
        "a\0nn@example.com",
        "a nn@example.com",
        "ann.@example.com",
        ".ann@example.com",
        "a..nn@example.com",
        "ann@example..com",
        "ann@-example.com",
        "ann@exa_mple.com",
        "ann@example.com.",
        "ann@xn--a.example.com",
        "bob＠ann@example.com",
        # Nothing that is not seen, and nothing that turns the reading round.
        "a\u200bnn@example.com",
        "a\u00adnn@example.com",
        "a\u202enn@example.com",
        "a\ufe0fnn@example.com",
        "a\u034fnn@example.com",
        "a\u3164nn@example.com",
        "a\U000e0101nn@example.com",
        "ann@exa\u200bmple.com\u2066",
        "\ud800@example.com",
        "a\ud800\n@example.com",
        "\u0301ann@example.com",
    ],
)
def test_what_is_no_address_is_refused(typed):
    assert refused(typed) == "address_invalid"


@pytest.mark.parametrize(
    "typed",
    [
        "p\u0430ypal@example.com",  # Cyrillic a
        "info.p\u0430ypal@example.com",
        "ann@ex\u0430mple.com",
        "ann@www.ex\u0430mple.com",
        "ann@xn--exmple-4nf.com",  # the same in Punycode
        "\u03bfnline@example.com",  # Greek o
        "ann\u0430+x@example.com",
        "\u043c\u03b1@example.com",  # Cyrillic beside Greek
        "a\u0561nn@example.com",  # Armenian
        "ひら\u0430@example.jp",
        "ひら한@example.jp",
    ],
)
def test_words_of_letters_that_no_language_writes_together_are_refused(typed):
    assert refused(typed) == "address_confusable"


@pytest.mark.parametrize(
    "typed",
    [
        "a" * 65 + "@example.com",
        "ü" * 33 + "@example.com",
        "ann@" + ".".join(["a" * 60] * 4) + ".example.com",
        "a" * 10_000 + "@example.com",
        "a" * 10_000,
        "\ufdfa" * 20 + "@example.com",  # eighteen characters each once it is taken apart
    ],
)
def test_an_address_that_is_too_long_is_refused(typed):
    assert refused(typed) == "address_too_long"


def test_an_address_may_be_as_long_as_mail_servers_take_it():
    domain = ".".join(["d" * 61, "d" * 61, "d" * 61, "com"])
    longest = "a" * (LENGTH_MAX - len(domain) - 1) + "@" + domain
    assert len(longest) == LENGTH_MAX
    assert parse_address(longest).key == longest
    assert refused("a" + longest) == "address_too_long"


def test_no_address_is_in_what_is_raised_or_printed():
    # Put together here, so that no line of this file shows it.
    name = "".join(reversed("sydobon"))
    with pytest.raises(AddressError) as caught:
        parse_address(f"{name}..x@example.com")
    assert name not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    assert "ann" not in repr(parse_address("ann@example.com"))


WORDS = st.text(st.sampled_from("abAB19äÄßıİſΣς\u0301éあカ漢한жЖ.+-_@ａ＠．ﬁK\u200b"), max_size=12)


@given(WORDS, st.sampled_from(["example.com", "Bücher.example.org", "пример.рф"]))
def test_a_key_is_its_own_key_and_whatever_case_or_form_is_typed(local, domain):
    try:
        address = parse_address(f"{local}@{domain}")
    except AddressError:
        return
    assert parse_address(address.text) == address
    assert parse_address(address.key).key == address.key
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert parse_address(unicodedata.normalize(form, address.text)).key == address.key
    assert parse_address(address.text.swapcase()).key.count("@") == 1


@given(st.text(max_size=80) | st.text('ab@.[]"<> ,:\\()+-', max_size=40))
def test_any_text_is_an_address_or_refused(text):
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert address.text.count("@") == address.key.count("@") == 1
    assert len(address.text.encode()) <= LENGTH_MAX
    assert len(address.key.encode()) <= LENGTH_MAX
    assert address.text.isprintable()
    assert address.key == address.key.strip().casefold()
