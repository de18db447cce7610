"""Reads and writes our cookies: of the session, of the device, and of ceremonies.

Each holds only a random secret, except the one that vouches for a sentence. Judges only a value's
form.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from accounts.ceremony import LIVES, CeremonyPurpose
from accounts.session import AGE_MAX

DEVICE_MAX = timedelta(days=365)
"""How long a browser is recognised after it was last signed in."""
CHALLENGES_MAX: Final = 8
"""Challenges for passkeys that one browser has at once: each open page requests its own."""
SAID_MAX: Final = timedelta(minutes=1)
"""How long a page may take to load that says what has just happened."""
_CHALLENGE = re.compile(r"[0-9a-f]{16}")
_SECRET = re.compile(r"[A-Za-z0-9._-]{16,128}")
"""A value that we may have created; nothing else is looked up in a store."""


class Cookies:
    """The cookies of one deployment.

    With https they have the prefix `__Host-` (RFC 6265bis, 4.1.3.2): a browser accepts such a name
    only from this very host, not from its subdomains. Without https it would refuse it.
    """

    def __init__(self, public_origin: str) -> None:
        self._is_secure = public_origin.startswith("https:")
        prefix = "__Host-" if self._is_secure else ""
        self.session_name: Final = f"{prefix}caller"
        self.device_name: Final = f"{prefix}caller-device"
        self.ceremony_name: Final = f"{prefix}caller-ceremony"
        self.said_name: Final = f"{prefix}caller-said"
        self._challenge_prefix: Final = f"{prefix}caller-passkey-"

    def session(self, request: Request) -> str:
        """Return the session's secret; empty if there is none."""
        return self._value(request, self.session_name)

    def device(self, request: Request) -> str:
        """Return the device's secret; empty if there is none."""
        return self._value(request, self.device_name)

    def ceremony(self, request: Request) -> str:
        """Return the secret of the browser's ceremony; empty if there is none."""
        return self._value(request, self.ceremony_name)

    def set_session(self, response: Response, secret: str) -> None:
        """Set the session cookie; the server decides how long the session really lasts."""
        self._set(response, self.session_name, secret, AGE_MAX)

    def set_device(self, response: Response, secret: str) -> None:
        """Set the cookie by which the browser is recognised next time."""
        self._set(response, self.device_name, secret, DEVICE_MAX)

    def set_ceremony(self, response: Response, secret: str) -> None:
        """Set the cookie with which the browser continues a ceremony."""
        self._set(response, self.ceremony_name, secret, max(LIVES.values()))

    def vouches(self, request: Request, said: str) -> bool:
        """Return whether we have just sent this very browser to a page that says this.

        Only this cookie proves it: anyone can make up the URL of a page.
        """
        return bool(said) and request.cookies.get(self.said_name) == said

    def set_said(self, response: Response, said: str) -> None:
        """Let the next page say what has just happened: the name of a sentence, never a text."""
        self._set(response, self.said_name, said, SAID_MAX)

    def challenge(self, request: Request, name: str) -> str:
        """Return the secret of the challenge with this name; empty if another browser has it.

        A form has only the name. So a challenge that someone else has begun, and had signed by
        their passkey, is useless in this browser: it would sign its user in to another person's
        account.
        """
        known = _CHALLENGE.fullmatch(name)
        return self._value(request, self._challenge_prefix + name) if known else ""

    def set_challenge(self, request: Request, response: Response, secret: str) -> None:
        """Set the cookie of a challenge for a passkey.

        The oldest ones beyond the maximum are dropped.
        """
        prefix = self._challenge_prefix
        others = [
            name
            for name in request.cookies
            if name.startswith(prefix) and _CHALLENGE.fullmatch(name.removeprefix(prefix))
        ]
        if len(others) >= CHALLENGES_MAX:
            for name in others:
                self._set(response, name, "", timedelta())
        self._set(response, prefix + challenge_name(secret), secret, LIVES[CeremonyPurpose.PASSKEY])

    def drop_ceremony(self, response: Response) -> None:
        """Delete the ceremony cookie."""
        self._set(response, self.ceremony_name, "", timedelta())

    def drop_said(self, response: Response) -> None:
        """Delete the cookie that vouches for a sentence, so that it is not shown again."""
        self._set(response, self.said_name, "", timedelta())

    def drop_session(self, response: Response) -> None:
        """Delete the session cookie."""
        self._set(response, self.session_name, "", timedelta())

    def _value(self, request: Request, name: str) -> str:
        value = request.cookies.get(name, "")
        return value if _SECRET.fullmatch(value) else ""

    def _set(self, response: Response, name: str, secret: str, lasts: timedelta) -> None:
        response.set_cookie(
            name,
            secret,
            max_age=int(lasts.total_seconds()),
            path="/",
            secure=self._is_secure,
            httponly=True,
            # Lax, so that a link in a mail finds a signed-in person; `csrf` also checks whatever
            # changes something.
            samesite="lax",
        )


def challenge_name(secret: str) -> str:
    """Return a challenge's name in forms, which does not reveal the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
