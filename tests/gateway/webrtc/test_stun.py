"""STUN: the samples of RFC 5769, both directions of a check, and nothing but None for the rest."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webrtc import stun

# RFC 5769 section 2.
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
RESPONSE_IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
RESPONSE_IPV6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)


@pytest.fixture(scope="module")
def sample() -> stun.BindingRequest:
    request = stun.read_request(REQUEST, PASSWORD)
    assert request is not None
    return request


def check(**changes) -> bytes:
    arguments = {
        "transaction_id": TRANSACTION,
        "priority": 0x6E7F1EFF,
        "use_candidate": True,
        "tie_breaker": 2**64 - 1,
    }
    return stun.binding_request("ours:theirs", PASSWORD, **arguments | changes)


def signed(body: bytes, *, kind: bytes = b"\x00\x01", after: bytes = b"") -> bytes:
    """Return a message with intact integrity around any body, and what stands behind it."""
    head = kind + len(body).to_bytes(2, "big") + stun.COOKIE + TRANSACTION
    mac = stun._integrity(head + body, PASSWORD)
    whole = head + body + b"\x00\x08\x00\x14" + mac + after
    return stun._with_length(whole, len(whole))


def attribute(kind: int, value: bytes) -> bytes:
    return stun._attribute(kind, value)


NAME = attribute(stun.USERNAME, b"ours:theirs")


def test_the_sample_request_is_read(sample):
    assert stun.is_stun(REQUEST)
    assert stun.username_of(REQUEST) == "evtj:h6vY"
    assert sample == stun.BindingRequest(
        transaction_id=TRANSACTION,
        local_ufrag="evtj",
        remote_ufrag="h6vY",
        use_candidate=False,
        priority=0x6E0001FF,
        is_controlling=False,
    )


@pytest.mark.parametrize(
    ("response", "address"),
    [
        (RESPONSE_IPV4, ("192.0.2.1", 32853)),
        (RESPONSE_IPV6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_the_sample_responses_are_read(response, address):
    assert stun.read_success(response, PASSWORD, TRANSACTION) == address
    assert stun.read_success(response, b"another password", TRANSACTION) is None
    assert stun.read_success(response, PASSWORD, bytes(12)) is None


@pytest.mark.parametrize(
    ("response", "address"),
    [
        (RESPONSE_IPV4, ("192.0.2.1", 32853)),
        (RESPONSE_IPV6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_an_address_is_written_as_in_the_samples(sample, response, address):
    written = stun.binding_success(sample, address, PASSWORD)
    mapped = stun._attributes(response, stun.BINDING_SUCCESS)[stun.XOR_MAPPED_ADDRESS]
    assert response[mapped.start - 4 : mapped.stop] in written


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        (("203.0.113.9", 1), ("203.0.113.9", 1)),
        (("::1", 65535), ("::1", 65535)),
        (("fe80::1%eth0", 9), ("fe80::1", 9)),
        (("::ffff:203.0.113.9", 9), ("203.0.113.9", 9)),
    ],
)
def test_a_response_tells_where_the_request_came_from(sample, address, seen):
    response = stun.binding_success(sample, address, PASSWORD)
    assert stun.read_success(response, PASSWORD, TRANSACTION) == seen


@pytest.mark.parametrize("use_candidate", [True, False])
@pytest.mark.parametrize("is_controlling", [True, False])
def test_a_check_is_read_as_it_was_made(use_candidate, is_controlling):
    datagram = check(use_candidate=use_candidate, is_controlling=is_controlling)
    assert stun.read_request(datagram, PASSWORD) == stun.BindingRequest(
        transaction_id=TRANSACTION,
        local_ufrag="ours",
        remote_ufrag="theirs",
        use_candidate=use_candidate,
        priority=0x6E7F1EFF,
        is_controlling=is_controlling,
    )
    assert stun.read_request(datagram, b"") is None


def test_an_error_names_its_code_and_what_was_not_understood(sample):
    conflict = stun.binding_error(sample, stun.ROLE_CONFLICT, "Role Conflict", PASSWORD)
    assert conflict[:2] == stun.BINDING_ERROR
    assert attribute(stun.ERROR_CODE, b"\x00\x00\x04\x57Role Conflict") in conflict
    puzzled = replace(sample, unknown=(0x0026, 0x7FFF))
    error = stun.binding_error(puzzled, stun.UNKNOWN_ATTRIBUTE, "Unknown", PASSWORD)
    assert attribute(stun.UNKNOWN_ATTRIBUTES, b"\x00\x26\x7f\xff") in error
    for message in (conflict, error):
        attributes = stun._attributes(message, stun.BINDING_ERROR)
        assert stun._is_intact(message, attributes, PASSWORD)


def test_what_must_be_understood_is_told_from_what_may_be_ignored():
    body = NAME + attribute(0x0026, b"1234") + attribute(0xC057, b"5")
    assert stun.read_request(signed(body), PASSWORD).unknown == (0x0026,)


def test_what_follows_the_integrity_is_not_believed():
    request = stun.read_request(signed(NAME, after=attribute(stun.USE_CANDIDATE, b"")), PASSWORD)
    assert not request.use_candidate


def test_of_repeated_attributes_the_first_counts():
    body = NAME + attribute(stun.USERNAME, b"other:name")
    assert stun.read_request(signed(body), PASSWORD).local_ufrag == "ours"


@pytest.mark.parametrize(
    "datagram",
    [
        signed(b""),
        signed(attribute(stun.USERNAME, b"no colon")),
        signed(attribute(stun.USERNAME, b"\xff:\xfe")),
        signed(attribute(stun.USERNAME, b"a:" + b"b" * 512)),
        signed(NAME, kind=b"\x00\x11"),
        signed(NAME + attribute(stun.PRIORITY, b"123")),
        signed(NAME, after=attribute(stun.FINGERPRINT, b"1234")),
        signed(NAME, after=attribute(stun.FINGERPRINT, b"")),
        signed(NAME + attribute(0x8022, b"x" * 1300)),
        signed(NAME)[:-1] + b"\x00",
        NAME,
        check()[:-8] + check()[-8:-1] + b"\x00",
    ],
)
def test_no_request_is_made_of_what_is_wrong(datagram):
    assert stun.read_request(datagram, PASSWORD) is None


def test_attributes_are_bounded():
    most = NAME + attribute(0x8022, b"") * (stun.ATTRIBUTES_MAX - 2)
    assert stun.read_request(signed(most), PASSWORD) is not None
    assert stun.read_request(signed(most + attribute(0x8022, b"")), PASSWORD) is None


def test_a_fingerprint_stands_last():
    wrong = check() + attribute(0x8022, b"")
    assert stun.read_request(stun._with_length(wrong, len(wrong)), PASSWORD) is None


@pytest.mark.parametrize("whole", [REQUEST, RESPONSE_IPV4, RESPONSE_IPV6])
def test_no_part_of_a_message_is_a_message(whole):
    for length in range(len(whole)):
        assert stun.username_of(whole[:length]) is None
        assert stun.read_request(whole[:length], PASSWORD) is None
        assert stun.read_success(whole[:length], PASSWORD, TRANSACTION) is None


def test_one_wrong_bit_breaks_the_integrity():
    fingerprint_kind = range(len(REQUEST) - 8, len(REQUEST) - 6)
    for bit in range(8 * len(REQUEST)):
        changed = bytearray(REQUEST)
        changed[bit // 8] ^= 1 << bit % 8
        stun.username_of(bytes(changed))
        # Without its type a fingerprint is an attribute behind the integrity, and is passed over.
        is_read = stun.read_request(bytes(changed), PASSWORD) is not None
        assert is_read == (bit // 8 in fingerprint_kind), bit


@given(st.binary(max_size=1500))
def test_anything_may_come(datagram):
    stun.username_of(datagram)
    assert stun.read_request(datagram, PASSWORD) is None
    assert stun.read_success(datagram, PASSWORD, TRANSACTION) is None


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=20))
def test_any_authentic_body_is_read_or_refused(attributes):
    body = b"".join(attribute(kind, value) for kind, value in attributes)
    request = stun.read_request(signed(body), PASSWORD)
    assert request is None or request.transaction_id == TRANSACTION
    stun.read_success(signed(body, kind=stun.BINDING_SUCCESS), PASSWORD, TRANSACTION)


@pytest.mark.parametrize("first", range(256))
def test_the_first_byte_and_the_cookie_make_stun(first):
    assert stun.is_stun(bytes((first,)) + REQUEST[1:]) == (first < 4)
    assert not stun.is_stun(REQUEST[:4] + bytes(4) + REQUEST[8:])
    assert not stun.is_stun(b"")
