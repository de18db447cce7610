"""Reads the forms of the pages into structs: bounded, URL-encoded, unknown fields dropped.

The flows judge the values, such as an address or a password.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from database.errors import StoreUnavailableError
from database.undertaking import Undertaking
from gateway.errors import RequestRefusedError
from gateway.http.body import read_body

FORM_BYTES_MAX: Final = 8 * 1024
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
"""The type of all our forms (HTML, "form submission"): none declares another `enctype`."""
OWNER: Final = "owner"
"""Field in all forms of a signed-in person: the account that the page was shown to."""
SENT: Final = "form"
"""Field in all forms that change something: a random word, made with the form, by which a repeat is
recognised."""
SENT_BYTES: Final = 16
_SENT: Final = re.compile(rf"[0-9a-f]{{{2 * SENT_BYTES}}}")
_OWN: Final = "once"
"""Field in forms that create something once for each of its values, for good, and show it again."""
_FIELDS_MAX: Final = 32

# Longer than what is accepted, so that a person learns what is too long.
Line = Annotated[str, msgspec.Meta(max_length=512)]
Lines = Annotated[str, msgspec.Meta(max_length=FORM_BYTES_MAX)]
_F = TypeVar("_F")


_ONCE_BYTES: Final = 18


def new_once() -> str:
    """Return a new value for a form's field `once`."""
    return secrets.token_urlsafe(_ONCE_BYTES)


class Nothing(msgspec.Struct):
    """A form that is only a button."""


_HALF_CHARS: Final = 32
_LOOKS: Final = 10
_LOOK_S: Final = 0.1
"""How often to look for a result: a form is answered within a second of its commit."""


class NumberFields(msgspec.Struct):
    """A form that asks for a phone number."""

    number: Line = ""


class SentForms(Protocol):
    """The latest content of each form that was received, and its result.

    A digest has two halves: of the form as it was shown, and of its content.
    """

    async def note(self, connection: Any, digest: str) -> None:
        """Note that a form is done by this transaction. Raises FormSentBeforeError."""

    async def outcome(self, digest: str) -> bytes | None:
        """Return the result of a form; None if unknown.

        Raises StoreUnavailableError.
        """

    async def keep(self, digest: str, outcome: bytes, *, is_brief: bool = False) -> None:
        """Store the result of a form, for a day or for some seconds.

        Raises StoreUnavailableError.
        """

    async def answer(self, proof: bytes) -> bytes | None:
        """Return the answer to a form that was received a moment before; None if there is none.

        Only a sender of that very form, with the session that it came with, knows `proof`. Raises
        StoreUnavailableError.
        """

    async def keep_answer(self, proof: bytes, answer: bytes) -> None:
        """Store the answer to a form for some seconds; only its proof opens it.

        Raises StoreUnavailableError.
        """


class FormOutcome(msgspec.Struct, frozen=True):
    """The result of a form: the page to go to, and what it says."""

    path: str
    said: str
    cookies: tuple[str, ...] = ()
    """`Set-Cookie` fields of the answer."""


class AnsweredBeforeError(Exception):
    """The form was received before, and its result is known."""

    def __init__(self, outcome: FormOutcome) -> None:
        super().__init__()
        self.outcome: Final = outcome


