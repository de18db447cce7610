"""Declares what the gateway's adapters provide: media connections, the carrier, accounts, calls.

Contains only the shapes that both sides agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from billing.cdr import CallOpened, EndedBy
from billing.spend_limits import UNLIMITED, SpendLimits
from gateway.call.carrier_status import CarrierStatus
from gateway.cause import CarrierRefusal, Cause
from gateway.connection_counters import ConnectionCounters
from gateway.embed.terms import VisitorTerms
from gateway.limits.velocity import LimitRefusal as VelocityRefusal
from gateway.limits.velocity import Use
from gateway.scopes import Scope


class MediaConnection(Protocol):
    """One accepted media WebSocket. A leg plugs its callables into it and sends through it."""

    on_text: Callable[[bytes], None]
    """Called with each complete text message: valid UTF-8, at most the size limit."""
    on_binary: Callable[[bytes], None]
    """Called with each complete binary message."""
    on_close: Callable[[int], None]
    """Called once with the close code; 1006 when the peer vanished without one."""
    peer: str
    """Remote address as `host:port`, for logs."""

    @property
    def counters(self) -> ConnectionCounters:
        """What it has carried so far; read it again each time, because the object may change."""

    def send_text(self, *payloads: bytes) -> None:
        """Send control texts: kept in order, never dropped; a peer that never reads is aborted."""

    def send_audio_text(self, payload: bytes) -> None:
        """Send audio in a text message; dropped, oldest first, when the peer does not read."""

    def send_audio_binary(self, payload: bytes) -> None:
        """Send audio in a binary message; dropped, oldest first, when the peer does not read."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake; the socket is aborted if the peer does not answer it."""

    def mark_authenticated(self) -> None:
        """Mark the peer as authenticated: from now on no newcomer takes its place."""


class SessionState(Enum):
    """The progress of one browser's WebRTC session."""

    NEW = auto()
    CHECKED = auto()
    """A connectivity check with the right password has arrived."""
    SECURING = auto()
    """The DTLS handshake is running."""
    CONNECTED = auto()
    CLOSED = auto()
    FAILED = auto()


class SessionListener(Protocol):
    """Handles what a browser's WebRTC session reports beside its audio."""

    def pressed(self, digit: str, duration_ms: int, /) -> None:
        """Handle a key (RFC 4733), once it is released."""

    def session_changed(self, session: AudioSession, state: SessionState, /) -> None:
        """Handle that the session is connected, closed or failed."""


class AudioSession(Protocol):
    """One browser's WebRTC session. A call plugs itself into it and sends through it."""

    on_audio: Callable[[int, int, bytes], None]
    """Called with sequence number, RTP timestamp and payload of each packet, mu-law."""
    listener: SessionListener | None
    """Handles what is not audio; the session drops it before it reports its end."""

    @property
    def state(self) -> SessionState:
        """Its progress."""

    @property
    def last_in_ns(self) -> int:
        """When the browser last sent anything genuine."""

    @property
    def quality(self) -> SessionQuality:
        """Loss, jitter and round trip so far."""

    def send_audio(self, payload: bytes, timestamp_ms: int | None = None) -> None:
        """Send one packet at once; nothing if the session is not connected."""

    def close(self) -> None:
        """Say goodbye and drop the session; repeating it is harmless."""


class SessionQuality(NamedTuple):
    """Counts since the start of a session, and what is measured now."""

    packets: int
    lost: int
    jitter_ms: float
    rtt_ms: float | None


class AudioEndpoint(Protocol):
    """Accepts offers of WebRTC audio."""

    def accept(self, offer: str, source: str, /) -> tuple[AudioSession, str]:
        """Return a session and the answer to its offer, as SDP. Raises OfferError.

        `source` is the client's network, which may only set up a limited number of sessions at a
        time.
        """

    def restart(self, session: AudioSession, offer: str, /) -> str:
        """Let a session find a new network path (ICE restart); return the answer.

        Raises OfferError.
        """


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """An opening handshake, complete and not yet answered."""

    path: str
    """Request target without its query."""
    query: str
    headers: Mapping[str, str]
    """Case-insensitive."""
    peer: str


