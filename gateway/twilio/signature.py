"""Whether a webhook or a media handshake was signed by Twilio for our account.

Source: Twilio, "Webhooks security" and "Sign webhooks with shared keys". Computes only; knows no
HTTP.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from twilio.request_validator import RequestValidator, get_signature_algorithm

from gateway.twilio.markup import WEBHOOK_OVERRIDES


class TwilioSignatureVerifier:
    """Checks that a webhook or a media handshake comes from the account's holder."""

    def __init__(self, auth_token: str, shared_keys: Sequence[str] = ()) -> None:
        """Verify with the auth token, and where a webhook rule names a SharedKey with its secret.

        Of `shared_keys` any may have signed: during a rotation the new one and the old one.
        """
        self._by_token = [RequestValidator(auth_token)]
        self._by_shared_key = [RequestValidator(secret) for secret in shared_keys]

    def verify(
        self, url: str, form: Mapping[str, Any], signature: str | None, settings: str = ""
    ) -> bool:
        """Whether `signature` signs the URL, as we wrote it, and all of the form's fields.

        Twilio signs with or without the port; both are accepted, as its own validator does. Whether
        the fragment by which we override its connection settings is signed, it does not say; both
        are accepted. `settings` is the header by which Twilio says that a SharedKey signed, and by
        which algorithm. Compared in constant time.
        """
        if not signature:
            return False
        algorithm = get_signature_algorithm(settings)
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
        except ValueError:
            return False


def _names_a_key(settings: str) -> bool:
    """Whether the header is of the form `key=<id>,algorithm=<name>`."""
    names = (part.partition("=") for part in settings.split(","))
    return any(name.strip() == "key" and value.strip() for name, _, value in names)


_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def _as_signed(url: str) -> Iterator[str]:
    """Yield the URL in every form that Twilio may have signed, the likeliest first."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    host = parts.netloc.removesuffix(f":{port}")
    for fragment in ("", WEBHOOK_OVERRIDES):
        for netloc in (host, f"{host}:{port}"):
            yield urlunsplit(parts._replace(netloc=netloc)) + fragment
