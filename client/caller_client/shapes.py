"""Defines what the API is asked with, and what it answers.

Written by `python -m docs.generate` from the document of the API.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

Allowance = Literal["countries", "new-card", "short-calls", "velocity"]
"""A rule that an operator can lift from an account until a moment; values are stored."""

DeliveryState = str
"""How far a delivery has come; the value is stored and shown."""

Flaw = Literal["audio-latency", "choppy-audio", "dropped-call", "echo", "noisy-call"]
"""What was wrong with a call: the words that telephone services use for it."""

LogLevel = Literal["debug", "error", "info", "setting", "warning"]
"""From which level on a node logs."""

Mode = str
"""What a supervisor does in a call; each mode allows the ones before it."""

Reason = str
"""Why visitors do not get through, as the button's owner sees it; values are stored."""

Right = Literal["access", "correction", "deletion", "export", "objection", "restriction"]
"""The rights of the GDPR that a request is about; values are stored."""

Span = list[int]
"""A part of a day, in minutes from midnight."""


class AccountCall(msgspec.Struct, kw_only=True):
    """A live call and its account."""

    account_id: str
    call: CallView


class AccountView(msgspec.Struct, kw_only=True):
    """The account."""

    id: str
    currency: str
    balance: Money
    """What is held for calls is spent only once it is used."""
    live_calls: int


class AcknowledgeRequest(msgspec.Struct, kw_only=True):
    """Body of `…/acknowledge`."""

    name: str
    reason: str


class ActRequest(msgspec.Struct, kw_only=True):
    """Body of an act that needs only a reason."""

    reason: str


class AlarmView(msgspec.Struct, kw_only=True):
    """An active alarm."""

    name: str
    """Used to acknowledge and silence it."""
    rule: str
    subject: str
    title: str
    action: str
    """What to do first."""
    value: float
    """The current value, in `unit`; the title includes it."""
    unit: str
    since: datetime
    state: str
    by: str
    """Who acknowledged or silenced it, and why; empty if no one did."""
    reason: str
    until: datetime | None
    """When a silence ends."""


class Alarms(msgspec.Struct, kw_only=True):
    """The active alarms, and what is silenced."""

    alarms: list[AlarmView]
    silenced: list[SilencedView]


class AllowRequest(msgspec.Struct, kw_only=True):
    """Body of `…/allow`."""

    rule: Allowance
    until: datetime
    reason: str


class Amounts(msgspec.Struct, kw_only=True):
    """How many calls may begin, within an hour and within a day."""

    visitor_hour: int | msgspec.UnsetType = msgspec.UNSET
    """Of one visitor: one address (in IPv6 its /64), or the name from the owner's back end."""
    visitor_day: int | msgspec.UnsetType = msgspec.UNSET
    network_hour: int | msgspec.UnsetType = msgspec.UNSET
    """Of one network, /24 or /48: an office, or a rented range."""
    network_day: int | msgspec.UnsetType = msgspec.UNSET
    button_hour: int | msgspec.UnsetType = msgspec.UNSET
    """Of all visitors together."""
    button_day: int | msgspec.UnsetType = msgspec.UNSET


class AttemptView(msgspec.Struct, kw_only=True):
    """What came of one attempt."""

    number: int
    at: datetime
    status: int | None
    """Null where there was no answer."""
    ms: int
    reason: str
    """Why it failed; empty for a success."""


class AutoTopUpRequest(msgspec.Struct, kw_only=True):
    """Body of `PUT /v1/auto-top-up`."""

    enabled: bool
    threshold: str | msgspec.UnsetType = msgspec.UNSET
    amount: str | msgspec.UnsetType = msgspec.UNSET


class AutoTopUpView(msgspec.Struct, kw_only=True):
    """An account's settings for automatic top-ups."""

    enabled: bool
    threshold: Money
    amount: Money
    maximum: Money
    """The most that `amount` may be."""
    has_card: bool
    off_reason: str


class Booked(msgspec.Struct, kw_only=True):
    """Whether credit was booked now."""

    booked: bool
    """False if this reference was booked before."""