ANSWER_FIELDS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Fields of every answer that has none of its own: balances and tokens stay in no cache (RFC 9111,
5.2.2.5), and no browser renders an answer as a page."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An opening handshake answered with an HTTP error."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An opening handshake to complete; `attach` is called with the open connection."""

    attach: Callable[[MediaConnection], None]
    is_authenticated: bool = False
    """Whether the handshake itself authenticates the peer, as `mark_authenticated` does later."""
    peer: str = ""
    """The remote address as `host:port`, if a proxy has reported another one than the socket's."""


Router = Callable[[HandshakeRequest], Acceptance | Refusal]
"""Decides on each opening handshake on a media path, before any work is done for it."""


@dataclass(frozen=True, slots=True)
class DialOrder:
    """One call that a carrier is asked to place."""

    call_id: str
    """Ours; the carrier's reports and its media stream must prove that they belong to it."""
    destination: str
    """E.164."""
    ring_timeout_s: int
    time_limit_s: int
    """Longest the carrier lets the call last, whatever happens to us."""


class Carrier(Protocol):
    """Reaches phones. Every method is bounded in time and raises CarrierError."""

    async def place(self, order: DialOrder) -> str:
        """Place a call once; return the carrier's id for it.

        If no answer came, the call may have been placed: only a report of the carrier for this
        call, or a media stream that proves to belong to it, shows that.
        """

    async def hang_up(self, carrier_call_id: str) -> CarrierStatus:
        """End a call in any state; repeating it is harmless."""

    async def fetch(self, carrier_call_id: str) -> CarrierStatus:
        """Return a call's state: unknown, and not ended, if the carrier does not show the call."""

    async def why_failed(self, carrier_call_id: str) -> CarrierRefusal | None:
        """Return what the carrier recorded about a call that it failed; None for nothing."""

    async def close(self) -> None:
        """Close connections."""


class Announcer(Protocol):
    """Reaches phones. Bounded in time; raises CarrierError."""

    async def announce(self, number: str, text: str, language: str) -> None:
        """Call a number and speak a text."""


class StreamEnd(Enum):
    """How a carrier's media stream ended."""

    STOPPED = auto()
    """The carrier reported it: the callee hung up."""
    LOST = auto()
    """The connection broke."""
    UNREADABLE = auto()
    """One side could not handle what the other sent."""


class CarrierListener(Protocol):
    """Handles what a carrier's media stream reports beside its audio."""

    def stream_digit(self, digit: str) -> None:
        """A key was pressed at the phone."""

    def stream_ended(self, how: StreamEnd) -> None:
        """The stream is over; called once, and not for a leg that we closed."""


class CarrierLeg(Protocol):
    """One call's media stream at the carrier. A call plugs its callables in and sends through it.

    Audio is mu-law at 8 kHz, of any length. The carrier plays it in order and at its own pace.
    """

    on_audio: Callable[[bytes, int | None], None]
    """Called with the phone's audio and the carrier's timestamp: milliseconds since the stream
    began, None if the carrier does not send it."""
    on_mark: Callable[[str], None]
    """Called with the name of a mark once all audio before it has been played or cleared."""

    @property
    def counters(self) -> ConnectionCounters:
        """What its connection has carried so far."""

    def send_audio(self, payload: bytes) -> None:
        """Play this to the phone after what was sent before; dropped if the peer does not read."""

    def send_mark(self, name: str) -> None:
        """Mark the end of the audio sent so far."""

    def clear(self) -> None:
        """Discard all audio that has not been played yet; pending marks are returned."""

    def close(self) -> None:
        """End the stream; nothing more of it is delivered."""


BindStream = Callable[[CarrierLeg, str, str], CarrierListener | None]
"""Takes a stream, the id of our call that it has proven to belong to, and the carrier's call id;
returns its listener, or None if there is no such call and the stream must end."""


