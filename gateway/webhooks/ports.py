"""Declares endpoints, the deliveries to them, and what keeps both. Shapes only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from gateway.editors import Editor
from gateway.operators import Order
from gateway.webhooks.schedule import NEW_FOR, Verdict

OPERATOR: Final = "operator"
"""Id of the operator's own endpoint: its address and secret are settings."""
ENDPOINTS_MAX: Final = 10
"""Endpoints of one account."""
LABEL_MAX: Final = 80
OLD_SECRET_LIVES: Final = timedelta(hours=24)
"""How long a secret that was replaced signs beside the new one."""
REPLAYED_MAX: Final = 1_000
"""Deliveries that one request sends again."""


class DeliveryState(StrEnum):
    """How far a delivery has come; the value is stored and shown."""

    QUEUED = "queued"
    """Waits for its first attempt, or for another one."""
    SENT = "sent"
    ABANDONED = "abandoned"
    """Given up; it can be sent again by hand."""


class Ended(StrEnum):
    """Why an endpoint is disabled, or a delivery given up without an answer; the value is shown."""

    BY_OWNER = "by_owner"
    BY_OPERATOR = "by_operator"
    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """Nothing was taken for days."""
    DISABLED = "disabled"
    """Of a delivery: its endpoint was disabled."""
    TOO_MANY = "too_many"
    """Of a delivery: too many others waited behind it."""
    TOO_LONG = "too_long"
    """Of a delivery: its body would be too long."""
    FORGOTTEN = "forgotten"
    """Of a delivery: what it was to tell is no longer kept."""
    TAKEN_BACK = "taken_back"
    """Somebody made it whom the account's holder says they were not."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an account's events go. Times are UTC."""

    id: str
    account_id: str | None
    """None for the operator's."""
    url: str = field(repr=False)
    label: str
    types: Sequence[str]
    """Names of the events that it has; none: all."""
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str
    failing_since: datetime | None
    """Of the first failure since the last success."""
    old_until: datetime | None
    """Until when the secret that was replaced signs too."""
    seeds: Sequence[str] = field(default=(), repr=False)
    """What its secrets are derived from, the newest first."""
    failures: int = 0
    """Attempts that failed since the last success."""

    def is_doubtful(self, at: datetime) -> bool:
        """Return whether nobody can say that it answers: it fails, or is new."""
        return self.failing_since is not None or at - self.created_at < NEW_FOR


def called(label: str, url: str) -> str:
    """Return what an owner is told that an endpoint is called."""
    # The host alone: an address may have a password of its owner's in it.
    return label or urlsplit(url).hostname or ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint."""

    id: str
    endpoint_id: str
    account_id: str | None
    event_id: str
    """The `webhook-id`: the same for all attempts, and for all endpoints."""
    type: str
    at: datetime
    """When it happened."""
    call_id: str
    """Of an ended call, whose record is read as the event leaves; else empty."""
    data: Mapping[str, Any] = field(repr=False)
    state: DeliveryState
    tries: int
    tries_before: int
    """Of `tries` those before it was last sent again by hand."""
    next_try_at: datetime
    created_at: datetime
    ended_at: datetime | None
    failure: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt; nothing of what the receiver answered but the status."""

    number: int
    at: datetime
    status: int | None
    """None where there was no answer."""
    ms: int
    reason: str
    """Why it failed, in a word; empty for a success."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is noted of an attempt."""

    attempt: Attempt
    verdict: Verdict
    next_try_at: datetime | None
    """None for a success, and for the last attempt."""
    retry_after: timedelta | None = None
    """What the receiver asked for."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An endpoint that nobody else sends to until then."""

    endpoint: Endpoint
    until: datetime


@dataclass(frozen=True, slots=True)
class EndpointForm:
    """What an owner says of an endpoint; None leaves it as it is."""

    url: str | None = field(default=None, repr=False)
    label: str | None = None
    types: str | None = None
    """As `events.read_types` returns it."""
    is_disabled: bool | None = None


class NotDone(StrEnum):
    """Why a change was not made."""

    SESSION_OVER = "session_over"
    """Of whoever asks, or their key is revoked."""
    NOT_FOUND = "not_found"
    TOO_MANY = "too_many"
    IS_DISABLED = "is_disabled"


class Endpoints(Protocol):
    """Where endpoints are kept. Every method raises StoreUnavailableError."""

    async def of_account(self, account_id: str) -> Sequence[Endpoint]:
        """Return all endpoints of an account, the newest first: there are few."""

    async def find(self, account_id: str, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint of this account."""

    async def add(
        self,
        account_id: str,
        editor: Editor,
        endpoint_id: str,
        form: EndpointForm,
        seed: str,
        *,
        since: datetime | None = None,
    ) -> Endpoint | NotDone:
        """Add an endpoint and tell the account's holder by mail, or return the one of this id.

        `since` is when the session began that asks for it, if one does.
        """

    async def change(
        self,
        account_id: str,
        editor: Editor,
        endpoint_id: str,
        form: EndpointForm,
        *,
        since: datetime | None = None,
    ) -> Endpoint | NotDone:
        """Change what the form says; one that is enabled again starts without its failures.

        Of another address, and of one that is enabled again, the account's holder is told by mail.
        """

    async def turn(
        self, account_id: str, editor: Editor, endpoint_id: str, seed: str
    ) -> Endpoint | NotDone:
        """Replace the secret; the one before signs too for `OLD_SECRET_LIVES`."""

    async def remove(self, account_id: str, editor: Editor, endpoint_id: str) -> NotDone | None:
        """Delete an endpoint with all that waits for it."""

    async def test(
        self, account_id: str, endpoint_id: str, order: Order | None = None
    ) -> Delivery | NotDone:
        """Queue a test event, at most one in ten seconds: a repeat finds the first.

        What is done on an operator's order is written into the audit log, here and below.
        """

    async def deliveries(
        self, account_id: str, endpoint_id: str, *, limit: int, before: str | None
    ) -> Sequence[tuple[Delivery, Sequence[Attempt]]]:
        """Return an endpoint's newest deliveries first, older than the delivery `before`."""

    async def replay(
        self, account_id: str, endpoint_id: str, delivery_id: str, order: Order | None = None
    ) -> Delivery | NotDone:
        """Send a delivery again, as the same message."""

    async def replay_failed(
        self, account_id: str, endpoint_id: str, since: datetime, order: Order | None = None
    ) -> int | NotDone:
        """Send those again that were given up, of events since then; return how many.

        At most `REPLAYED_MAX`, the oldest first.
        """


class Spool(Protocol):
    """Where deliveries wait. Every method raises StoreUnavailableError."""

    async def claim(
        self, count: int, *, until: datetime, besides: Collection[str], doubtful: int
    ) -> Sequence[Claim]:
        """Return endpoints to which something is due, none of them of `besides`.

        At most `doubtful` of them fail, or are new.
        """

    async def due(self, claim: Claim, count: int) -> Sequence[Delivery]:
        """Return what is due to a claimed endpoint, the longest due first."""

    async def note(self, claim: Claim, delivery: Delivery, outcome: Outcome) -> bool:
        """Note an attempt; return False where the endpoint takes no more, or is another's now."""

    async def abandon(self, claim: Claim, delivery: Delivery, why: Ended) -> None:
        """Give a delivery up that cannot be written."""

    async def release(self, claim: Claim) -> None:
        """Let others send to the endpoint."""
