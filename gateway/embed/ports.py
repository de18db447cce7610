"""Declares what keeps buttons, what proves that a destination is somebody's, and what visitors ask.

Shapes and promises only; knows no store, no carrier and no HTTP.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Final, Protocol

from accounts.notice import Notice
from billing.spend_limits import Period, holder_name
from gateway.embed.keys import Mode
from gateway.embed.refusals import Reason
from gateway.embed.rules import Rules
from gateway.operators import Order

BUTTONS_MAX: Final = 20
"""Buttons that an account may have at once."""
KEYS_MAX: Final = 5
"""Live keys of one button that are good at once: the newest, and those whose overlap runs."""
DESTINATIONS_MAX: Final = 20
"""Numbers that an account may have proven."""
USAGE_DAYS_MAX: Final = 92


@dataclass(frozen=True, slots=True)
class ButtonKey:
    """A publishable key of a button."""

    key: str
    mode: Mode
    made_at: datetime
    ends_at: datetime | None
    """When the overlap of one that was replaced ends; None while it stands."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button as its owner sees it."""

    id: str
    account_id: str
    key_id: str
    """Of the API key of scope `embed` that pays for its calls, whatever publishable key began
    them; each call record names it."""
    label: str
    """What its owner calls it."""
    rules: Rules
    keys: Sequence[ButtonKey]
    """Those that are good now, the newest first: one of each mode stands, others end."""
    made_at: datetime
    paused_at: datetime | None
    """Since when it takes no calls, because its owner wants so."""

    def key_of(self, mode: Mode) -> str:
        """Return the key of a mode that stands; empty where there is none."""
        return next((k.key for k in self.keys if k.mode is mode and k.ends_at is None), "")


@dataclass(frozen=True, slots=True)
class NewButton:
    """A button to be made. The same `id` a second time makes nothing more."""

    id: str
    label: str
    rules: Rules
    """Without faults (`rules.faults`)."""
    live_key: str
    test_key: str


class Change(Enum):
    """What became of something that somebody wanted to do with a button."""

    DONE = "done"
    """Or done before, by the same request."""
    NOT_FOUND = "not_found"
    """The account has no such button."""
    TOO_MANY = "too_many"
    """Buttons of the account, or live keys of the button."""
    UNPROVEN = "unproven"
    """Nobody has proven that the destination is the account's."""
    SESSION_OVER = "session_over"


@dataclass(frozen=True, slots=True)
class DayUsage:
    """What the calls of a button came to on one UTC day, as far as they are booked."""

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
class ByKey:
    """A program that changes a button, by the API key that it has."""

    key_id: str


Editor = int | ByKey | Order | None
"""Who makes a change: the credentials epoch of a session, a program, an operator with a reason, or
None for an operator's own process."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What became of a proven number that was taken back."""

    was_proven: bool
    buttons: Sequence[Button]
    """Those that call it; they are paused."""


class Buttons(Protocol):
    """The buttons of accounts. Every method raises StoreUnavailableError.

    Each change commits with its audit event, which names the editor, and its mail, and is safe to
    repeat. SESSION_OVER also of a key that may not do it any more.
    """

    async def of_account(self, account_id: str) -> Sequence[Button]:
        """Return an account's buttons, the newest first."""

    async def read(self, account_id: str, button_id: str) -> Button | None:
        """Return one of them."""

    async def was_made(self, account_id: str, button_id: str) -> bool:
        """Return whether it was an account's at any time, also if it was deleted since."""

    async def make(
        self,
        account_id: str,
        editor: Editor,
        new: NewButton,
        notice: Notice | None = None,
    ) -> Change:
        """Make a button with both of its keys. DONE, TOO_MANY, UNPROVEN or SESSION_OVER.

        NOT_FOUND for one that was made before, and deleted since.

        `notice` is the mail about it; None where the operator's own process makes it.
        """

    async def change(
        self,
        account_id: str,
        editor: Editor,
        button_id: str,
        *,
        label: str,
        rules: Rules,
    ) -> Change:
        """Replace label and rules. DONE, NOT_FOUND, UNPROVEN or SESSION_OVER."""

    async def pause(
        self, account_id: str, editor: Editor, button_id: str, *, is_paused: bool
    ) -> Change:
        """Let it take no calls, or take calls again; calls that run go on.

        UNPROVEN for one that is to call a number that was taken back.
        """

    async def note_ended(self, account_id: str, editor: Editor, button_id: str) -> Change:
        """Note in the audit log that its calls are ended."""

    async def turn(
        self,
        account_id: str,
        editor: Editor,
        button_id: str,
        *,
        new_key: str,
        ends_at: datetime,
    ) -> Change:
        """Give it another live key; the one that stands goes on until `ends_at`.

        Budgets and limits are the button's, so that two keys spend no more than one.
        """

    async def delete(self, account_id: str, editor: Editor, button_id: str) -> Change:
        """Delete it with its keys, for good. DONE also for one that was deleted before."""

    async def usage(self, account_id: str, *, since: date) -> Mapping[str, Sequence[DayUsage]]:
        """Return button id -> its days with calls since then, the newest first.

        Of buttons without calls nothing; of all the newest `USAGE_DAYS_MAX` days times
        `BUTTONS_MAX`.
        """

    async def destinations(self, account_id: str) -> Sequence[ProvenDestination]:
        """Return the numbers that the account has proven, the newest first."""

    async def take_back(self, account_id: str, editor: Editor, number: str) -> TakenBack | Change:
        """Forget that a number is proven, and pause the buttons that call it; SESSION_OVER."""


