"""Makes requests of operations, reads their answers, and judges what may be sent again. Pure.

Knows no connection and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import msgspec

from caller_client.errors import CallerError, ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.shapes import Problem

WAIT_FIRST_S: Final = 0.5
WAIT_MAX_S: Final = 30.0
"""An answer that names a longer wait is left to the program."""
_IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})
"""RFC 9110, 9.2.2."""
_OF_PROXIES: Final = frozenset({429, 502, 503, 504})
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what is not of a shape."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One request of an operation."""

    method: str
    path: str
    """With its parameters as `{name}`."""
    answers: tuple[Any, ...] = ()
    """Shapes of which the answer is one, the one with the most fields first; none for nothing."""
    status: int = 200
    """Of an answer that it is done."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What stands in the path."""
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    body: msgspec.Struct | None = None
    idempotency_key: str = ""
    events: Mapping[str, Any] = field(default_factory=dict)
    """Of a stream: the name of each event, and the shape of its data."""

    @property
    def address(self) -> str:
        """The path with its parameters, each of which stays one segment."""
        return self.path.format(**{name: _segment(text) for name, text in self.parts.items()})

    @property
    def parameters(self) -> dict[str, str | int]:
        """The parameters behind the path that are given."""
        return {name: value for name, value in self.query.items() if value is not None}

    @property
    def content(self) -> bytes | None:
        """The body; None for none."""
        return None if self.body is None else msgspec.json.encode(self.body)

    @property
    def headers(self) -> dict[str, str]:
        """What is sent beside the key."""
        headers = {} if self.body is None else {"Content-Type": "application/json"}
        if self.idempotency_key:
            headers["Idempotency-Key"] = self.idempotency_key
        return headers

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method in _IDEMPOTENT or bool(self.idempotency_key)


def is_key(text: str) -> bool:
    """Return whether this can be an API key: a header carries it as it is."""
    return re.fullmatch(r"[!-~]+", text) is not None


def read_answer(wish: Wish, status: int, headers: Mapping[str, str], content: bytes) -> Any:
    """Return what an answer says; None for one without a body.

    Raises ProblemError, UnexpectedAnswerError.
    """
    if 200 <= status < 300:
        # Else somebody else says so, such as the page of a hotel's network.
        if status != wish.status or (content and not wish.answers):
            raise UnexpectedAnswerError(status)
        if not wish.answers:
            return None
        for shape in wish.answers:
            try:
                return msgspec.json.decode(content, type=shape)
            except UNREADABLE:
                continue
        raise UnexpectedAnswerError(status)
    try:
        problem = msgspec.json.decode(content, type=Problem)
    except UNREADABLE:
        raise UnexpectedAnswerError(status) from None
    wait = headers.get("retry-after", "")
    is_wait = wait.isascii() and wait.isdigit() and len(wait) < 10
    raise ProblemError(problem, int(wait) if is_wait else None)


def wait_before_repeat(wish: Wish, error: CallerError, repeats_done: int) -> float | None:
    """Return after how many seconds a wish that failed is sent again; None if it is not."""
    if not wish.may_be_repeated:
        return None
    backoff = min(WAIT_MAX_S, WAIT_FIRST_S * 2.0**repeats_done)
    if isinstance(error, UnreachableError):
        return backoff
    if isinstance(error, UnexpectedAnswerError):
        # A proxy whose gateway is being restarted, or that has had too much.
        return backoff if error.status in _OF_PROXIES else None
    if isinstance(error, ProblemError) and error.problem.retry and error.status in (429, 503):
        wait = max(backoff, error.retry_after_s or 0)
        return wait if wait <= WAIT_MAX_S else None
    return None


def _segment(text: str) -> str:
    # Clients and proxies take dots out of a path.
    if text in ("", ".", ".."):
        raise ValueError("a part of a path that is empty, or dots")
    return quote(text, safe="")
