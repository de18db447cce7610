"""Answers of passkeys: right for one challenge, one host and one person; else nothing."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.ports import HasherBusyError
from gateway.people import passkey_proofs
from gateway.people.passkey_proofs import (
    Claim,
    NewKey,
    PasskeyProofs,
    RelyingParty,
    Signed,
    claimed,
    creation_options,
    request_options,
)
from tests.gateway.people.memory import HOST
from tests.gateway.people.soft_passkey import BE, BS, UP, UV, SoftPasskey, cbor, text

PARTY = RelyingParty(HOST, "Example Calls", frozenset({f"https://{HOST}"}))
CHALLENGE, OTHER = bytes(range(32)), bytes(range(1, 33))
CREATION = creation_options(PARTY, "ada", "ada@example.com", CHALLENGE, ["known"])
REQUEST = request_options(PARTY, CHALLENGE)


@pytest.fixture
def proofs():
    return PasskeyProofs(PARTY)


def test_what_a_browser_is_told():
    assert CREATION["rp"] == {"id": HOST, "name": "Example Calls"}
    assert CREATION["user"]["id"] == text(b"ada")
    assert CREATION["excludeCredentials"] == [{"type": "public-key", "id": "known"}]
    selection = CREATION["authenticatorSelection"]
    assert selection["residentKey"] == selection["userVerification"] == "required"
    assert CREATION["attestation"] == "none"
    assert REQUEST["userVerification"] == "required"
    assert "allowCredentials" not in REQUEST, "it would tell which an account has"


@pytest.mark.parametrize(
    ("flags", "is_synced", "is_backed_up"),
    [(UP | UV, False, False), (UP | UV | BE, True, False), (UP | UV | BE | BS, True, True)],
)
async def test_a_passkey_is_made_and_signs(proofs, flags, is_synced, is_backed_up):
    passkey = SoftPasskey(flags=flags, sign_count=3)
    new = await proofs.new_key(passkey.create(CREATION), CHALLENGE)
    expected = (text(passkey.credential_id), 3, is_synced, is_backed_up)
    assert (new.credential_id, new.sign_count, new.is_synced, new.is_backed_up) == expected
    passkey.sign_count = 7
    answer = passkey.get(REQUEST, crossOrigin=False)
    assert claimed(answer) == Claim(new.credential_id, b"ada")
    assert await proofs.signed(answer, CHALLENGE, new.public_key) == Signed(7, is_backed_up)


WRONG = [
    ("challenge", {}, {"challenge": text(OTHER)}),
    ("origin", {"origin": "https://calls.example.org"}, {}),
    ("neighbour", {"origin": f"https://evil.{HOST}"}, {}),
    ("scheme", {"origin": f"http://{HOST}"}, {}),
    ("embedded in another site's page", {}, {"crossOrigin": True}),
    ("no answer to that", {}, {"crossOrigin": "true"}),
    ("a page above", {}, {"crossOrigin": False, "topOrigin": "https://evil.example"}),
    ("host", {"rp_id": "example.com"}, {}),
    ("nobody there", {"flags": UV}, {}),
    ("not unlocked", {"flags": UP}, {}),
    ("backed up without being synced", {"flags": UP | UV | BS}, {}),
    ("kind", {}, {"type": "payment.get"}),
]


@pytest.mark.parametrize(("passkey", "client"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
async def test_a_wrong_answer_proves_nothing(proofs, passkey, client):
    right = SoftPasskey()
    new = await proofs.new_key(right.create(CREATION), CHALLENGE)
    assert isinstance(new, NewKey)
    wrong = SoftPasskey(**passkey, key=right.key)
    assert await proofs.new_key(wrong.create(CREATION, **client), CHALLENGE) is None
    assert await proofs.signed(wrong.get(REQUEST, **client), CHALLENGE, new.public_key) is None
    assert await proofs.signed(right.get(REQUEST), CHALLENGE, new.public_key)


async def test_another_key_proves_nothing(proofs):
    right, other = SoftPasskey(), SoftPasskey()
    new = await proofs.new_key(right.create(CREATION), CHALLENGE)
    assert await proofs.signed(other.get(REQUEST), CHALLENGE, new.public_key) is None
    answer = right.get(REQUEST, signs=b"something else")
    assert await proofs.signed(answer, CHALLENGE, new.public_key) is None
    # An answer for adding a passkey signs no one in, and the other way round.
    assert await proofs.signed(right.create(CREATION), CHALLENGE, new.public_key) is None
    assert await proofs.new_key(right.get(REQUEST), CHALLENGE) is None


async def test_a_key_of_another_kind_is_not_taken(proofs, monkeypatch):
    monkeypatch.setattr(passkey_proofs, "ALGORITHMS", (-8,))
    assert await proofs.new_key(SoftPasskey().create(CREATION), CHALLENGE) is None


async def test_an_id_that_is_too_long_is_not_taken(proofs):
    passkey = SoftPasskey(credential_id=bytes(1024))
    assert await proofs.new_key(passkey.create(CREATION), CHALLENGE) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "rawId", "type", "response", "clientDataJSON", "userHandle"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.one_of(JSON.map(json.dumps), st.text(max_size=100)))
def test_whatever_a_browser_says_is_a_claim_or_none(answer):
    claim = claimed(answer)
    assert claim is None or (claim.credential_id.isascii() and "\0" not in claim.credential_id)


def test_deep_nesting_is_no_claim():
    assert claimed('{"id": "x", "response": ' + "[" * 100_000) is None


@settings(max_examples=30)
@given(st.binary(max_size=120), st.integers(0, 400))
def test_no_bytes_are_a_fault_of_ours(junk, at):
    """Bytes in the middle of what an authenticator has made."""
    passkey = SoftPasskey()
    answer = json.loads(passkey.create(CREATION))
    right = answer["response"]["attestationObject"]
    answer["response"]["attestationObject"] = right[:at] + text(junk) + right[at:]

    async def judge():
        return await PasskeyProofs(PARTY).new_key(json.dumps(answer), CHALLENGE)

    outcome = asyncio.run(judge())
    assert outcome is None or isinstance(outcome, NewKey)


async def test_no_more_wait_than_can_be_served(proofs, monkeypatch):
    monkeypatch.setattr(passkey_proofs, "_WAITING_MAX", 2)
    judged = await asyncio.gather(
        *(proofs.signed("{}", CHALLENGE, b"") for _ in range(4)), return_exceptions=True
    )
    assert [type(each) for each in judged].count(HasherBusyError) == 2
    assert await proofs.signed("{}", CHALLENGE, b"") is None


def test_small_numbers_are_written_as_cbor():
    assert cbor({1: -7, "a": b"x" * 300}) == b"\xa2\x01\x26\x61a\x59\x01\x2c" + b"x" * 300
