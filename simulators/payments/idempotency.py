"""Stores replies under idempotency keys: a repeated request gets the same reply. Pure.

https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from simulators.payments.clock import NS_PER_S
from simulators.payments.errors import IDEMPOTENCY_ERROR, ApiError

KEY_MAX: Final = 255
LIFE_NS: Final = 24 * 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class KeptReply:
    """A reply, and the request that it answered."""

    fingerprint: tuple[str, str]
    """Path and parameters."""
    status: int
    body: bytes
    request_id: str
    at_ns: int


class KeptReplies:
    """The replies of the last 24 hours, at most `count_max` of them."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._replies: dict[str, KeptReply] = {}
        self._in_use: set[str] = set()
        """Keys of requests that have not been answered yet."""

    @contextmanager
    def using(self, key: str) -> Iterator[None]:
        """Reserve a key until its request is answered; an empty key reserves nothing.

        https://docs.stripe.com/error-codes#idempotency-key-in-use

        Raises:
            ApiError: another request with this key is under way.
        """
        # The first request has no reply yet that could be repeated, and must not be carried out
        # twice.
        if key in self._in_use:
            raise ApiError(
                "There is currently another in-progress request using this Idempotent Key (that"
                " probably means you submitted twice, and the other request is still going"
                " through). Please try again later.",
                status=409,
                type=IDEMPOTENCY_ERROR,
                code="idempotency_key_in_use",
            )
        if key:
            self._in_use.add(key)
        try:
            yield
        finally:
            self._in_use.discard(key)

    def find(self, key: str, fingerprint: tuple[str, str], now_ns: int) -> KeptReply | None:
        """Return the reply that a request had before, or None.

        Raises:
            ApiError: the key is too long, or was used for another request.
        """
        if len(key) > KEY_MAX:
            raise ApiError("Idempotency keys must be at most 255 characters.")
        reply = self._replies.get(key)
        # By the simulated clock, so that a test can let keys expire.
        if reply is None or now_ns - reply.at_ns >= LIFE_NS:
            return None
        # A key under which something else is asked is a fault of the client: the old reply would
        # hide it.
        if reply.fingerprint != fingerprint:
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were"
                " first used with. Try using another key if you meant to execute a different"
                " request.",
                type=IDEMPOTENCY_ERROR,
            )
        return reply

    def keep(self, key: str, reply: KeptReply) -> None:
        """Keep a reply; the oldest goes when there are too many."""
        # Put back at the end, so that the order of insertion stays that of age.
        self._replies.pop(key, None)
        while len(self._replies) >= self._count_max:
            del self._replies[next(iter(self._replies))]
        self._replies[key] = reply
