"""Declares endpoints, deliveries to them, and the stores of both."""

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
"""How long a replaced secret keeps signing beside the new one."""
REPLAYED_MAX: Final = 1_000
"""Deliveries that one request sends again."""


class DeliveryState(StrEnum):
    """How far a delivery has come; the value is stored and shown."""

    QUEUED = "queued"
    """Waiting for its first attempt, or the next one."""
    SENT = "sent"
    ABANDONED = "abandoned"
    """Given up; it can be sent again on request."""


class EndReason(StrEnum):
    """Why an endpoint is disabled, or a delivery given up without an answer; the value is shown."""

    BY_OWNER = "by_owner"
    BY_OPERATOR = "by_operator"
    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """It accepted nothing for days."""
    DISABLED = "disabled"
    """Of a delivery: its endpoint was disabled."""
    TOO_MANY = "too_many"
    """Of a delivery: too many newer ones were waiting."""
    TOO_LONG = "too_long"
    """Of a delivery: its body would be too long."""
    FORGOTTEN = "forgotten"
    """Of a delivery: the data that it reports are no longer kept."""
    TAKEN_BACK = "taken_back"
    """The account holder reported that it was not them who set it up."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an account's events go. Times are UTC."""

    id: str
    account_id: str | None
    """None for the operator's."""
    url: str = field(repr=False)
    label: str
    types: Sequence[str]
    """Names of the events that it receives; empty for all."""
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str
    failing_since: datetime | None
    """The first failure since the last success."""
    old_until: datetime | None
    """Until when the replaced secret signs too."""
    seeds: Sequence[str] = field(default=(), repr=False)
    """The seeds from which its secrets are derived, newest first."""
    failures: int = 0
    """Attempts that failed since the last success."""

    def is_doubtful(self, at: datetime) -> bool:
        """Return whether it may not answer, because it fails or is new."""
        return self.failing_since is not None or at - self.created_at < NEW_FOR


def called(label: str, url: str) -> str:
    """Return the name of an endpoint as its owner sees it."""
    # Only the host, because the address may contain a secret of its owner.
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
    """The call that has ended, whose record is read when the event is sent; empty for others."""
    data: Mapping[str, Any] = field(repr=False)
    state: DeliveryState
    tries: int
    tries_before: int
    """How many of `tries` were before it was last sent again on request."""
    next_try_at: datetime
    created_at: datetime
    ended_at: datetime | None
    failure: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt: of the answer only the status is kept."""

    number: int
    at: datetime
    status: int | None
    """None if there was no answer."""
    ms: int
    reason: str
    """Why it failed, as a short code; empty for a success."""


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """What is recorded about an attempt."""

    attempt: Attempt
    verdict: Verdict
    next_try_at: datetime | None
    """None for a success, and for the last attempt."""
    retry_after: timedelta | None = None
    """What the receiver asked for."""


@dataclass(frozen=True, slots=True)
class EndpointClaim:
    """The exclusive right to send to an endpoint, until a time."""

    endpoint: Endpoint
    until: datetime


@dataclass(frozen=True, slots=True)
class EndpointForm:
    """The settings of an endpoint; None leaves one unchanged."""

    url: str | None = field(default=None, repr=False)
    label: str | None = None
    types: str | None = None
    """As `events.read_types` returns it."""
    is_disabled: bool | None = None


class NotDone(StrEnum):
    """Why a change was not made."""

    SESSION_OVER = "session_over"
    """The requester's session has ended, or their key was revoked."""
    NOT_FOUND = "not_found"
    TOO_MANY = "too_many"
    IS_DISABLED = "is_disabled"


class Endpoints(Protocol):
    """Stores endpoints. Every method raises StoreUnavailableError."""

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
        """Add an endpoint and mail the account holder, or return the existing one with this id.

        `since` is when the requesting session began, if there is one.
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
        """Change what the form says; enabling an endpoint again resets its failures.

        The account holder gets a mail if the address changes or the endpoint is enabled again.
        """

    async def turn(
        self, account_id: str, editor: Editor, endpoint_id: str, seed: str
    ) -> Endpoint | NotDone:
        """Replace the secret; the old one keeps signing for `OLD_SECRET_LIVES`."""

    async def remove(self, account_id: str, editor: Editor, endpoint_id: str) -> NotDone | None:
        """Delete an endpoint and everything queued for it."""

    async def test(
        self, account_id: str, endpoint_id: str, order: Order | None = None
    ) -> Delivery | NotDone:
        """Queue a test event; beyond a limit per minute return the newest one instead.

        An operator's order has no such limit, and is written to the audit log, here and below.
        """

    async def deliveries(
        self, account_id: str, endpoint_id: str, *, limit: int, before: str | None
    ) -> Sequence[tuple[Delivery, Sequence[Attempt]]]:
        """Return an endpoint's deliveries, newest first, older than the delivery `before`."""

    async def replay(
        self, account_id: str, endpoint_id: str, delivery_id: str, order: Order | None = None
    ) -> Delivery | NotDone:
        """Send a delivery again, as the same message."""

    async def replay_failed(
        self, account_id: str, endpoint_id: str, since: datetime, order: Order | None = None
    ) -> int | NotDone:
        """Send abandoned deliveries of events since then again; return how many.

        At most `REPLAYED_MAX`, oldest first.
        """


class Spool(Protocol):
    """The queue of deliveries. Every method raises StoreUnavailableError."""

    async def claim(
        self, count: int, *, until: datetime, besides: Collection[str], doubtful: int
    ) -> Sequence[EndpointClaim]:
        """Claim endpoints with due deliveries, except those in `besides`.

        At most `doubtful` of them are failing or new.
        """

    async def due(self, claim: EndpointClaim, count: int) -> Sequence[Delivery]:
        """Return the due deliveries of a claimed endpoint, longest due first."""

    async def note(self, claim: EndpointClaim, delivery: Delivery, outcome: AttemptOutcome) -> bool:
        """Record an attempt; return False if this claim must send no more to the endpoint."""

    async def abandon(self, claim: EndpointClaim, delivery: Delivery, why: EndReason) -> None:
        """Give up a delivery whose body cannot be written."""

    async def release(self, claim: EndpointClaim) -> None:
        """Let other processes send to the endpoint."""
