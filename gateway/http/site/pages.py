"""Declares each page: the dataclass is all that its template gets, and names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol

from markupsafe import Markup

from accounts.passkey import Passkey
from gateway.http.site.own_text import Block
from gateway.words.data_map import Left

Errors = Mapping[str, str]
"""Field of a form -> code of what is wrong with it, a key of the words under `error.`."""


class Page(Protocol):
    """A page: a dataclass that is all that its template is given, and names it."""

    template: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@dataclass(frozen=True, slots=True)
class SignUpPage:
    """The form for a person without an account."""

    template: ClassVar[str] = "sign_up.html"
    is_open: bool
    email: str = ""
    terms: bool = False
    adult: bool = False
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignUpDonePage:
    """What to do next, and how to have the mail sent again."""

    template: ClassVar[str] = "sign_up_done.html"
    said: str = ""
    email: str = ""
    errors: Errors = field(default_factory=dict)


PASSWORD_BUSY: Final[Errors] = MappingProxyType({"password": "busy"})
"""What is said beside a password that could not be checked, because too many people are signing
in."""


@dataclass(frozen=True, slots=True)
class SignInPage:
    """The form for a person with an account."""

    template: ClassVar[str] = "sign_in.html"
    is_open: bool
    """Whether the page offers to sign up."""
    said: str = ""
    email: str = ""
    next: str = ""
    errors: Errors = field(default_factory=dict)
    passkey_host: str = ""
    """The host that passkeys belong to; empty if there can be none."""


@dataclass(frozen=True, slots=True)
class AccountPage:
    """An overview of a person's account."""

    template: ClassVar[str] = "account.html"
    email: str
    is_proven: bool
    balance: str
    """As money; empty if it is unavailable."""
    account_id: str
    said: str = ""
    languages: Sequence[tuple[str, str]] = ()
    """Code and own name of each language."""
    barred: Sequence[str] = ()
    """Why it places no calls: "leaving", "restricted", or "frozen" if someone else did it."""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangePasswordPage:
    """The form for a new password."""

    template: ClassVar[str] = "change_password.html"
    email: str
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangeAddressPage:
    """The form for a new e-mail address."""

    template: ClassVar[str] = "change_address.html"
    current: str
    email: str = ""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser, and the name of its country, if known."""

    name: str
    browser: str
    system: str
    country: str
    began_at: datetime
    seen_at: datetime
    is_own: bool


@dataclass(frozen=True, slots=True)
class DevicesPage:
    """Where a person is signed in."""

    template: ClassVar[str] = "devices.html"
    sessions: Sequence[SessionRow]
    said: str = ""


@dataclass(frozen=True, slots=True)
class DataField:
    """One value of an entry, as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class DataKind:
    """What is stored of one kind."""

    name: str
    title: str
    what: str
    purposes: str
    period: str
    viewers: str
    count: int
    has_more: bool
    """Whether there are more than are counted."""
    newest: Sequence[Sequence[DataField]]
    corrected_at: str
    """Path of the page where it is corrected; empty if it records what has happened."""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A requested export."""

    id: str
    state: str
    progress: int
    asked_at: datetime
    expires_at: datetime | None
    megabytes: str


@dataclass(frozen=True, slots=True)
class DataPage:
    """All data about a person, and how to take them with them."""

    template: ClassVar[str] = "data.html"
    kinds: Sequence[DataKind]
    others: Sequence[DataKind]
    """Kinds that no account leads to, or that are in no export, each explained."""
    exports: Sequence[ExportRow]
    said: str = ""


@dataclass(frozen=True, slots=True)
class SignInCodePage:
    """The second step of a sign-in: a code."""

    template: ClassVar[str] = "sign_in_code.html"
    next: str
    is_recovery: bool = False
    """Whether a recovery code is asked for."""
    minutes_fast: int = 0
    """How far the app's clock is off; negative: slow, 0: that is not the problem."""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecurityPage:
    """How a person proves who they are."""

    template: ClassVar[str] = "security.html"
    is_offered: bool
    """Whether a second factor can be added."""
    factor_since: datetime | None
    """When the second factor was added; None without one."""
    codes_left: int
    has_few_codes: bool
    passkeys: Sequence[Passkey]
    passkey_host: str
    """The host that passkeys belong to; empty if there can be none."""
    passkey_origin: str
    """Origin of our pages at that host."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class SecondFactorPage:
    """What is entered into an app, and the form for its first code."""

    template: ClassVar[str] = "second_factor.html"
    secret: str
    """For typing it into the app."""
    qr_code: Markup
    minutes_fast: int = 0
    """How far the app's clock is off; negative: slow, 0: that is not the problem."""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecoveryCodesPage:
    """The recovery codes that were just made."""

    template: ClassVar[str] = "recovery_codes.html"
    codes: Sequence[str]
    said: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmPage:
    """The password again, and a code, before something that cannot be undone."""

    template: ClassVar[str] = "confirm.html"
    email: str
    next: str
    needs_code: bool
    minutes_fast: int = 0
    """How far the app's clock is off; negative: slow, 0: that is not the problem."""
    errors: Errors = field(default_factory=dict)
    passkey_host: str = ""
    """The host that the person's passkeys belong to; empty if there are none."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class CountryRow:
    """A country as a person reads it."""

    code: str
    """ISO 3166 alpha-2."""
    name: str


@dataclass(frozen=True, slots=True)
class CountriesPage:
    """Where an account may call; `proposed` is the preselected code, empty for none."""

    template: ClassVar[str] = "countries.html"
    home: Sequence[CountryRow]
    """Open to everyone; empty: all are."""
    opened: Sequence[CountryRow]
    closed: Sequence[CountryRow]
    """Countries that the person can open."""
    proposed: str
    day_max: int
    said: str = ""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TermsPage:
    """The terms of the service."""

    template: ClassVar[str] = "terms.html"
    version: str
    """ISO date."""
    own: Sequence[Block]
    """The operator's text, replacing ours; empty for none."""