@dataclass(slots=True)
class ReceivedForm:
    """One form that is being received."""

    forms: SentForms
    work: Undertaking
    session: str
    """Secret of the session that it came with; empty for none."""
    _digest: str = ""
    _proof: bytes = b""

    @property
    def may_be_overtaken(self) -> bool:
        """Whether the same form may have ended the session, while this one has changed nothing."""
        return bool(self._proof) and not self.work.may_be_done

    def receive(self, path: str, body: bytes) -> None:
        """Note the whole content of the form."""
        if self.session:
            self._proof = hmac.digest(self.session.encode(), path.encode() + b"\0" + body, "sha256")

    async def begin(self, shown: bytes, filled: bytes) -> None:
        """Make the form's transaction record that the form was received.

        `shown` identifies the form: account, path and word; `filled` is its content. Raises
        AnsweredBeforeError if the same was received last, and its result is known.
        """
        self._digest = digest = _half(shown) + _half(filled)
        # If the result is unknown, the change itself finds that it was done.
        if (outcome := await self._outcome()) is not None:
            raise AnsweredBeforeError(outcome)

        async def note(connection: Any) -> None:
            await self.forms.note(connection, digest)

        self.work.along = note

    async def outcome_soon(self) -> FormOutcome | None:
        """Return the result of the same form received a moment before; None if there is none.

        After a double click the browser shows the second answer, which comes first.
        """
        for _ in range(_LOOKS):
            if (outcome := await self._outcome()) is not None:
                return outcome
            await asyncio.sleep(_LOOK_S)
        return None

    async def _outcome(self) -> FormOutcome | None:
        with suppress(StoreUnavailableError, msgspec.MsgspecError):
            # In this order: results with cookies are stored first, and the session needs them.
            place = await self.forms.outcome(self._digest) if self._digest else None
            answer = await self.forms.answer(self._proof) if self._proof else None
            kept = answer or place
            return None if kept is None else msgspec.json.decode(kept, type=FormOutcome)
        return None

    async def led_to(self, outcome: FormOutcome) -> None:
        """Store the result of a form that has changed something."""
        if not self._digest or not self.work.may_be_done:
            return
        place = msgspec.json.encode(FormOutcome(outcome.path, outcome.said))
        with suppress(StoreUnavailableError):
            if not outcome.cookies:
                await self.forms.keep(self._digest, place)
            elif self._proof:
                await self.forms.keep_answer(self._proof, msgspec.json.encode(outcome))
                # For a browser that has had the answer.
                await self.forms.keep(self._digest, place, is_brief=True)


def _half(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:_HALF_CHARS]


async def read_form(request: Request, kind: type[_F]) -> _F:
    """Return the content of a form.

    Raises RequestRefusedError if the body is too long, of another media type, or not like any form
    of ours, such as with a repeated field; and if the form is another account's: a page may stay
    open while someone else signs in with the same browser. Raises AnsweredBeforeError if it was
    received before.
    """
    body = await read_body(request, FORM_BYTES_MAX)
    try:
        fields = _fields(request, body)
        owner = owner_of(request)
        if owner and fields.get(OWNER, owner) != owner:
            raise RequestRefusedError("form_of_another_account")
        sending: ReceivedForm | None = getattr(request.state, "sending", None)
        if sending is not None and _is_known(fields):
            path = request.url.path
            sending.receive(path, body)
            # With its whole content: a page that a browser shows again by its back button has the
            # same word, and may be filled in differently.
            await sending.begin(f"{owner}\0{path}\0{fields[SENT]}".encode(), body)
        # Not strict: a checkbox says "true", as text.
        return msgspec.convert(fields, kind, strict=False)
    except (ValueError, msgspec.ValidationError):
        raise RequestRefusedError("bad_request") from None


async def receive_form(request: Request) -> None:
    """Note which form came with a session that is over, which the same form may have ended."""
    sending: ReceivedForm | None = getattr(request.state, "sending", None)
    with suppress(RequestRefusedError, ValueError):
        body = await read_body(request, FORM_BYTES_MAX)
        if sending is not None and _is_known(_fields(request, body)):
            sending.receive(request.url.path, body)


def _fields(request: Request, body: bytes) -> dict[str, str]:
    """Return the fields of a form. Raises RequestRefusedError, ValueError."""
    if not _is_form(request, body):
        raise RequestRefusedError("unsupported_media_type")
    # WHATWG URL, 5.1: forms are UTF-8, percent-encoded to ASCII.
    pairs = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict"
    )
    fields = dict(pairs)
    # Whatever has checked the form before may have read the other value of a field.
    if len(fields) < len(pairs):
        raise RequestRefusedError("bad_request")
    return fields


def _is_known(fields: Mapping[str, str]) -> bool:
    """Return whether a repeat of a form can be recognised."""
    return not fields.get(_OWN) and _SENT.fullmatch(fields.get(SENT, "")) is not None


def owner_of(request: Request) -> str:
    """Return the account of the signed-in person; empty on pages that need none."""
    owner: str = getattr(request.state, "owner", "")
    return owner


def _is_form(request: Request, body: bytes) -> bool:
    """Return whether a body claims to be a form.

    Anything that has checked the request before, such as a proxy's filter, has parsed it as what it
    claims to be.
    """
    declared = request.headers.getlist("content-type")
    if not declared:
        # A script that sends no body declares none.
        return not body
    return [each.partition(";")[0].strip().lower() for each in declared] == [MEDIA_TYPE]