class CarrierStreams(Protocol):
    """Accepts the media streams that a carrier opens to this node."""

    path: str
    """The address at which it opens them."""
    signature_hint: str
    """What the operator should check where a handshake is refused."""

    def route(self, request: HandshakeRequest, bind: BindStream) -> Acceptance | Refusal:
        """Decide on an opening handshake; refuse one that is not proven to be the carrier's.

        A stream that does not name its call in time is closed.
        """


class Account(Protocol):
    """Who pays for calls."""

    # Properties, so that a frozen row of a store fits as well as an object that computes them.

    @property
    def id(self) -> str:
        """Its stable id."""

    @property
    def currency(self) -> str:
        """ISO 4217 code of its credit."""

    @property
    def frozen(self) -> bool:
        """Whether it may not place calls."""

    @property
    def is_restricted(self) -> bool:
        """Whether it is frozen because its holder has restricted the use of their data (GDPR)."""

    @property
    def keeps_quality(self) -> bool:
        """Whether sound quality figures of its calls are stored; False once its holder objects."""

    @property
    def limits(self) -> SpendLimits:
        """Its spending limits, together with those of the key it was found by."""

    @property
    def key_id(self) -> str:
        """Id of the key it was found by; empty if none."""

    @property
    def scopes(self) -> frozenset[Scope]:
        """What the key may do."""

    @property
    def key_expires_at(self) -> datetime | None:
        """When the key expires; None for never."""

    @property
    def has_holder(self) -> bool:
        """Whether it belongs to a person who signed up; accounts of programs do not."""

    @property
    def is_unproven(self) -> bool:
        """Whether its holder's address is unproven: it may not call or pay."""

    @property
    def is_locked(self) -> bool:
        """Whether its holder is locked out: its keys do not work."""


class AccountStore(Protocol):
    """Accounts and their API keys, expired keys included. Raises StoreUnavailableError."""

    async def account_by_key_hash(self, key_hash: str) -> Account | None:
        """Return the account of a key that has not been revoked."""

    async def account_by_key_id(self, key_id: str) -> Account | None:
        """Return the account of the key with this id."""


class Duties(Protocol):
    """Elects one process of a deployment for a duty. Every method raises StoreUnavailableError."""

    async def is_due(self, name: str, every: timedelta) -> bool:
        """Return whether a duty was last done at least this long ago."""

    async def take(self, name: str) -> bool:
        """Take or renew the lease of a duty; False while another process holds it."""

    async def held_until(self, name: str) -> datetime | None:
        """Return until when another process holds a duty, unless it renews; otherwise None."""

    async def done(self, name: str) -> None:
        """Note that a duty was done, and release its lease."""


class KeyEpochs(Protocol):
    """Key epochs: a cached look-up of a key is valid in its own. Raises StoreUnavailableError."""

    async def current(self) -> str:
        """Return the epoch, never empty; it differs after each change of a key or an account."""


class CallOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The call that a token allows, with everything that was promised for it."""

    # Frozen with the token: a rate deck or list that changes later changes no promise. Limits apply
    # as soon as they are set, and the rules of a button as they are when its visitor's call begins.

    account_id: str
    destination: str
    country: str
    codec: str
    origin: str
    """Page origin the token is bound to; empty if it is bound to none."""
    currency: str
    rate: str
    """Frozen rate, as `Rate.to_json` wrote it."""
    rate_description: str
    prefix: str = ""
    """Of the rate deck's entry that prices the call, with its plus sign; empty without one."""
    balance_micros: int | None = None
    """What balance and shared caps left when the token was issued; None if that was not checked."""
    limits: SpendLimits = UNLIMITED
    """What bounds the cost of the call besides the balance."""
    key_id: str = ""
    """The key the call is bought with."""
    key_epoch: str = ""
    """Key epoch in which the key was valid."""
    key_expires_at: datetime | None = None
    """When the key expires; None for never."""
    credentials_epoch: int | None = None
    """The holder's credentials epoch at the request for the call; None for a program with a key."""
    keeps_quality: bool = True
    """Whether its sound quality figures are stored."""
    is_check: bool = False
    """Not a call but a line check: some seconds of echo, free of charge."""
    lifted: tuple[str, ...] = ()
    """Rules of admission (`Allowance`) that would have refused the call, lifted by an operator."""
    trace: str = ""
    """W3C `traceparent` of the request for the token; empty for a call that is not traced."""
    visitor: VisitorTerms | None = None
    """None for a call whose caller pays for it, or has a key of the payer."""


