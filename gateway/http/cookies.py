"""Reads and writes our cookies: of the session, of the device, and of what is under way.

Each holds a random secret and nothing else, but for the one that vouches for a sentence. Knows no
store; judges nothing but a value's form.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from accounts.ceremony import LIVES, Purpose
from accounts.session import AGE_MAX

DEVICE_MAX = timedelta(days=365)
"""How long a browser is recognised after it was last signed in."""
CHALLENGES_MAX: Final = 8
"""Challenges for passkeys that one browser has at once: each page that is open asks for its own."""
SAID_MAX: Final = timedelta(minutes=1)
"""How long a page may take to come up that says what has just happened."""
_CHALLENGE = re.compile(r"[0-9a-f]{16}")
_SECRET = re.compile(r"[A-Za-z0-9._-]{16,128}")
"""A value that we may have made; anything else is asked of no store."""


class Cookies:
    """The cookies of one deployment.

    With https they have the prefix `__Host-` (RFC 6265bis, 4.1.3.2): a browser takes such a name
    from this very host only, whatever its subdomains send. Without https it would not take it.
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
        """Return the session's secret; empty for none."""
        return self._value(request, self.session_name)

    def device(self, request: Request) -> str:
        """Return the device's secret; empty for none."""
        return self._value(request, self.device_name)

    def ceremony(self, request: Request) -> str:
        """Return the secret of what the browser has begun; empty for none."""
        return self._value(request, self.ceremony_name)

    def set_session(self, response: Response, secret: str) -> None:
        """Let the browser keep a session; how long it really lasts is for the server to say."""
        self._set(response, self.session_name, secret, AGE_MAX)

    def set_device(self, response: Response, secret: str) -> None:
        """Let the browser be recognised when it comes again."""
        self._set(response, self.device_name, secret, DEVICE_MAX)

    def set_ceremony(self, response: Response, secret: str) -> None:
        """Let the browser go on with what it has begun."""
        self._set(response, self.ceremony_name, secret, max(LIVES.values()))

    def vouches(self, request: Request, said: str) -> bool:
        """Return whether we have just sent this very browser to a page that says this.

        Only this cookie tells: the address of a page can be anybody's.
        """
        return bool(said) and request.cookies.get(self.said_name) == said

    def set_said(self, response: Response, said: str) -> None:
        """Let the next page say what has just happened: the name of a sentence, never a text."""
        self._set(response, self.said_name, said, SAID_MAX)

    def challenge(self, request: Request, name: str) -> str:
        """Return the secret of the challenge of this name; empty where it is another browser's.

        A form has the name alone. So what somebody else has begun, and let their passkey sign, is
        of no use in this browser: it would sign its person in to another's account.
        """
        known = _CHALLENGE.fullmatch(name)
        return self._value(request, self._challenge_prefix + name) if known else ""

    def set_challenge(self, request: Request, response: Response, secret: str) -> None:
        """Let the browser answer a challenge for a passkey; of too many others none is kept."""
        prefix = self._challenge_prefix
        others = [
            name
            for name in request.cookies
            if name.startswith(prefix) and _CHALLENGE.fullmatch(name.removeprefix(prefix))
        ]
        if len(others) >= CHALLENGES_MAX:
            for name in others:
                self._set(response, name, "", timedelta())
        self._set(response, prefix + challenge_name(secret), secret, LIVES[Purpose.PASSKEY])

    def drop_ceremony(self, response: Response) -> None:
        """Let the browser forget what it had begun."""
        self._set(response, self.ceremony_name, "", timedelta())

    def drop_said(self, response: Response) -> None:
        """Let what has been said not be said again."""
        self._set(response, self.said_name, "", timedelta())

    def drop_session(self, response: Response) -> None:
        """Let the browser forget the session."""
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
            # Lax, so that a link in a mail finds whoever is signed in; what changes something is
            # also judged by `csrf`.
            samesite="lax",
        )


def challenge_name(secret: str) -> str:
    """Return what a form calls a challenge: it leads to no secret."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