class ButtonBody(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/buttons` and `PUT /v1/buttons/{button_id}`: the whole button."""

    label: str
    title: str
    destination: str | msgspec.UnsetType = msgspec.UNSET
    """A proven number, in E.164; empty: the account's back end names each call's."""
    origins: list[str] | msgspec.UnsetType = msgspec.UNSET
    hours: Hours | msgspec.UnsetType = msgspec.UNSET
    seconds_max: int | msgspec.UnsetType = msgspec.UNSET
    calls_at_once: int | msgspec.UnsetType = msgspec.UNSET
    amounts: Amounts | msgspec.UnsetType = msgspec.UNSET
    day_cap: str | msgspec.UnsetType | None = msgspec.UNSET
    """In the account's currency, such as "5.00"; null for none, and 5 if neither cap is given."""
    month_cap: str | msgspec.UnsetType | None = msgspec.UNSET
    """The same for a month; 50 if neither cap is given."""


class ButtonKeyView(msgspec.Struct, kw_only=True):
    """A publishable key.

    Times are RFC 3339 in UTC.
    """

    key: str
    mode: str
    made_at: datetime
    ends_at: datetime | None
    """Only for a live key that was replaced."""


class ButtonList(msgspec.Struct, kw_only=True):
    """All buttons of the account."""

    buttons: list[ButtonView]
    """The newest first."""


class ButtonState(msgspec.Struct, kw_only=True):
    """The state of a button, as its page shows it."""

    state: str
    mode: str
    opens_at: str | None
    """RFC 3339, in UTC; null while it is open, or if unknown."""
    zone: str
    """Time zone of its opening hours, such as Europe/Berlin."""
    hours: list[list[Span]]
    """Monday first: each day's spans, in minutes from its midnight."""
    name: str
    """Who answers."""
    human_check: bool
    """Whether the host page must send a token of the operator's check for humans."""
    seconds_max: int
    takes_feedback: bool
    """Whether visitors' feedback on calls is stored."""
    operator: Operator
    codec: str


class ButtonView(msgspec.Struct, kw_only=True):
    """A button as its account sees it."""

    id: str
    label: str
    title: str
    destination: str
    """E.164; empty if the account's back end names each call's."""
    origins: list[str]
    hours: Hours
    seconds_max: int
    calls_at_once: int
    amounts: Amounts
    day_cap: Money | None
    month_cap: Money | None
    keys: list[ButtonKeyView]
    made_at: datetime
    paused_at: datetime | None
    usage: list[UsageView]
    """The days with calls among the last 31, the newest first."""


class CallPage(msgspec.Struct, kw_only=True):
    """A page of calls: live ones first, then the newest first."""

    calls: list[CallView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class CallRow(msgspec.Struct, kw_only=True):
    """One call, live or just ended."""

    id: str
    node: str
    account_id: str
    key_id: str
    destination: str
    """E.164."""
    country: str
    prefix: str = ""
    """Prefix that prices it in the rate deck, such as +4915; empty for a call without a price."""
    origin: str
    state: str
    created_at: datetime
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: int = 0
    """Charged so far."""
    cost_micros: int = 0
    """The price of those seconds."""
    currency: str = ""
    per_minute_micros: int = 0
    cause: int | None = None
    """Q.850, or one of ours above 127; None while it is live."""
    cause_name: str = ""
    ended_by: str = ""
    carrier_code: int | None = None
    """The carrier's own, if it refused or failed the call; shown to operators only."""
    path: str = ""
    """`webrtc` or `websocket`; empty before the legs are joined."""
    pdd_ms: int | None = None
    """Post-dial delay: from the request until the carrier first reports that the phone rings."""
    mos: float | None = None
    """Of the worse direction, 1 to 4.5 (ITU-T G.107)."""
    rtt_ms: float | None = None
    """Between browser and gateway."""
    jitter_ms: float | None = None
    """Of the worse direction."""
    loss_percent: float | None = None
    """Of the worse direction."""
    tags: list[str] = msgspec.field(default_factory=list)


class CallView(msgspec.Struct, kw_only=True):
    """One call as the API shows it.

    Times are RFC 3339 in UTC.
    """

    id: str
    state: str
    """`settling`: the call has ended and its record is still being written."""
    destination: str
    country: str
    codec: str
    node: str
    created_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: int = 0
    cost: Money | None
    """What a live call has used or an ended one was charged, never what is held; null while a call is settling."""
    cause: int | None = None
    cause_name: str | None = None
    cause_message: str | None = None
    ended_by: str | None = None
    carrier_call_id: str | None = None
    carrier_seconds: int | None = None
    browser: LegQuality | None = None
    carrier: LegQuality | None = None
    feedback: Feedback | None = None
    """What the caller said about it."""


class ChallengeBody(msgspec.Struct, kw_only=True):
    """A challenge in ALTCHA's terms."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str
    signature: str


class ChallengeReply(msgspec.Struct, kw_only=True):
    """What a visitor's machine has to solve before it requests a token."""

    challenge: ChallengeBody
    expires_in_seconds: int


class ChallengeRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/embed/{key}/challenges`."""


class CheckTokenReply(msgspec.Struct, kw_only=True):
    """A one-use token for a check of the line; it costs nothing."""

    token: str
    expires_at: str
    expires_in_seconds: int
    media_url: str


class CheckTokenRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/check-tokens`."""

    origin: str | msgspec.UnsetType = msgspec.UNSET


class CountryRow(msgspec.Struct, kw_only=True):
    """Calls to one country."""

    calls: int
    attempts: int
    asr_percent: float | None
    pdd_ms: int | None
    mos: float | None
    failed: int
    """Attempts that were neither answered nor ended by their caller."""
    country: str
    prefixes: list[PrefixRow] = msgspec.field(default_factory=list)
    """Those of its prefixes that are shown, the ones with the most attempts first."""


class CreditLeftView(msgspec.Struct, kw_only=True):
    """An account with live calls, and how long its credit lasts."""

    account_id: str
    calls: int
    per_minute: Money
    """The cost of a minute of its answered calls."""
    balance: Money
    """From the book, some seconds old; what live calls hold is deducted."""
    lasts_s: int | None
    """Until the balance is used up if only these calls go on; null if nothing is being spent."""


class CreditReport(msgspec.Struct, kw_only=True):
    """Whose credit is running out, and whose ran out in the last hours."""

    at: datetime
    accounts: list[CreditLeftView]
    """Those with the least time left first."""
    accounts_total: int
    """How many have live calls; those beyond a hundred are not listed."""
    cut_off: list[CutOffAccount]
    """Those with the most such calls first."""
    cut_off_total: int
    """How many there are; those beyond a hundred are not listed."""


class CreditRequest(msgspec.Struct, kw_only=True):
    """Body of `…/credit`."""

    amount: str
    """Such as `10.00`; below zero takes credit back."""
    reference: str
    """Booked once."""
    reason: str


class CutOffAccount(msgspec.Struct, kw_only=True):
    """An account whose calls ended because its credit was used up."""

    account_id: str
    calls: int
    last_at: datetime


class DataRequestBody(msgspec.Struct, kw_only=True):
    """Body of `POST …/{account_id}/data-requests`."""

    right: Right


class DataRequestPage(msgspec.Struct, kw_only=True):
    """A page of the register."""

    requests: list[DataRequestView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class DataRequestView(msgspec.Struct, kw_only=True):
    """A request and its status.

    Times are RFC 3339 in UTC.
    """

    number: int
    account_id: str
    right: str
    """A right of the GDPR: `access`, `correction`, `deletion`, `restriction`, `export`, `objection`."""
    asked_at: datetime
    due_at: datetime
    """A month later: when it must be answered (GDPR, article 12(3))."""
    late: bool
    done_at: datetime | None
    done_by: str | None
    """`holder`, `operator` or `service`."""
    note: str


class DeliveryPage(msgspec.Struct, kw_only=True):
    """A page of what an endpoint was to have in the last 30 days."""

    deliveries: list[DeliveryView]
    """The newest first."""
    next: str | None
    """What `before` asks for the following page with; null after the last."""


class DeliveryView(msgspec.Struct, kw_only=True):
    """One event for one endpoint."""

    id: str
    message_id: str
    """The header `webhook-id`."""
    type: str
    at: datetime
    """When it happened."""
    state: DeliveryState
    next_try_at: datetime | None
    """Null once it has ended."""
    ended_at: datetime | None
    failure: str
    """Of the last attempt, or why it was given up."""
    attempts: list[AttemptView] = msgspec.field(default_factory=list)


class DestinationList(msgspec.Struct, kw_only=True):
    """The numbers that the account has proven."""

    destinations: list[DestinationView]
    """The newest first."""


class DestinationView(msgspec.Struct, kw_only=True):
    """A number that the account has proven."""

    number: str
    proven_at: datetime


class DisallowRequest(msgspec.Struct, kw_only=True):
    """Body of `…/disallow`."""

    rule: Allowance
    reason: str


class DoneBody(msgspec.Struct, kw_only=True):
    """Body of `POST …/data-requests/{number}/done`."""

    note: str | msgspec.UnsetType = msgspec.UNSET
    """What was done; no name and no address."""


class FeedDelta(msgspec.Struct, kw_only=True):
    """What is new; anything left out has not changed."""

    at: datetime
    calls: list[CallRow] = msgspec.field(default_factory=list)
    """New and changed ones, complete."""
    gone: list[str] = msgspec.field(default_factory=list)
    """Ids of calls that are no longer shown: a minute after their end."""
    totals: Totals | None = None
    nodes: list[NodeRow] | None = None
    """All nodes, if anything about them has changed."""
    alarms: list[AlarmView] | None = None
    """All active alarms, if anything about them has changed."""
    warnings: list[Warned] = msgspec.field(default_factory=list)
    """New ones."""
    samples: list[Sample] = msgspec.field(default_factory=list)
    """New ones."""


class FeedEnd(msgspec.Struct, kw_only=True):
    """Why the stream is closed for good: its reader may no longer watch."""

    code: str
    """Code of the problem that the same request would be answered with now."""


class FeedSnapshot(msgspec.Struct, kw_only=True):
    """All there is to see: it replaces everything sent before."""

    at: datetime
    audience: str
    """Whose calls: everyone's, those of one account, or one call."""
    calls: list[CallRow]
    totals: Totals | None
    """Null in a stream about one call."""
    nodes: list[NodeRow]
    """Like alarms and warnings, only in a stream of everyone's calls; empty otherwise."""
    alarms: list[AlarmView]
    warnings: list[Warned]
    samples: list[Sample]
    """Only in a stream about one call."""


class Feedback(msgspec.Struct, kw_only=True):
    """What a caller says of a call."""

    stars: int
    """5 is best."""
    flaws: list[Flaw] | msgspec.UnsetType = msgspec.UNSET


class FleetCalls(msgspec.Struct, kw_only=True):
    """Live calls of all nodes, the newest first."""

    calls: list[AccountCall]
    more: int
    """How many calls were left out, because their node has too many."""
    silent_nodes: list[str]
    """Nodes that did not answer: their calls are missing."""


class FoundPage(msgspec.Struct, kw_only=True):
    """A page of the accounts that were found."""

    accounts: list[FoundView]
    next: str | None
    """Pass it as `after` to get the next page; null after the last."""


class FoundView(msgspec.Struct, kw_only=True):
    """An account as a search shows it.

    Times are RFC 3339 in UTC.
    """

    id: str
    email: str
    has_holder: bool
    frozen: bool
    locked: bool
    deleted: bool
    created_at: datetime


class FraudReport(msgspec.Struct, kw_only=True):
    """What the rules refused in the last hours, and which accounts may place no calls now."""

    at: datetime
    since: datetime
    """Start of the first hour; hours are whole, and the last one is still running."""
    rules: list[RefusingRule]
    """The rules with the most refusals first."""
    accounts: list[RefusedAccount]
    """The accounts with the most refusals first."""
    accounts_total: int
    """How many were refused; those beyond a hundred are not listed."""
    frozen: list[FrozenAccount]
    """The most recently frozen first, without deleted accounts."""
    frozen_total: int
    """How many there are; those beyond a hundred are not listed."""


class FrozenAccount(msgspec.Struct, kw_only=True):
    """An account that may place no calls now."""

    account_id: str
    reasons: list[str]
    """`operator`, `dispute` (a payment was taken back), `locked` (its holder is locked out), `leaving` (its holder has asked for its deletion) or `restricted` (its holder has restricted the use of their data)."""
    since: datetime
    """When the newest reason began."""


class GrantRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/live-calls/{id}/supervision`."""

    reason: str | msgspec.UnsetType = msgspec.UNSET
    """Why, for the audit log; the account owes none for its own calls."""


class GrantView(msgspec.Struct, kw_only=True):
    """A grant: the token begins one media socket, as a call token begins a call."""

    token: str
    expires_in_seconds: int
    media_url: str
    call_id: str
    most: Mode
    """The most that the account allows; lesser modes are included."""
    announced: bool
    """Whether both parties hear a tone."""


class History(msgspec.Struct, kw_only=True):
    """The last day."""

    minutes: list[Minute]
    """The oldest first."""


class Hours(msgspec.Struct, kw_only=True):
    """When a button is open."""

    zone: str | msgspec.UnsetType = msgspec.UNSET
    """An IANA time zone, such as Europe/Berlin."""
    week: list[list[list[int]]] | msgspec.UnsetType = msgspec.UNSET
    """The spans of each of the seven days, Monday first: from which to which minute of the day."""
    holidays: list[date] | msgspec.UnsetType = msgspec.UNSET
    """Days, in the zone, on which it is closed regardless of the week."""


class KeptFeedback(msgspec.Struct, kw_only=True):
    """What is stored of a call's feedback."""

    kept: Feedback | None
    """Null if nothing is: the account's holder objects to such use."""


class KeyView(msgspec.Struct, kw_only=True):
    """A key as its holder sees it.

    Times are RFC 3339 in UTC.
    """

    id: str
    """Empty for a signed-in person."""
    account: str
    scopes: list[str]
    expires_at: datetime | None
    takes_feedback: bool
    """Whether feedback on calls is stored: not if the person objects to it."""


class LedgerLineView(msgspec.Struct, kw_only=True):
    """One line as the API shows it.

    Times are RFC 3339 in UTC.
    """

    reference: str
    at: datetime
    kind: str
    reason: str
    amount: Money
    """Below zero for what the account paid."""
    balance: Money
    """Left after it; holds of live calls are not deducted, because they are not entries yet."""
    call_id: str | None


class LedgerPage(msgspec.Struct, kw_only=True):
    """A page of the statement, newest first."""

    lines: list[LedgerLineView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class LegQuality(msgspec.Struct, kw_only=True):
    """What one leg carried, how much of it was speech, and its quality.

    The browser leg's voice is the caller's as the phone hears it; the carrier leg's is the
    phone's as the caller hears it. A figure that was not measured is null.
    """

    frames_in: int = 0
    frames_out: int = 0
    frames_dropped: int = 0
    """Discarded because the peer did not read, or because they came too late to be played."""
    talk_ms: int = 0
    silence_ms: int = 0
    paths: list[str] = msgspec.field(default_factory=list)
    """Media paths of the browser leg, `webrtc` or `websocket`, in order of first use."""
    packets_lost: int = 0
    loss_percent: float = 0.0
    """Of the packets sent to us or, on the carrier leg, to the browser."""
    jitter_ms: float | None = None
    """Interarrival jitter (RFC 3550), averaged over the seconds of the call."""
    jitter_ms_max: float | None = None
    rtt_ms: float | None = None
    """Round trip between the leg's far end and us, averaged over the seconds of the call."""
    concealed_ms: int = 0
    """Audio synthesised in place of what did not arrive in time."""
    backlog_ms_max: int = 0
    """The largest backlog of audio."""
    level_dbov: int | None = None
    """Mean power of the seconds that were not silent, -127 to 0 dBov (RFC 6464)."""
    mos: float | None = None
    """Conversational quality, 1 to 4.5 (ITU-T G.107), averaged over the seconds of the call."""
    mos_min: float | None = None


class LiveCallList(msgspec.Struct, kw_only=True):
    """The account's live calls."""

    calls: list[CallView]
    """The newest first; calls of a node that does not answer are missing."""


class LogLevelRequest(msgspec.Struct, kw_only=True):
    """Body of `…/log-level`."""

    level: LogLevel
    """`setting`: restores the node's configured level at once."""
    minutes: int | msgspec.UnsetType = msgspec.UNSET
    """Until the node logs at its configured level again."""
    reason: str


class LogLineView(msgspec.Struct, kw_only=True):
    """A line of the audit log."""

    number: int
    at: datetime
    act: str
    actor: str
    operator: str
    reason: str


class LogPage(msgspec.Struct, kw_only=True):
    """A page of the audit log of an account, newest first."""

    lines: list[LogLineView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class Minute(msgspec.Struct, kw_only=True):
    """All calls at the end of a minute; None where there was nothing to measure."""

    at: datetime
    calls: int
    begun: int
    """Within the minute."""
    spend_micros_per_minute: dict[str, int]
    asr_percent: float | None
    acd_s: float | None
    pdd_ms: int | None
    rtt_p95_ms: int | None
    mos: float | None
    talk_percent: float | None


class Money(msgspec.Struct, kw_only=True):
    """An amount: exact, and formatted for people."""

    micros: int
    currency: str
    text: str


class NodeFacts(msgspec.Struct, kw_only=True):
    """What a node reports about itself."""

    node: str
    process: str
    """Random name of its process, used to ask it."""
    origin: str
    """Public origin at which `/n/<node>/` leads to it."""
    release: str
    started_at: str
    """RFC 3339, in UTC."""
    calls: int
    calls_max: int
    is_draining: bool
    """Whether it takes no new calls."""
    lag_ms: float
    """The most that its heartbeat was recently late."""
    log_level: str = ""
    """From which level on it logs, such as `info`; empty if its release does not say."""
    log_level_until: str | None = None
    """RFC 3339, in UTC: until when that differs from the node's setting; null: it does not."""


class NodeRow(msgspec.Struct, kw_only=True):
    """A node as viewers see it."""

    node: str
    calls: int
    calls_max: int
    is_draining: bool
    lag_ms: float
    """The longest delay of its loop in the last one to two minutes."""
    release: str
    started_at: str
    is_lost: bool = False
    log_level: str = ""
    """From which level it logs; empty if its release does not say."""
    log_level_until: str | None = None
    """RFC 3339: until when that differs from the node's setting."""


class Nodes(msgspec.Struct, kw_only=True):
    """The running nodes."""

    nodes: list[NodeFacts]


class NumberBody(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/destinations/take-back`.

    Numbers stay out of URLs.
    """

    number: str


class OneButtonView(msgspec.Struct, kw_only=True):
    """A button that was requested by itself."""

    id: str
    label: str
    title: str
    destination: str
    """E.164; empty if the account's back end names each call's."""
    origins: list[str]
    hours: Hours
    seconds_max: int
    calls_at_once: int
    amounts: Amounts
    day_cap: Money | None
    month_cap: Money | None
    keys: list[ButtonKeyView]
    made_at: datetime
    paused_at: datetime | None
    usage: list[UsageView]
    """The days with calls among the last 31, the newest first."""
    live_calls: int
    """On all nodes."""
    refused_today: dict[str, int]
    """Reason -> visitors who were refused on this UTC day."""


class Operator(msgspec.Struct, kw_only=True):
    """Who runs the service."""

    name: str
    privacy_url: str


class PausedButton(msgspec.Struct, kw_only=True):
    """A button that takes no calls until its number is proven again."""

    id: str
    label: str


class PausedButtons(msgspec.Struct, kw_only=True):
    """The buttons that called a number that was withdrawn."""

    paused_buttons: list[PausedButton]


class PaymentPage(msgspec.Struct, kw_only=True):
    """A page of payments, newest first."""

    payments: list[PaymentView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class PaymentView(msgspec.Struct, kw_only=True):
    """One payment as the API shows it.

    Times are RFC 3339 in UTC.
    """

    id: str
    kind: str
    state: str
    amount: Money
    refunded: Money
    receipt_url: str
    failure: str
    created_at: datetime
    url: str = ""
    """Where to pay it; only in the reply to its creation."""


class Phonebook(msgspec.Struct, kw_only=True):
    """The operator's suggestions for the dial field."""

    entries: list[PhonebookEntry]


class PhonebookEntry(msgspec.Struct, kw_only=True):
    """A suggestion for the dial field."""

    number: str
    label: str


class PrefixRow(msgspec.Struct, kw_only=True):
    """Calls to one country that one prefix of the rate deck prices."""

    calls: int
    attempts: int
    asr_percent: float | None
    pdd_ms: int | None
    mos: float | None
    failed: int
    """Attempts that were neither answered nor ended by their caller."""
    prefix: str
    """With its plus sign."""


class PriceView(msgspec.Struct, kw_only=True):
    """What a call of this length costs."""

    seconds: int
    cost: Money


class Problem(msgspec.Struct, kw_only=True):
    """Why a request was refused, or failed (RFC 9457)."""

    type: str
    title: str
    """What happened, for people."""
    status: int
    code: str
    """Stable: for programs to check."""
    action: str
    """What to do, for people."""
    retry: bool
    """Whether the same request may succeed later."""
    field: str = ""
    """The field, parameter or header that is wrong."""
    reason: str = ""
    """A code for what is wrong with the field."""
    opens_at: str = ""
    """When a closed button opens: RFC 3339, in UTC."""
    scope: str = ""
    """The scope that the key lacks."""


class QuoteRefusal(msgspec.Struct, kw_only=True):
    """The quote of a call that may not be placed: an answer, not a failed request."""

    refusal: Refused


class QuoteReply(msgspec.Struct, kw_only=True):
    """What a call would cost."""

    destination: str
    country: str
    rate: RateQuote
    balance: Money
    affordable_seconds: int
    """How long balance, spend caps and the longest time allowed would let it last."""
    limited_by: str
    """Which of the three ends it."""


class QuoteRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/quotes`.

    A number goes in a body, because proxies log addresses.
    """

    destination: str


class RateQuote(msgspec.Struct, kw_only=True):
    """The price of this call."""

    per_minute: Money
    connect_fee: Money
    first_increment_s: int
    next_increment_s: int
    description: str


class RateRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/rates`."""

    destination: str


class RateView(msgspec.Struct, kw_only=True):
    """A rate, and how long the account's balance lasts on it."""

    destination: str | None
    """Null if a prefix was given."""
    country: str
    prefix: str
    description: str
    per_minute: Money
    connect_fee: Money
    minimum: Money
    cap: Money | None
    """The most that a call costs; null for no cap."""
    first_increment_s: int
    next_increment_s: int
    free_s: int
    prices: list[PriceView]
    balance: Money
    affordable_seconds: int
    limited_by: str
    """Whether it ends when the balance is used up, or at the longest time allowed."""


class RefusalsView(msgspec.Struct, kw_only=True):
    """How often a rule refused calls within an hour."""

    hour: datetime
    rule: str
    count: int


class Refused(msgspec.Struct, kw_only=True):
    """Why a call token would be refused, in the words of its problem."""

    code: str
    title: str
    action: str


class RefusedAccount(msgspec.Struct, kw_only=True):
    """An account whose calls were refused."""

    account_id: str
    count: int
    rules: dict[str, int]
    """The same by rule."""
    last_hour: datetime
    """The hour in which a call was last refused."""


class RefusingRule(msgspec.Struct, kw_only=True):
    """How often one rule of admission has refused calls."""

    rule: str
    count: int
    by_hour: list[int]
    """One count for each hour (UTC) of the report, oldest first."""
    accounts: int
    """How many accounts it has refused."""


class ReplayBody(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/webhooks/{webhook_id}/replay`."""

    since: datetime
    """Only events that were queued since then."""


class Replayed(msgspec.Struct, kw_only=True):
    """What is sent again."""

    replayed: int
    """How many events; the oldest, 1,000 at most."""


class RuleRequest(msgspec.Struct, kw_only=True):
    """Body of `PUT /v1/admin/accounts/{id}/supervision`."""

    most: Literal["barge", "listen", "off", "take-over", "whisper"]
    silent_reason: str | msgspec.UnsetType = msgspec.UNSET
    """Why supervisors are not announced by a tone; without a reason they are."""
    reason: str


class RuleView(msgspec.Struct, kw_only=True):
    """What supervisors may do in the calls of an account."""

    most: str
    announced: bool
    silent_reason: str


class Sample(msgspec.Struct, kw_only=True):
    """One second of a call."""

    at: datetime
    mos: float | None
    rtt_ms: float | None
    jitter_ms: float | None
    loss_percent: float | None
    caller_dbov: int
    phone_dbov: int
    backlog_ms: int
    seconds: int
    cost_micros: int


class SavedCardRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/saved-card-charges`."""

    amount: str


class SearchRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/admin/search`."""

    text: str
    """Part of an account's id or of an address."""
    limit: int | msgspec.UnsetType = msgspec.UNSET
    after: str | msgspec.UnsetType = msgspec.UNSET


class SilenceRequest(msgspec.Struct, kw_only=True):
    """Body of `…/silence`."""

    name: str
    minutes: int
    reason: str


class SilencedView(msgspec.Struct, kw_only=True):
    """What is silenced, whether active or not."""

    name: str
    by: str
    reason: str
    until: datetime | None


class StateView(msgspec.Struct, kw_only=True):
    """The state of an account."""

    id: str
    email: str
    has_holder: bool
    frozen: bool
    locked: bool
    deleted: bool
    created_at: datetime
    balance: Money
    """From the book: it does not include calls that are not booked yet."""
    freezes: list[str]
    keys: int
    address_confirmed: bool
    second_factor: bool
    sessions: int
    devices: int
    last_sign_in_at: datetime | None
    locked_at: datetime | None
    countries: list[str]
    lifted: dict[str, datetime]
    refusals: list[RefusalsView]


class TokenReply(msgspec.Struct, kw_only=True):
    """A one-use token, and what the call will cost."""

    destination: str
    country: str
    rate: RateQuote
    balance: Money
    affordable_seconds: int
    """How long balance, spend caps and the longest time allowed would let it last."""
    limited_by: str
    """Which of the three ends it."""
    token: str
    expires_at: str
    expires_in_seconds: int
    media_url: str
    codec: str


class TokenRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/call-tokens`."""

    destination: str | msgspec.UnsetType | None = msgspec.UNSET
    codec: str | msgspec.UnsetType = msgspec.UNSET
    origin: str | msgspec.UnsetType = msgspec.UNSET
    button: str | msgspec.UnsetType = msgspec.UNSET
    """Publishable key of a button of the same account: its rules apply, and it pays."""
    visitor: str | msgspec.UnsetType = msgspec.UNSET
    """With a button, and required then: the caller's back end's own name for the visitor."""


class TopUpOffer(msgspec.Struct, kw_only=True):
    """What can be paid here."""

    enabled: bool
    currency: str
    amounts: list[Money]
    minimum: Money
    maximum: Money
    auto: AutoTopUpView


class TopUpRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/top-ups`."""

    amount: str
    """A plain decimal number of the account's currency, such as "25.00"."""
    save_card: bool | msgspec.UnsetType = msgspec.UNSET


class Totals(msgspec.Struct, kw_only=True):
    """All calls of an audience in figures; None where there is nothing to measure."""

    calls: int
    by_state: dict[str, int]
    begun_per_minute: int
    spend_micros_per_minute: dict[str, int]
    """By currency, of running calls."""
    asr_percent: float | None
    acd_s: float | None
    pdd_ms: int | None
    """Median."""
    rtt_p95_ms: int | None
    mos: float | None
    talk_percent: float | None
    """Share of the seconds of calls in which either side spoke."""
    durations: list[int]
    countries: list[CountryRow]


class TurnBody(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/buttons/{button_id}/turn`."""

    overlap_days: int | msgspec.UnsetType = msgspec.UNSET
    """How long the replaced key stays valid: 0, 1, 7 or 30 days."""


class UnsilenceRequest(msgspec.Struct, kw_only=True):
    """Body of `…/unsilence`."""

    name: str


class UsageView(msgspec.Struct, kw_only=True):
    """The calls of one UTC day and their cost, as far as they have ended."""

    day: date
    calls: int
    answered: int
    seconds: int
    cost: Money


class VisitorTokenReply(msgspec.Struct, kw_only=True):
    """A one-use token, and the media socket that takes it."""

    token: str
    expires_at: str
    expires_in_seconds: int
    media_url: str
    codec: str


class VisitorTokenRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/embed/{key}/call-tokens`: a solution, or a token that the owner got."""

    solution: str | msgspec.UnsetType = msgspec.UNSET
    token: str | msgspec.UnsetType = msgspec.UNSET
    human: str | msgspec.UnsetType = msgspec.UNSET
    """The token of the operator's check for humans, if there is one."""
    host: str | msgspec.UnsetType = msgspec.UNSET
    """Origin of the page around the frame, as reported by the browser; empty for our own."""


class Warned(msgspec.Struct, kw_only=True):
    """A line of a process's log, warning or worse: its fixed words, and the call it is about."""

    at: datetime
    node: str
    level: str
    event: str
    call_id: str = ""


class WebhookBody(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/webhooks`."""

    url: str
    label: str | msgspec.UnsetType = msgspec.UNSET
    types: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Events that it is to have; none: all."""


class WebhookChangeBody(msgspec.Struct, kw_only=True):
    """Body of `PATCH /v1/webhooks/{webhook_id}`; what it leaves out stays."""

    url: str | msgspec.UnsetType | None = msgspec.UNSET
    label: str | msgspec.UnsetType | None = msgspec.UNSET
    types: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    disabled: bool | msgspec.UnsetType | None = msgspec.UNSET


class WebhookList(msgspec.Struct, kw_only=True):
    """All endpoints of the account."""

    webhooks: list[WebhookView]
    """The newest first."""


class WebhookSecretView(msgspec.Struct, kw_only=True):
    """An endpoint and what its posts are signed with."""

    id: str
    url: str
    label: str
    types: list[str]
    """Events that it has; none: all."""
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str
    """`by_owner`, `by_operator`, `gone` (it answered 410), `failing` (it took nothing for days) or `taken_back` (it was not its account's holder who made it); empty while it is enabled."""
    failing_since: datetime | None
    """Of the first failure since the last success."""
    old_secret_until: datetime | None
    """Until when the secret that was replaced signs too."""
    secret: str
    """`whsec_` and base64."""


class WebhookView(msgspec.Struct, kw_only=True):
    """An endpoint as its account sees it.

    Times are RFC 3339 in UTC.
    """

    id: str
    url: str
    label: str
    types: list[str]
    """Events that it has; none: all."""
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str
    """`by_owner`, `by_operator`, `gone` (it answered 410), `failing` (it took nothing for days) or `taken_back` (it was not its account's holder who made it); empty while it is enabled."""
    failing_since: datetime | None
    """Of the first failure since the last success."""
    old_secret_until: datetime | None
    """Until when the secret that was replaced signs too."""
