"""Whether a webhook or a media handshake was signed by Twilio for our account.

Source: Twilio, "Webhooks security". Computes only; knows no HTTP.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from twilio.request_validator import RequestValidator, get_signature_algorithm


class TwilioSignatureVerifier:
    """Checks that a webhook or a media handshake comes from the account's holder."""

    def __init__(self, auth_token: str) -> None:
        self._validator = RequestValidator(auth_token)

    def verify(
        self, url: str, form: Mapping[str, Any], signature: str | None, settings: str = ""
    ) -> bool:
        """Whether `signature` signs the URL, as we wrote it, and all of the form's fields.

        Twilio signs with or without the port; both are accepted. `settings` is the header that
        names another algorithm. Compared in constant time.
        """
        if not signature:
            return False
        algorithm = get_signature_algorithm(settings)
        try:
            given = signature.encode()
            expected = [
                self._validator.compute_signature(candidate, form, algorithm).encode()
                for candidate in _with_and_without_port(url)
            ]
        except ValueError:
            return False
        return any(hmac.compare_digest(given, each) for each in expected)


_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def _with_and_without_port(url: str) -> list[str]:
    parts = urlsplit(url)
    default = _DEFAULT_PORTS[parts.scheme]
    if parts.port not in (None, default):
        return [url]
    host = parts.netloc.removesuffix(f":{default}")
    return [urlunsplit(parts._replace(netloc=n)) for n in (host, f"{host}:{default}")]