class CallTokens(Protocol):
    """One-use call tokens. Raises StoreUnavailableError."""

    ttl_s: int
    """How long a token lives."""

    async def issue(self, order: CallOrder) -> str:
        """Return a fresh token for this order."""

    async def look(self, token: str) -> tuple[CallOrder, int] | None:
        """Return a token's order and its remaining seconds; None for an invalid token."""

    async def redeem(self, token: str) -> tuple[CallOrder, str] | None:
        """Return the token's order as it holds now, and use up the token.

        The text is the code of why the call may not begin after all, such as a paused button; empty
        if it may. None for a wrong, used or expired token, and if its key may no longer place
        calls.
        """


class Velocity(Protocol):
    """Velocity limits of all nodes together. Bounded in time, and never raises."""

    @property
    def refusals(self) -> Mapping[str, int]:
        """Refused uses since the start, by the name of the limit."""

    async def hit(self, uses: Sequence[Use]) -> VelocityRefusal | None:
        """Count a use; return why it is refused."""

    async def look(self, uses: Sequence[Use]) -> VelocityRefusal | None:
        """Return why a use would be refused now; nothing is counted."""

    async def count(self, outcome: Use) -> None:
        """Count the outcome of something that was allowed."""


class LiveCall(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a call that a node holds: live, or ended and not settled yet."""

    opened: CallOpened
    answered_at: datetime | None
    ended_at: datetime | None
    """None while it is live, as `cause` is."""
    seconds: int
    cost_micros: int
    """Price of `seconds`, which are those charged so far."""
    unused_micros: int
    """Held for it and not used yet."""
    carrier_call_id: str
    """Empty until the carrier has assigned it."""
    cause: Cause | None
    ended_by: EndedBy


class LiveCalls(Protocol):
    """Live calls: those of one node, or of every node."""

    async def of_account(
        self, account_id: str, since: datetime | None = None
    ) -> Sequence[LiveCall]:
        """Return an account's calls, or those of them that began at a time or later."""

    async def show(self, account_id: str, call_id: str) -> LiveCall | None:
        """Return one of them; None if it is not live."""

    async def end(self, account_id: str, call_id: str) -> LiveCall | None:
        """End one of them and return its snapshot; the carrier has yet to confirm the end."""


class NodeLoad(Protocol):
    """How busy a node is, and whether it takes new calls."""

    @property
    def is_draining(self) -> bool:
        """Whether it takes none, because it is about to stop."""

    def __len__(self) -> int:
        """Return how many calls it holds."""


class CarrierCallbacks(Protocol):
    """Receives the carrier's reports about a node's calls that come outside their media sockets.

    Reports about calls that the node does not hold change nothing.
    """

    def carrier_reached(self) -> None:
        """Record that something signed by the carrier has arrived."""

    def carrier_status(self, call_id: str, status: CarrierStatus) -> None:
        """Handle a call's status."""

    def stream_failed(
        self, call_id: str, carrier_call_id: str, refusal: CarrierRefusal | None
    ) -> None:
        """Handle that the carrier could not open the media stream of a call, and its reason."""


Notify = Callable[[str, Mapping[str, Any]], None]
"""Takes the name of an event for the operator's program or the account holder, and its data."""


def to_nobody(_name: str, _data: Mapping[str, Any]) -> None:
    """Discard an event: no one is listening."""


class SignatureVerifier(Protocol):
    """Verifies that a request comes from the carrier."""

    def verify(
        self, url: str, form: Mapping[str, Any], signature: str | None, settings: str = ""
    ) -> bool:
        """Whether `signature` signs the URL, as we gave it to the carrier, and the whole form."""
