"""Describes kinds of personal data: what for, who sees them, how long, where they are kept.

Defines the shapes of the data map and the queries on it; `data_map` has the kinds themselves, with
the periods that people are promised. The periods at the end of this module are internal ones.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class DataPurpose(StrEnum):
    """What data are used for. The list is closed: people are promised nothing else is done."""

    PROVIDE = "provide"
    """To place calls, keep the account and let its holder in."""
    TRANSACT = "transact"
    """To take payments and charge calls."""
    NOTIFY = "notify"
    """To send messages about the account."""
    IMPROVE = "improve"
    """To find out how good calls are, and make them better."""
    PREVENT_FRAUD = "prevent_fraud"
    COMPLY = "comply"
    """To do what the law demands."""


class DataViewer(StrEnum):
    """Who gets to see data."""

    PERSON = "person"
    OPERATOR = "operator"
    CARRIER = "carrier"
    """Twilio."""
    PAYMENT_SERVICE = "payment_service"
    """Stripe."""
    MAIL_SERVER = "mail_server"
    SITE_OWNER = "site_owner"
    """The person who created the account for their own program, or who receives its webhook
    events."""


class KeptSpan(StrEnum):
    """What bounds how long data are kept."""

    ACCOUNT = "account"
    """The life of the account."""
    BOOKS = "books"
    """As long as the law wants books to be kept."""
    YEARS = "years"
    """Calendar years, counted from the end of the year: an entry of March is kept as long as one of
    December."""
    MONTHS = "months"
    DAYS = "days"
    MINUTES = "minutes"
    LOGS = "logs"
    """As long as the operator keeps log files."""
    EVER = "ever"
    """For good: only for what is left once an account is deleted."""


@dataclass(frozen=True, slots=True)
class KeptFor:
    """How long a kind is kept."""

    span: KeptSpan
    reason: str
    """Why so long."""
    count: int = 0
    """Of years, months, days or minutes; of the books, the usual years. Otherwise 0."""
    setting: str = ""
    """The setting that can change it."""

    @property
    def longest(self) -> timedelta | None:
        """The longest that data are kept after they have ended; None if no time bounds it."""
        match self.span:
            case KeptSpan.YEARS:
                return timedelta(days=366 * (self.count + 1))
            case KeptSpan.MONTHS:
                # A month has 31 days at most, and no shorter time is promised.
                return timedelta(days=31 * self.count)
            case KeptSpan.DAYS:
                return timedelta(days=self.count)
            case KeptSpan.MINUTES:
                return timedelta(minutes=self.count)
        return None


class Fate(StrEnum):
    """What happens to a kind when its account is deleted."""

    DELETED = "deleted"
    PSEUDONYMISED = "pseudonymised"
    """What is left leads to an account number, and the number to no one."""
    ANONYMOUS = "anonymous"
    """A number that leads to no one stays for good, with sums and dates."""
    KEPT = "kept"
    """As the law demands."""
    EXPIRES = "expires"
    """Nothing leads from the person to it, and it disappears within its period."""


@dataclass(frozen=True, slots=True)
class KindErasure:
    """What happens to a kind when its account is deleted, and why if it is not deleted."""

    fate: Fate
    reason: str = ""
    period: KeptFor | None = None
    """How long what is left is kept; None if as long as the kind otherwise."""


class Via(StrEnum):
    """What links a row or key to a person."""

    ACCOUNT = "account"
    """The account's id."""
    CALL = "call"
    """A call's id, and from there its account."""
    PAYMENT = "payment"
    """A payment's id, and from there its account."""
    EXPORT = "export"
    """An export's id, and from there its account."""
    DIGEST = "digest"
    """A keyed digest of an address or number; cannot be turned back."""
    NAME = "name"
    """A random name that nothing here leads to; only the owner of the secret can find it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of one SQL table."""

    table: str
    names: tuple[str, ...]
    key: str = "account_id"
    """The column that leads to the person."""
    via: Via = Via.ACCOUNT
    beside: tuple[str, ...] = ()
    """Columns of other kinds that an export shows with them, so that a row can be understood."""
    withheld: tuple[str, ...] = ()
    """Columns that are never exported: digests of secrets, which would only help a thief of the
    file, and the carrier's answers about the operator's account."""

    @property
    def exported(self) -> tuple[str, ...]:
        """The columns that an export has, in order."""
        return tuple(name for name in (*self.beside, *self.names) if name not in self.withheld)

    def __iter__(self) -> Iterator[str]:
        """Yield `table.column`."""
        return (f"{self.table}.{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Key:
    """Keys of Valkey."""

    template: str
    """The name; `<…>` stands for any characters, such as `caller:session:1:<tag>:<digest>`."""
    via: Via = Via.ACCOUNT


@dataclass(frozen=True, slots=True)
class KindOfData:
    """One kind of personal data. Its title and description are in the languages of the pages."""

    name: str
    purposes: tuple[DataPurpose, ...]
    seen_by: tuple[DataViewer, ...]
    period: KeptFor
    erasure: KindErasure
    sql: tuple[Columns, ...] = ()
    valkey: tuple[Key, ...] = ()
    logs: tuple[str, ...] = ()
    """Fields of log lines."""
    files: tuple[str, ...] = ()
    """Below the data folder."""
    services: tuple[str, ...] = ()
    """What others keep, such as `Stripe: customer`."""
    corrected_at: str = ""
    """The page on which the person corrects it; empty if it records what has happened."""
    not_exported: str = ""
    """Why the person's export leaves it out; empty if it does not."""

    @property
    def is_exported(self) -> bool:
        """Whether the person's export has it."""
        return not self.not_exported

    @property
    def stays(self) -> KeptFor | None:
        """How long anything of it is kept once the account is deleted; None if nothing is."""
        if self.erasure.fate is Fate.DELETED:
            return None
        return self.erasure.period or self.period

    def tables(self) -> frozenset[str]:
        """Return the names of its tables."""
        return frozenset(columns.table for columns in self.sql)


@dataclass(frozen=True, slots=True)
class NotPersonal:
    """Columns, keys or log fields that say nothing about a person, and why."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ContactedHost:
    """A service that a node contacts: what for, and which setting names it."""

    setting: str
    purposes: tuple[DataPurpose, ...]
    viewer: DataViewer


UNPROVEN_KEPT: Final = timedelta(days=30)
"""How long an account with an unproven address is kept: ten times as long as its link works, and
the link can be sent again."""
EXPORT_KEPT: Final = timedelta(days=7)
"""How long an export can be fetched."""
EXPORT_NOTED: Final = timedelta(days=30)
"""How long it is known that an export existed."""


MAILS_KEPT: Final = timedelta(days=30)
"""How long sent and abandoned mails are kept, in case someone asks about one."""

DELIVERIES_KEPT: Final = timedelta(days=30)
"""How long the outcome of a webhook is kept; until then it can be sent again."""


def years_before(at: datetime, years: int) -> datetime:
    """Return the moment since which entries are kept for this many calendar years.

    A year counts from its end: § 147 (4) AO, § 257 (5) HGB.
    """
    return at.replace(at.year - years, 1, 1, 0, 0, 0, 0)


def months_before(at: datetime, months: int) -> datetime:
    """Return the same day some months earlier; the last day of a month that has no such day."""
    index = at.year * 12 + at.month - 1 - months
    year = index // 12
    month = index % 12 + 1
    day = min(at.day, calendar.monthrange(year, month)[1])
    return at.replace(year=year, month=month, day=day)
