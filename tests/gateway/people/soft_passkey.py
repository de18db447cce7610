"""A passkey in software: makes and signs what a browser and its authenticator would.

Every part of an answer can be told to be wrong.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

UP, UV, BE, BS, AT = 1, 4, 8, 16, 64
"""Flags of W3C WebAuthn Level 3, 6.1: present, verified, synced, backed up, with a public key."""


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def plain(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def cbor(value) -> bytes:
    """Return a value as CBOR (RFC 8949): what attestations have of it."""
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    return _head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    if value < 256:
        return bytes([major << 5 | 24, value])
    return bytes([major << 5 | 25]) + struct.pack(">H", value)


@dataclass
class SoftPasskey:
    """One passkey, in a browser that shows pages of one origin."""

    origin: str = "https://calls.example.com"
    credential_id: bytes = b"a credential id of some length"
    flags: int = UP | UV | BE | BS
    sign_count: int = 0
    user_handle: bytes = b""
    rp_id: str = ""
    """Instead of the one that is asked for."""
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options, **client) -> str:
        """Return the answer to `navigator.credentials.create`."""
        self.user_handle = plain(options["user"]["id"])
        client_data = self._client_data("webauthn.create", options, **client)
        numbers = self.key.public_key().public_numbers()
        x, y = (each.to_bytes(32) for each in (numbers.x, numbers.y))
        public_key = cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        own = struct.pack(">16sH", bytes(16), len(self.credential_id)) + self.credential_id
        data = self._authenticator_data(options["rp"]["id"], self.flags | AT) + own + public_key
        attestation = cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(clientDataJSON=client_data, attestationObject=attestation)

    def get(self, options, *, signs=b"", **client) -> str:
        """Return the answer to `navigator.credentials.get`."""
        client_data = self._client_data("webauthn.get", options, **client)
        data = self._authenticator_data(options["rpId"], self.flags)
        signed = signs or data + hashlib.sha256(client_data).digest()
        signature = self.key.sign(signed, ec.ECDSA(SHA256()))
        parts = {"authenticatorData": data, "signature": signature, "clientDataJSON": client_data}
        return self._answer(**parts, **({"userHandle": h} if (h := self.user_handle) else {}))

    def _client_data(self, kind, options, **client) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps(said | client).encode()

    def _authenticator_data(self, rp_id: str, flags: int) -> bytes:
        rp_hash = hashlib.sha256((self.rp_id or rp_id).encode()).digest()
        return rp_hash + struct.pack(">BI", flags, self.sign_count)

    def _answer(self, **response: bytes) -> str:
        own = text(self.credential_id)
        parts = {name: text(value) for name, value in response.items()}
        return json.dumps({"id": own, "rawId": own, "type": "public-key", "response": parts})
