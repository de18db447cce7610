"""Asks browsers for passkeys, and checks what they answer (W3C WebAuthn Level 3).

Off the event loop, a few at a time: an answer is CBOR and signatures of whatever length a stranger
likes within the bound of a form. Knows no account and no store.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from accounts.passkey import CREDENTIAL_ID_BYTES_MAX, PUBLIC_KEY_BYTES_MAX
from accounts.ports import HasherBusyError

CHALLENGE_BYTES: Final = 32
"""W3C WebAuthn Level 3, 13.4.3, asks for 16 at least."""
ALGORITHMS: Final = (-7, -8, -257)
"""COSE: ES256, EdDSA, RS256; the last is what Windows Hello may have only."""
TIMEOUT_MS: Final = 300_000
"""How long a browser may wait for its person (15.1: five minutes)."""
_AT_ONCE: Final = 2
_WAITING_MAX: Final = 32

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: to a browser a passkey belongs to a host, and works on no other."""

    id: str
    """The host of our pages; empty where it can have no passkeys, as an IP address."""
    name: str
    origins: Collection[str]
    """Of our pages."""

    @property
    def origin(self) -> str:
        """The one of them at which passkeys work; empty where there can be none."""
        found = (each for each in self.origins if self.id and urlsplit(each).hostname == self.id)
        return next(found, "")


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a browser tells of a passkey that it has made."""

    credential_id: str
    public_key: bytes = field(repr=False)
    sign_count: int
    is_synced: bool
    is_backed_up: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose passkey an answer says that it is; nothing is proven by that."""

    credential_id: str
    user_handle: bytes
    """Empty where the browser has not said it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a passkey has signed, beside the challenge."""

    sign_count: int
    is_backed_up: bool


def creation_options(
    party: RelyingParty, account_id: str, email: str, challenge: bytes, known: Sequence[str]
) -> Mapping[str, Any]:
    """Return what `navigator.credentials.create` is told, with bytes in base64url.

    `known` are the credential ids that the account has: none is made twice on one device.
    """
    return {
        "rp": {"id": party.id, "name": party.name},
        # The handle says nothing of the person (14.6.1): the account's number is random.
        "user": {"id": _text(account_id.encode()), "name": email, "displayName": email},
        "challenge": _text(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in ALGORITHMS],
        "timeout": TIMEOUT_MS,
        "excludeCredentials": [{"type": "public-key", "id": each} for each in known],
        "authenticatorSelection": {
            # So that it is found without an address, and is two factors in one.
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(party: RelyingParty, challenge: bytes) -> Mapping[str, Any]:
    """Return what `navigator.credentials.get` is told, with bytes in base64url.

    It names no passkey: an address would have to be asked for first, and be told apart.
    """
    return {
        "rpId": party.id,
        "challenge": _text(challenge),
        "timeout": TIMEOUT_MS,
        "userVerification": "required",
    }


def claimed(answer: str) -> Claim | None:
    """Return whose passkey an answer says that it is; None for what is no answer."""
    try:
        read = json.loads(answer)
        credential_id = read["id"]
        handle = read["response"].get("userHandle") or ""
        claim = Claim(credential_id, base64.urlsafe_b64decode(handle + "=" * (-len(handle) % 4)))
    # RecursionError comes from deep nesting; the others from whatever else is not in its place.
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    is_text = isinstance(credential_id, str) and credential_id.isascii()
    return claim if is_text and "\0" not in credential_id else None


class PasskeyProofs:
    """Checks answers. Raises HasherBusyError where too many wait."""

    def __init__(self, party: RelyingParty) -> None:
        """Take who asks."""
        self.party = party
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def new_key(self, answer: str, challenge: bytes) -> NewKey | None:
        """Return the passkey that a browser has made for a challenge; None where it is wrong."""
        return await self._judged(lambda: _new_key(self.party, answer, challenge))

    async def signed(self, answer: str, challenge: bytes, public_key: bytes) -> Signed | None:
        """Return what the passkey of a public key has signed; None where it is wrong."""
        return await self._judged(lambda: _signed(self.party, answer, challenge, public_key))

    async def _judged(self, judge: Callable[[], _T | None]) -> _T | None:
        if self._waiting >= _WAITING_MAX:
            raise HasherBusyError
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(_or_none, judge)
        finally:
            self._waiting -= 1


def _or_none(judge: Callable[[], _T | None]) -> _T | None:
    try:
        return judge()
    # The bytes are a stranger's, and go through parsers of JSON, CBOR, COSE and X.509, which fail
    # with errors of their own. Whatever fails has proven nothing.
    except Exception:
        return None


def _is_of_own_page(answer: str) -> bool:
    """Return whether a browser says that a page of the origin itself has asked.

    Not one that is embedded in another site's: no page of ours is (W3C WebAuthn Level 3, 7.1 and
    7.2, of `crossOrigin` and `topOrigin`).
    """
    encoded = json.loads(answer)["response"]["clientDataJSON"]
    said = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return said.get("crossOrigin", False) is False and "topOrigin" not in said


def _new_key(party: RelyingParty, answer: str, challenge: bytes) -> NewKey | None:
    # Loaded in the thread, for the first passkey: it takes half a second.
    from webauthn import verify_registration_response  # noqa: PLC0415
    from webauthn.helpers.cose import COSEAlgorithmIdentifier  # noqa: PLC0415
    from webauthn.helpers.structs import CredentialDeviceType  # noqa: PLC0415

    if not _is_of_own_page(answer):
        return None
    made = verify_registration_response(
        credential=answer,
        expected_challenge=challenge,
        expected_rp_id=party.id,
        expected_origin=list(party.origins),
        require_user_verification=True,
        supported_pub_key_algs=[COSEAlgorithmIdentifier(each) for each in ALGORITHMS],
    )
    is_short = (
        len(made.credential_id) <= CREDENTIAL_ID_BYTES_MAX
        and len(made.credential_public_key) <= PUBLIC_KEY_BYTES_MAX
    )
    if not is_short:
        return None
    return NewKey(
        _text(made.credential_id),
        made.credential_public_key,
        made.sign_count,
        made.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        made.credential_backed_up,
    )


def _signed(party: RelyingParty, answer: str, challenge: bytes, public_key: bytes) -> Signed | None:
    from webauthn import verify_authentication_response  # noqa: PLC0415

    if not _is_of_own_page(answer):
        return None
    found = verify_authentication_response(
        credential=answer,
        expected_challenge=challenge,
        expected_rp_id=party.id,
        expected_origin=list(party.origins),
        credential_public_key=public_key,
        # What a count means is judged by `accounts.passkey`.
        credential_current_sign_count=0,
        require_user_verification=True,
    )
    return Signed(found.new_sign_count, found.credential_backed_up)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
