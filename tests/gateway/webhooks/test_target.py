"""Webhooks go to the internet over TLS, to nothing inside a network, however it is written."""

from ipaddress import IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks.target import Unfit, UnfitTargetError, is_public, read_target

INSIDE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "192.88.99.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::8.8.8.8",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "ff0e::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "2606:4700::1%1",
    "",
    "localhost",
    "127.1",
    "0x7f.1",
    "1.2.3.4.5",
]
NAT64 = IPv6Network("64:ff9b::/96")
OUTSIDE = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "192.169.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_internet_is_public(address):
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_address_is_public_that_python_knows_not_to_be(address):
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
    # However it is wrapped, it is never more than it is.
    number = int(address)
    mapped, nat64 = IPv6Address((0xFFFF << 32) | number), IPv6Address((0x64_FF9B << 96) | number)
    assert not is_public(str(mapped))
    assert is_public(str(nat64)) == is_public(str(address))


@given(st.ip_addresses(v=6))
def test_no_address_of_ipv6_is_public_that_python_knows_not_to_be(address):
    if is_public(str(address)) and address not in NAT64:
        assert address.is_global
        assert not address.is_multicast
        assert address.ipv4_mapped is address.sixtofour is address.teredo is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?a=b%20c&d=1",
        "https://EXAMPLE.com./",
        "https://a-b.example.co.uk:8443/x",
        "https://example.com:443/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:4430/",
        "https://xn--mnchen-3ya.example/",
        "https://1.example/",
    ],
)
def test_addresses_of_the_internet_are_taken(url):
    target = read_target(url)
    assert target.url == url
    assert not target.is_trusted
    assert target.host == target.host.lower().rstrip(".")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", Unfit.FORM),
        ("ftp://example.com/", Unfit.FORM),
        ("//example.com/", Unfit.FORM),
        ("https:///x", Unfit.FORM),
        ("https://", Unfit.FORM),
        ("example.com", Unfit.FORM),
        ("https://exa mple.com/", Unfit.FORM),
        ("https://example.com/\n", Unfit.FORM),
        ("https://example.com/\t", Unfit.FORM),
        ("https://example.com/\0", Unfit.FORM),
        ("https://münchen.example/", Unfit.FORM),
        ("https://example.com/é", Unfit.FORM),
        ("https://a\\@b.com/", Unfit.FORM),
        ("https://a..b/", Unfit.FORM),
        ("https://-a.com/", Unfit.FORM),
        ("https://a.com:x/", Unfit.FORM),
        ("https://a.com:99999/", Unfit.FORM),
        ("https://[::1/", Unfit.FORM),
        ("https://[fe80::1%25eth0]/", Unfit.FORM),
        ("https://[v1.a]/", Unfit.FORM),
        ("https://127.1/", Unfit.FORM),
        ("https://2130706433/", Unfit.FORM),
        ("https://0x7f.0.0.1/", Unfit.FORM),
        ("https://0x7f000001/", Unfit.FORM),
        ("https://127.0.0.01/", Unfit.FORM),
        ("https://a.com.123/", Unfit.FORM),
        ("https://" + "a" * 64 + ".com/", Unfit.FORM),
        ("https://" + "a." * 130 + "com/", Unfit.FORM),
        ("https://example.com/" + "a" * 2_000, Unfit.FORM),
        ("https://user@example.com/", Unfit.CREDENTIALS),
        ("https://user:secret@example.com/", Unfit.CREDENTIALS),
        ("https://:@example.com/", Unfit.CREDENTIALS),
        ("https://example.com/#part", Unfit.FRAGMENT),
        ("https://example.com/#", Unfit.FRAGMENT),
        ("https://example.com:0/", Unfit.PORT),
        ("https://example.com:22/", Unfit.PORT),
        ("https://example.com:1023/", Unfit.PORT),
        ("https://localhost/", Unfit.PRIVATE),
        ("https://LOCALHOST./", Unfit.PRIVATE),
        ("https://db.localhost/", Unfit.PRIVATE),
        ("https://postgres:5432/", Unfit.PRIVATE),
        ("https://127.0.0.1:5432/", Unfit.PRIVATE),
        ("https://169.254.169.254/latest/meta-data/", Unfit.PRIVATE),
        ("https://[::1]/", Unfit.PRIVATE),
        ("https://[::ffff:10.0.0.1]/", Unfit.PRIVATE),
        ("https://[::ffff:a00:1]/", Unfit.PRIVATE),
        ("https://[64:ff9b::a00:1]/", Unfit.PRIVATE),
    ],
)
def test_other_addresses_are_refused_with_the_reason(url, why):
    with pytest.raises(UnfitTargetError) as refused:
        read_target(url)
    assert refused.value.why is why
    # The text goes into logs: it has nothing of the address.
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://hooks:80/x", "https://hooks/", "http://127.0.0.1:1024/", "https://[::1]:443/"]
)
def test_hosts_that_the_operator_allows_are_taken_wherever_they_are(url):
    assert read_target(url, ("hooks", "127.0.0.1", "::1")).is_trusted


def test_allowing_one_host_allows_no_other():
    for url in ("http://example.com/", "https://127.0.0.2/", "https://hooks.localhost/"):
        with pytest.raises(UnfitTargetError):
            read_target(url, ("hooks", "127.0.0.1"))


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_refused(text):
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            target = read_target(url)
        except UnfitTargetError:
            continue
        assert target.url.lower().startswith("https://")
        try:
            assert is_public(str(ip_address(target.host)))
        except ValueError:
            assert "." in target.host


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:22/", "http://127.0.0.1:443/", "https://127.0.0.1:80/", "https://hooks:0/"],
)
def test_what_listens_below_is_no_receiver_inside_either(url):
    with pytest.raises(UnfitTargetError) as refused:
        read_target(url, ("hooks", "127.0.0.1"))
    assert refused.value.why is Unfit.PORT