@dataclass(frozen=True, slots=True)
class PrivacyPage:
    """The privacy notice."""

    template: ClassVar[str] = "privacy.html"
    version: str
    """ISO date."""
    own: Sequence[Block]
    """The operator's text, before ours; empty for none."""
    kinds: Sequence[DataKind]
    months: str
    """How long call records are kept."""
    stays: Sequence[Left]
    """What is kept once the account is deleted."""


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Why a page cannot be shown."""

    template: ClassVar[str] = "error.html"
    code: str
    """A key of the words under `problem.`."""
    wait_minutes: int = 0
    """When to try again; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class SentFormPage:
    """A form that was received before, or that may have been done."""

    template: ClassVar[str] = "sent_form.html"
    code: str
    """A key of the words under `sent_form.`: `before` or `uncertain`."""


@dataclass(frozen=True, slots=True)
class DeletePage:
    """What a deletion does and its form; or the waiting one, and the way back."""

    template: ClassVar[str] = "delete.html"
    balance: str
    """As money; empty if there is none."""
    refundable: str
    """How much of it can be refunded to cards, as money; empty for nothing."""
    may_be_now: bool
    stays: Sequence[Left]
    """What is kept once the account is deleted."""
    due_at: datetime | None
    """When the requested deletion begins; None if there is none."""
    may_cancel: bool
    stays_frozen: bool = False
    """Whether an account that is kept stays frozen for another reason."""
    unspent: str = ""
    """What was chosen: in the form, or for the waiting deletion."""
    is_now: bool = False
    said: str = ""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChoicesPage:
    """What a person has chosen about the use of their data, and their mails."""

    template: ClassVar[str] = "privacy_choices.html"
    objected_at: datetime | None
    restricted_at: datetime | None
    wanted: Mapping[str, bool]
    """Notice that can be switched off -> whether it is sent."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class RestrictionPage:
    """The effect of a restriction, and the button that begins or ends it."""

    template: ClassVar[str] = "restriction.html"
    since: datetime | None
    """None if there is none."""
    kept: Sequence[str]
    """Titles of the kinds of data that are kept."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Something that a person has requested about their data."""

    right: str
    asked_at: datetime
    due_at: datetime
    done_at: datetime | None
    is_withdrawn: bool
    """Whether the person has withdrawn it; `done_at` says when."""
    is_late: bool


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """All that a person has requested about their data."""

    template: ClassVar[str] = "requests.html"
    requests: Sequence[RequestRow]


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A document that has changed."""

    document: str
    version: str
    """ISO date."""
    said: Sequence[str]
    """What has changed, a sentence or two for each version; empty for a first one."""


@dataclass(frozen=True, slots=True)
class AcceptTermsPage:
    """What has changed, and the form that accepts it."""

    template: ClassVar[str] = "accept_terms.html"
    changes: Sequence[ChangeRow]
    next: str
    errors: Errors = field(default_factory=dict)


WITH_SCRIPT: Final = (SignInPage, ConfirmPage, SecurityPage)
"""Pages that support passkeys, which need a script."""
