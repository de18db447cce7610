"""Requests passkeys from browsers, and checks the answers (W3C WebAuthn Level 3).

Runs off the event loop, a few at a time: a stranger sends the CBOR and signatures, bounded only by
the size of a form.
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
"""W3C WebAuthn Level 3, 13.4.3, requires 16 at least."""
ALGORITHMS: Final = (-7, -8, -257)
"""COSE: ES256, EdDSA, RS256; Windows Hello may support only the last."""
TIMEOUT_MS: Final = 300_000
"""How long a browser may wait for its person (15.1: five minutes)."""
_AT_ONCE: Final = 2
_WAITING_MAX: Final = 32

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The relying party: to a browser a passkey belongs to a host, and works on no other."""

    id: str
    """The host of our pages; empty if it cannot have passkeys, such as an IP address."""
    name: str
    origins: Collection[str]
    """The origins of our pages."""

    @property
    def origin(self) -> str:
        """The origin at which passkeys work; empty if there is none."""
        found = (each for each in self.origins if self.id and urlsplit(each).hostname == self.id)
        return next(found, "")


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a browser reports about a passkey that it has created."""

    credential_id: str
    public_key: bytes = field(repr=False)
    sign_count: int
    is_synced: bool
    is_backed_up: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose passkey an answer claims to be; proves nothing."""

    credential_id: str
    user_handle: bytes
    """Empty if the browser has not sent it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a passkey has signed, beside the challenge."""

    sign_count: int
    is_backed_up: bool


def creation_options(
    party: RelyingParty, account_id: str, email: str, challenge: bytes, known: Sequence[str]
) -> Mapping[str, Any]:
    """Return the options for `navigator.credentials.create`, with bytes in base64url.

    `known` are the credential ids that the account has: a device creates no second one.
    """
    return {
        "rp": {"id": party.id, "name": party.name},
        # The handle must not identify the person (14.6.1): the account's number is random.
        "user": {"id": _text(account_id.encode()), "name": email, "displayName": email},
        "challenge": _text(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in ALGORITHMS],
        "timeout": TIMEOUT_MS,
        "excludeCredentials": [{"type": "public-key", "id": each} for each in known],
        "authenticatorSelection": {
            # A discoverable, user-verified key needs no address, and is two factors in one.
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(party: RelyingParty, challenge: bytes) -> Mapping[str, Any]:
    """Return the options for `navigator.credentials.get`, with bytes in base64url.

    It lists no passkeys: that would need the address first, and reveal which addresses exist.
    """
    return {
        "rpId": party.id,
        "challenge": _text(challenge),
        "timeout": TIMEOUT_MS,
        "userVerification": "required",
    }


def claimed(answer: str) -> Claim | None:
    """Return whose passkey an answer claims to be; None if it is malformed."""
    try:
        read = json.loads(answer)
        credential_id = read["id"]
        handle = read["response"].get("userHandle") or ""
        claim = Claim(credential_id, base64.urlsafe_b64decode(handle + "=" * (-len(handle) % 4)))
    # RecursionError comes from deep nesting; the others from fields that are missing or of another
    # type.
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    is_text = isinstance(credential_id, str) and credential_id.isascii()
    return claim if is_text and "\0" not in credential_id else None


class PasskeyProofs:
    """Checks answers. Raises HasherBusyError if too many are waiting."""

    def __init__(self, party: RelyingParty) -> None:
        """Take the relying party."""
        self.party = party
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def new_key(self, answer: str, challenge: bytes) -> NewKey | None:
        """Return the passkey that a browser has created for a challenge.

        None if the answer is wrong.
        """
        return await self._judged(lambda: _new_key(self.party, answer, challenge))

    async def signed(self, answer: str, challenge: bytes, public_key: bytes) -> Signed | None:
        """Return what the passkey of a public key has signed; None if the answer is wrong."""
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
    # The bytes come from a stranger, and go through parsers of JSON, CBOR, COSE and X.509, which
    # fail with errors of their own. Any failure means that nothing is proven.
    except Exception:
        return None


def _is_of_own_page(answer: str) -> bool:
    """Return whether a browser says that a page of the origin itself asked.

    A page embedded in another site is refused: none of ours ever is (W3C WebAuthn Level 3, 7.1 and
    7.2, of `crossOrigin` and `topOrigin`).
    """
    encoded = json.loads(answer)["response"]["clientDataJSON"]
    said = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return said.get("crossOrigin", False) is False and "topOrigin" not in said


def _new_key(party: RelyingParty, answer: str, challenge: bytes) -> NewKey | None:
    # Imported in the thread, for the first passkey: it takes half a second.
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
        # `accounts.passkey` judges what a count means.
        credential_current_sign_count=0,
        require_user_verification=True,
    )
    return Signed(found.new_sign_count, found.credential_backed_up)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
