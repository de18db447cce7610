"""Checks that a webhook or a media handshake was signed by Twilio for our account.

Source: Twilio, "Webhooks security" and "Sign webhooks with shared keys". Pure.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from twilio.request_validator import RequestValidator, get_signature_algorithm

from gateway.carriers.twilio.markup import WEBHOOK_OVERRIDES

SIGNATURE_HINT: Final = (
    "Check CALLER_TWILIO_AUTH_TOKEN, CALLER_TWILIO_WEBHOOK_KEYS and CALLER_PUBLIC_ORIGIN."
)
"""What the operator should check where a signature is wrong."""


class TwilioSignatureVerifier:
    """Checks the signature of a webhook or of a media handshake."""

    def __init__(self, auth_tokens: Sequence[str], shared_keys: Sequence[str] = ()) -> None:
        """Take the auth tokens, and the secrets of SharedKeys that a webhook rule may name.

        Any of either may have signed: during a rotation both the old and the new one do.
        """
        self._by_token = [RequestValidator(token) for token in auth_tokens]
        self._by_shared_key = [RequestValidator(secret) for secret in shared_keys]

    def verify(
        self, url: str, form: Mapping[str, Any], signature: str | None, settings: str = ""
    ) -> bool:
        """Return whether `signature` covers the URL, as we wrote it, and all fields of the form.

        Twilio signs with or without the port; both are accepted, as its own validator does. It does
        not say whether the fragment that overrides its connection settings is signed; both are
        accepted. `settings` is the header that names the SharedKey and the algorithm. Compared in
        constant time.
        """
        if not signature:
            return False
        # HMAC-SHA1 by default; a webhook rule of the account may name SHA-256.
        algorithm = get_signature_algorithm(settings)
        # Never both: a header that names a SharedKey must not fall back to the auth token.
        validators = self._by_shared_key if _names_a_key(settings) else self._by_token
        try:
            given = signature.encode()
            return any(
                hmac.compare_digest(
                    given, validator.compute_signature(candidate, form, algorithm).encode()
                )
                for validator in validators
                for candidate in _as_signed(url)
            )
        # A port or a character that cannot be: what anybody may write into such a header.
        except ValueError:
            return False


def _names_a_key(settings: str) -> bool:
    """Return whether the header has the form `key=<id>,algorithm=<name>`."""
    names = (part.partition("=") for part in settings.split(","))
    return any(name.strip() == "key" and value.strip() for name, _, value in names)


_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def _as_signed(url: str) -> Iterator[str]:
    """Yield the URL in every form that Twilio may have signed, most likely first."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    host = parts.netloc.removesuffix(f":{port}")
    for fragment in ("", WEBHOOK_OVERRIDES):
        for netloc in (host, f"{host}:{port}"):
            yield urlunsplit(parts._replace(netloc=netloc)) + fragment