class ButtonRefusals(Protocol):
    """How many visitors were refused, and why. Raises StoreUnavailableError."""

    async def of_day(self, button_id: str, at: datetime) -> Mapping[Reason, int]:
        """Return reason -> how often on a moment's day in UTC, the most frequent first."""


class ProofStart(Enum):
    """What became of the wish to have a code spoken to a number."""

    CALLED = "called"
    """The phone is being called; the code is good for `CODE_LIFETIME_S`."""
    ALREADY_PROVEN = "already_proven"
    TOO_MANY = "too_many"
    """Numbers of the account."""
    NEVER_PAID = "never_paid"
    """The operator pays for these calls, and makes them for accounts that have paid before."""
    NOT_REACHED = "not_reached"
    """The carrier did not take the call; the account may try again later."""


class CodeTry(Enum):
    """What became of a code that was typed."""

    PROVEN = "proven"
    WRONG = "wrong"
    OVER = "over"
    """There is no code for this number any more: too old, or tried too often. Start again."""
    TOO_MANY = "too_many"
    """The account has proven as many numbers as it may."""
    SESSION_OVER = "session_over"


CODE_DIGITS: Final = 6
CODE_LIFETIME_S: Final = 600
CODE_TRIES_MAX: Final = 5
"""One try of 200,000 is right by chance."""


class Comparison(Enum):
    """What a code is that was typed."""

    RIGHT = "right"
    WRONG = "wrong"
    OVER = "over"


class ProofCodes(Protocol):
    """Codes of numbers that are being proven. Every method raises StoreUnavailableError.

    A place is the digest of who asked and of which number.
    """

    async def keep(self, place: str, code_digest: str) -> None:
        """Keep a code in place of the one before it, for `CODE_LIFETIME_S`."""

    async def compare(self, place: str, code_digest: str) -> Comparison:
        """Try a code, `CODE_TRIES_MAX` times at most. A right one stays."""

    async def forget(self, place: str) -> None:
        """Forget a code."""


class Proofs(Protocol):
    """Proves that a number is an account's: a call speaks a code that is typed back.

    Every method raises RequestRefusedError, with the codes of admission, for a number that this
    account cannot call and for too many tries, and StoreUnavailableError.
    """

    async def start(self, caller: ProofCaller, number: str) -> ProofStart:
        """Call a number, as typed by a person, and speak a code."""

    async def try_code(
        self, account_id: str, credentials_epoch: int | None, number: str, code: str
    ) -> CodeTry:
        """Compare a code; the number is the account's from then on where it is right."""


@dataclass(frozen=True, slots=True)
class ProofCaller:
    """Who wants a number called."""

    account_id: str
    address: str
    """Of their network connection."""
    language: str
    """BCP 47; what the code is spoken in."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A button as a visitor's request finds it, by a key that is good now."""

    button_id: str
    account_id: str
    key_id: str
    mode: Mode
    rules: Rules
    is_paused: bool
    key: str
    """The publishable key that was named."""
    ends_at: datetime | None
    """When that key ends."""

    def refusal(self, at: datetime) -> str:
        """Return the code of why it takes no calls at a moment; empty where it does."""
        if self.is_paused:
            return "button_paused"
        return "" if self.rules.hours.is_open(at) else "button_closed"


class ButtonKeys(Protocol):
    """Finds buttons for visitors. Every method raises StoreUnavailableError."""

    async def by_key(self, key: str) -> Standing | None:
        """Return the button of a publishable key that stands; None for all other texts."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a visitor's machine has to solve, in ALTCHA's words."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str = field(repr=False)
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Names to count by, good for one day and one button."""

    name: str
    """Of one address, in IPv6 of its /64."""
    network: str
    """Of its /24 or /48."""


class Spent(Enum):
    """What became of a solution."""

    RIGHT = "right"
    """And used up by this."""
    WRONG = "wrong"
    """Wrong, too old, or of another key or network."""
    USED = "used"


class Challenges(Protocol):
    """Challenges of all nodes together. Every method raises StoreUnavailableError."""

    async def give(self, key: str, address: str) -> Challenge:
        """Return a fresh challenge, for a publishable key and whoever asks from this address."""

    async def spend(self, key: str, address: str, solution: str) -> Spent:
        """Use a solution up, which is ALTCHA's payload in base64."""

    async def visitor(self, button_id: str, address: str) -> Visitor:
        """Return how a visitor and their network are called today at this button."""


class ButtonEras(Protocol):
    """Ends the calls of a button on whatever node they are. Raises StoreUnavailableError.

    An era is a name that no other one has. When another begins, the calls of the one before end.
    """

    async def current(self, button_ids: Collection[str]) -> Mapping[str, str]:
        """Return button id -> its era; nothing of those in their first."""

    async def end(self, button_id: str) -> None:
        """End the calls of a button that go on; a repeat ends those that have begun since."""


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
    """What its owner has been told; see `embed.budget_notices`."""

    @property
    def caps(self) -> Mapping[Period, int]:
        """Its budgets."""
        caps = {Period.DAY: self.day_cap_micros, Period.MONTH: self.month_cap_micros}
        return {period: cap for period, cap in caps.items() if cap is not None}

    @property
    def holder(self) -> str:
        """Its name at the spend gate."""
        return holder_name("key", self.key_id)


class BudgetBook(Protocol):
    """What is kept of buttons. Every method raises StoreUnavailableError."""

    async def budgeted(self, after: str, limit: int) -> Sequence[Budgeted]:
        """Return the buttons with a budget whose ids come after this one, in order."""

    async def tell(self, button: Budgeted, told: str, notices: Sequence[Notice]) -> bool:
        """Queue mails, and note what is told; False, and nothing, where that is not as it was."""
