"""Declares the ports of buttons: their store, proofs of destinations, and what visitors request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Final, Protocol

from accounts.notice import Notice
from billing.spend_limits import Period, holder_name
from gateway.editors import Editor
from gateway.embed.keys import KeyMode
from gateway.embed.refusals import Reason
from gateway.embed.rules import ButtonRules

BUTTONS_MAX: Final = 20
"""Buttons that an account may have at once."""
KEYS_MAX: Final = 5
"""Live keys of one button that are valid at once: the newest, and those in their overlap."""
DESTINATIONS_MAX: Final = 20
"""Numbers that an account may have proven."""
USAGE_DAYS_MAX: Final = 92


@dataclass(frozen=True, slots=True)
class ButtonKey:
    """A publishable key of a button."""

    key: str
    mode: KeyMode
    made_at: datetime
    ends_at: datetime | None
    """When the overlap of a replaced key ends; None while it is current."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button as its owner sees it."""

    id: str
    account_id: str
    key_id: str
    """The API key of scope `embed` that pays for its calls, whichever publishable key began them;
    each call record names it."""
    label: str
    """The owner's name for it."""
    rules: ButtonRules
    keys: Sequence[ButtonKey]
    """The valid ones, the newest first: one of each mode is current, the others are ending."""
    made_at: datetime
    paused_at: datetime | None
    """Since when its owner has paused it."""

    def key_of(self, mode: KeyMode) -> str:
        """Return the current key of a mode; empty if there is none."""
        return next((k.key for k in self.keys if k.mode is mode and k.ends_at is None), "")


@dataclass(frozen=True, slots=True)
class NewButton:
    """A button to be created. A repeat with the same `id` creates nothing more."""

    id: str
    label: str
    rules: ButtonRules
    """Without faults (`rules.faults`)."""
    live_key: str
    test_key: str


class ButtonChange(Enum):
    """The result of an operation on a button."""

    DONE = "done"
    """Also if the same request did it before."""
    NOT_FOUND = "not_found"
    """The account has no such button."""
    TOO_MANY = "too_many"
    """Buttons of the account, or live keys of the button."""
    UNPROVEN = "unproven"
    """No one has proven that the destination is the account's."""
    SESSION_OVER = "session_over"


@dataclass(frozen=True, slots=True)
class DayUsage:
    """The booked calls of a button on one UTC day, and their cost."""

    day: date
    calls: int
    answered: int
    seconds: int
    micros: int


@dataclass(frozen=True, slots=True)
class ProvenDestination:
    """A number that was proven to be an account's."""

    number: str
    """E.164."""
    proven_at: datetime


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The result of withdrawing a proven number."""

    was_proven: bool
    buttons: Sequence[Button]
    """The buttons that call it; they are paused."""


class Buttons(Protocol):
    """The buttons of accounts. Every method raises StoreUnavailableError.

    Each change commits with its audit event, which names the editor, and its mail, and is safe to
    repeat. SESSION_OVER also if a key is no longer allowed to do it.
    """

    async def of_account(self, account_id: str) -> Sequence[Button]:
        """Return an account's buttons, the newest first."""

    async def read(self, account_id: str, button_id: str) -> Button | None:
        """Return one of them."""

    async def was_made(self, account_id: str, button_id: str) -> bool:
        """Return whether it was ever an account's, even if it was deleted since."""

    async def make(
        self,
        account_id: str,
        editor: Editor,
        new: NewButton,
        notice: Notice | None = None,
    ) -> ButtonChange:
        """Create a button with both of its keys. DONE, TOO_MANY, UNPROVEN or SESSION_OVER.

        NOT_FOUND if it was created before, and deleted since.

        `notice` is the mail about it; None if the operator's own process creates it.
        """

    async def change(
        self,
        account_id: str,
        editor: Editor,
        button_id: str,
        *,
        label: str,
        rules: ButtonRules,
    ) -> ButtonChange:
        """Replace label and rules. DONE, NOT_FOUND, UNPROVEN or SESSION_OVER."""

    async def pause(
        self, account_id: str, editor: Editor, button_id: str, *, is_paused: bool
    ) -> ButtonChange:
        """Pause it, or let it take calls again; running calls go on.

        UNPROVEN if the number it calls was withdrawn.
        """

    async def note_ended(self, account_id: str, editor: Editor, button_id: str) -> ButtonChange:
        """Record in the audit log that its calls were ended."""

    async def turn(
        self,
        account_id: str,
        editor: Editor,
        button_id: str,
        *,
        new_key: str,
        ends_at: datetime,
    ) -> ButtonChange:
        """Give it a new live key; the current one stays valid until `ends_at`.

        Budgets and limits belong to the button, so two keys spend no more than one.
        """

    async def delete(self, account_id: str, editor: Editor, button_id: str) -> ButtonChange:
        """Delete it with its keys, for good. DONE also if it was deleted before."""

    async def usage(self, account_id: str, *, since: date) -> Mapping[str, Sequence[DayUsage]]:
        """Return button id -> its days with calls since then, the newest first.

        Buttons without calls are left out; at most the newest `USAGE_DAYS_MAX` days times
        `BUTTONS_MAX` in all.
        """

    async def destinations(self, account_id: str) -> Sequence[ProvenDestination]:
        """Return the numbers that the account has proven, the newest first."""

    async def take_back(
        self, account_id: str, editor: Editor, number: str
    ) -> TakenBack | ButtonChange:
        """Withdraw a proven number, and pause the buttons that call it; SESSION_OVER."""


class ButtonRefusals(Protocol):
    """How many visitors were refused, and why. Raises StoreUnavailableError."""

    async def of_day(self, button_id: str, at: datetime) -> Mapping[Reason, int]:
        """Return reason -> how often on a moment's day in UTC, the most frequent first."""


class ProofStart(Enum):
    """The result of requesting a code call to a number."""

    CALLED = "called"
    """The phone is being called; the code is valid for `CODE_LIFETIME_S`."""
    ALREADY_PROVEN = "already_proven"
    TOO_MANY = "too_many"
    """The account has proven as many numbers as it may."""
    NEVER_PAID = "never_paid"
    """The operator pays for these calls, and only offers them to accounts that have paid before."""
    NOT_REACHED = "not_reached"
    """The carrier did not accept the call; the account may try again later."""


class CodeTry(Enum):
    """The result of trying a code."""

    PROVEN = "proven"
    WRONG = "wrong"
    OVER = "over"
    """The number has no code any more: it expired, or was tried too often. Start again."""
    TOO_MANY = "too_many"
    """The account has proven as many numbers as it may."""
    SESSION_OVER = "session_over"


CODE_DIGITS: Final = 6
CODE_LIFETIME_S: Final = 600
CODE_TRIES_MAX: Final = 5
"""One try in 200,000 is right by chance."""


class Comparison(Enum):
    """The result of comparing a typed code."""

    RIGHT = "right"
    WRONG = "wrong"
    OVER = "over"


class ProofCodes(Protocol):
    """Codes of numbers that are being proven. Every method raises StoreUnavailableError.

    A place is the digest of who asked and for which number.
    """

    async def keep(self, place: str, code_digest: str) -> None:
        """Store a code, replacing the previous one, for `CODE_LIFETIME_S`."""

    async def compare(self, place: str, code_digest: str) -> Comparison:
        """Try a code, `CODE_TRIES_MAX` times at most. A right one stays."""

    async def forget(self, place: str) -> None:
        """Forget a code."""


class Proofs(Protocol):
    """Proves that a number is an account's: a call speaks a code, which is typed back.

    Every method raises RequestRefusedError, with the codes of admission, if this account cannot
    call the number or has tried too often, and StoreUnavailableError.
    """

    async def start(self, caller: ProofCaller, number: str) -> ProofStart:
        """Call a number, as typed by a person, and speak a code."""

    async def try_code(
        self, account_id: str, credentials_epoch: int | None, number: str, code: str
    ) -> CodeTry:
        """Compare a code; if it is right, the number is the account's from then on."""


@dataclass(frozen=True, slots=True)
class ProofCaller:
    """Who requests a code call."""

    account_id: str
    address: str
    """Of their network connection."""
    language: str
    """BCP 47; the language in which the code is spoken."""


@dataclass(frozen=True, slots=True)
class VisitorChallenge:
    """What a visitor's machine has to solve, in ALTCHA's terms."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str = field(repr=False)
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VisitorDigests:
    """Names for counting, valid for one day and one button."""

    name: str
    """For one address; in IPv6 its /64."""
    network: str
    """For its /24 or /48."""


class SolutionVerdict(Enum):
    """The verdict on a solution."""

    RIGHT = "right"
    """Right, and used up by this."""
    WRONG = "wrong"
    """Wrong, expired, or for another key or network."""
    USED = "used"


class Challenges(Protocol):
    """Challenges, shared by all nodes. Every method raises StoreUnavailableError."""

    async def give(self, key: str, address: str) -> VisitorChallenge:
        """Return a fresh challenge for a publishable key and a client address."""

    async def spend(self, key: str, address: str, solution: str) -> SolutionVerdict:
        """Use up a solution, which is ALTCHA's payload in base64."""

    async def visitor(self, button_id: str, address: str) -> VisitorDigests:
        """Return today's names of a visitor and their network at this button."""


class ButtonEras(Protocol):
    """Ends the calls of a button on all nodes. Raises StoreUnavailableError.

    An era has a unique name. When another begins, the calls of the previous one end.
    """

    async def current(self, button_ids: Collection[str]) -> Mapping[str, str]:
        """Return button id -> its era; buttons in their first era are left out."""

    async def end(self, button_id: str) -> None:
        """End the running calls of a button; a repeat also ends those that have begun since."""


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A button that has a budget."""

    button_id: str
    account_id: str
    key_id: str
    label: str
    day_cap_micros: int | None
    month_cap_micros: int | None
    told: str
    """What its owner has been notified of; see `budget_notices`."""

    @property
    def caps(self) -> Mapping[Period, int]:
        """Its budgets."""
        caps = {Period.DAY: self.day_cap_micros, Period.MONTH: self.month_cap_micros}
        return {period: cap for period, cap in caps.items() if cap is not None}

    @property
    def holder(self) -> str:
        """Its name at the spend gate."""
        return holder_name("key", self.key_id)
