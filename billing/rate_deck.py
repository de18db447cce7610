"""Finds the rate for a number: the longest matching prefix of its E.164 digits decides.

A number that no prefix matches is denied; so is one whose longest prefix is marked `deny`. It never
rates by country: +1 alone covers two dozen of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import msgspec

from billing.csv_lines import as_it_is, as_text
from billing.errors import MoneyError, RateDeckError
from billing.money import MICROS_PER_UNIT, parse_money
from billing.rating import Rate

COLUMNS = (
    "prefix",
    "description",
    "country",
    "rate_per_minute",
    "connect_fee",
    "first",
    "next",
)
OPTIONAL_COLUMNS = ("minimum", "cap", "free", "carrier_per_minute")
"""May be missing, or empty for none: lowest and highest price of a call, free seconds, and what the
carrier charges per minute, which every call must then cover."""
COST_COLUMNS = ("prefix", "price_per_minute")
"""Columns of a file of the carrier's prices."""

EXAMPLE_CURRENCY = "USD"

DENY = "deny"
"""Value of rate_per_minute for prefixes that must not be called."""

PREFIXES_MAX = 1_000_000
"""Most prefixes in a deck; the largest wholesale decks hold a few hundred thousand."""

DESCRIPTION_CHARS_MAX = 100

CARRIER_INCREMENT_S = 60
"""Carriers bill whole minutes: Twilio does, for calls and for their media streams."""

# E.164 (ITU-T, 11/2010) 6.1: at most 15 digits; no country code begins with 0.
_PREFIX = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)
_COUNTRY = re.compile(r"(?:[A-Z]{2})?", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,4}", re.ASCII)
# PostgreSQL keeps no NUL in text, and neither database keeps a lone surrogate, which is not UTF-8.
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")


class DeckEntry(msgspec.Struct, frozen=True, gc=False):
    """One priced prefix. Not tracked by the garbage collector, because a deck holds very many."""

    prefix: str
    """Leading digits, without the plus sign."""
    description: str
    country: str
    """ISO 3166 alpha-2; empty for numbers of no country."""
    rate: Rate
    carrier_micros: int = 0
    """What the carrier charges per minute begun; 0 if the deck does not say."""


class RateDeck:
    """An immutable price table; a new one replaces it as a whole."""

    def __init__(self, entries: Mapping[str, DeckEntry | None]) -> None:
        """Take prefix -> entry, None for denied prefixes."""
        self._entries = dict(entries)
        # Longest first, so that the first hit is the longest match. At most 15 look-ups in a
        # dictionary, which are faster than any walk through a trie in Python.
        self._lengths = tuple(sorted({len(prefix) for prefix in entries}, reverse=True))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[DeckEntry]:
        return (entry for entry in self._entries.values() if entry is not None)

    @property
    def prefixes(self) -> KeysView[str]:
        """All prefixes, priced and denied, in the order of the deck."""
        return self._entries.keys()

    def lookup(self, number: str) -> DeckEntry | None:
        """Return the entry of an E.164 number with its plus sign; None denies it."""
        return self.match(number[1:]) if _NUMBER.fullmatch(number) else None

    def match(self, digits: str) -> DeckEntry | None:
        """Return the entry for all numbers that begin with `digits` and match no longer one.

        None if they are denied.
        """
        prefix = self.prefix_of(digits)
        return None if prefix is None else self._entries[prefix]

    def prefix_of(self, digits: str) -> str | None:
        """Return the longest matching prefix, priced or denied; None if none matches."""
        for length in self._lengths:
            # A slice may be shorter than `length`. It is then all the digits, which may be a prefix
            # too.
            prefix = digits[:length]
            if prefix in self._entries:
                return prefix
        return None

    @classmethod
    def example(cls) -> RateDeck:
        """Return the deck included in the package: example prices in EXAMPLE_CURRENCY."""
        file = resources.files("billing.decks").joinpath("example.csv")
        return cls.from_csv(file.read_text(encoding="utf-8"))

    @classmethod
    def from_csv(cls, text: str) -> RateDeck:
        """Read a deck; its first line names the COLUMNS, and OPTIONAL_COLUMNS, in any order.

        `prefix` holds one prefix or several, separated by spaces. Prices are decimal amounts in the
        currency of the deployment, `first` and `next` the billing increment in seconds. Lines that
        begin with "#" are comments. Raises RateDeckError with line and column at the first fault.
        """
        return cls(_read(text, COLUMNS, OPTIONAL_COLUMNS, _read_entry))

    @classmethod
    def from_costs_csv(cls, text: str) -> RateDeck:
        """Read what the carrier charges: the COST_COLUMNS, billed by CARRIER_INCREMENT_S.

        Raises RateDeckError with line and column at the first fault.
        """
        return cls(_read(text, COST_COLUMNS, (), _read_cost))

    def costs(self) -> RateDeck | None:
        """Return the carrier's prices as far as the deck has them; None if it has none."""
        costs = {
            entry.prefix: DeckEntry(entry.prefix, "", "", carrier_rate(entry.carrier_micros))
            for entry in self
            if entry.carrier_micros
        }
        return RateDeck(costs) if costs else None

    def to_csv(self) -> str:
        """Return the deck as `from_csv` reads it; denied prefixes are bare."""
        rows = (_cells(prefix, entry) for prefix, entry in self._entries.items())
        return as_text([(*COLUMNS, *OPTIONAL_COLUMNS), *rows], "\n")

    def to_costs_csv(self) -> str:
        """Return the prices of a minute as `from_costs_csv` reads them."""
        rows = ((entry.prefix, _decimal(entry.rate.per_minute_micros)) for entry in self)
        return as_text([COST_COLUMNS, *rows], "\n")


def _cells(prefix: str, entry: DeckEntry | None) -> tuple[str | int, ...]:
    if entry is None:
        return prefix, "", "", DENY, "", "", "", "", "", "", ""
    rate = entry.rate
    return (
        prefix,
        entry.description,
        entry.country,
        _decimal(rate.per_minute_micros),
        _decimal(rate.connect_fee_micros),
        rate.first_s,
        rate.next_s,
        _decimal(rate.minimum_micros),
        _decimal(rate.cap_micros),
        rate.free_s,
        _decimal(entry.carrier_micros),
    )


def _decimal(micros: int) -> str:
    """Return the amount as `parse_money` reads it."""
    units, rest = divmod(micros, MICROS_PER_UNIT)
    return f"{units}.{rest:06}"


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a deck, by column."""

    line: int
    cells: Mapping[str, str]

    def error(self, column: str, message: str) -> RateDeckError:
        return _error(message, self.line, column)

    def matching(self, column: str, pattern: re.Pattern[str], message: str) -> str:
        cell = self.cells[column]
        if pattern.fullmatch(cell) is None:
            raise self.error(column, message)
        return cell

    def money(self, column: str) -> int:
        cell = self.cells[column]
        if not cell and column in OPTIONAL_COLUMNS:
            return 0
        try:
            return parse_money(cell)
        except MoneyError as error:
            raise self.error(column, "not an amount of money") from error

    def seconds(self, column: str) -> int:
        if not self.cells[column] and column in OPTIONAL_COLUMNS:
            return 0
        return int(self.matching(column, _SECONDS, "not a number of seconds"))


def _read(
    text: str,
    required: Collection[str],
    optional: Collection[str],
    read_row: Callable[[_Row, str], DeckEntry | None],
) -> dict[str, DeckEntry | None]:
    """Return prefix -> the result of `read_row` for its row. Raises RateDeckError."""
    entries: dict[str, DeckEntry | None] = {}
    # Spreadsheet programs begin a CSV file with a byte order mark.
    for row in _rows(text.removeprefix("\ufeff"), required, optional):
        prefixes = row.cells["prefix"].split()
        if not prefixes or not all(map(_PREFIX.fullmatch, prefixes)):
            raise row.error("prefix", "not the leading digits of E.164 numbers")
        entry = read_row(row, prefixes[0])
        for prefix in prefixes:
            # Which of two prices is meant cannot be told, and must not depend on the order of
            # lines.
            if prefix in entries:
                raise row.error("prefix", "prefix given twice")
            if len(entries) == PREFIXES_MAX:
                raise row.error("prefix", "too many prefixes")
            # Each prefix has an entry that names it; the prefixes of a row share one `Rate`.
            entries[prefix] = entry and msgspec.structs.replace(entry, prefix=prefix)
    if not entries:
        raise RateDeckError("deck without prefixes", line=1)
    return entries


def _rows(text: str, required: Collection[str], optional: Collection[str]) -> Iterator[_Row]:
    """Yield the rows below the header. Raises RateDeckError."""
    # newline="" leaves line breaks within quotes to the csv module; strict refuses a stray quote
    # instead of guessing what it means.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if _UNKEEPABLE.search(",".join(cells)):
                raise _error("a character that databases do not keep", reader.line_num)
            if not cells or cells[0].startswith("#"):
                continue
            if header is None:
                header = _read_header(cells, reader.line_num, required, optional)
            elif len(cells) != len(header):
                raise _error("wrong number of cells", reader.line_num)
            else:
                stripped = (as_it_is(cell.strip()) for cell in cells)
                named = dict(zip(header, stripped, strict=True))
                # A missing optional column reads like an empty cell.
                yield _Row(reader.line_num, dict.fromkeys(optional, "") | named)
    except csv.Error as error:
        raise _error("not CSV", reader.line_num) from error


def _read_header(
    cells: list[str], line: int, required: Collection[str], optional: Collection[str]
) -> list[str]:
    header = [cell.strip() for cell in cells]
    for column in required:
        if header.count(column) != 1:
            raise _error("column missing or repeated", line, column)
    for column in header:
        if column not in required and column not in optional:
            raise _error("unknown column", line, column)
        if header.count(column) != 1:
            raise _error("column missing or repeated", line, column)
    return header


def _read_entry(row: _Row, prefix: str) -> DeckEntry | None:
    """Return the entry of a row; None if it denies. Raises RateDeckError."""
    description = row.cells["description"]
    if len(description) > DESCRIPTION_CHARS_MAX or not description.isprintable():
        raise row.error("description", "too long, or not printable")
    country = row.matching("country", _COUNTRY, "not an ISO 3166 alpha-2 code")
    # The other cells of a denied row are not read: no price in them can matter.
    if row.cells["rate_per_minute"] == DENY:
        return None
    rate = _read_rate(row)
    carrier_micros = row.money("carrier_per_minute")
    try:
        is_covered = covers_carrier_minute(rate, carrier_micros)
    except RateDeckError as error:
        raise row.error("carrier_per_minute", "value out of bounds") from error
    # A deck that names the carrier's price and sells a call below it is taken for a mistake (design
    # note 0003, "The carrier's minute").
    if not is_covered:
        message = "the shortest call is sold below it; bill 60 seconds first, or set a minimum"
        raise row.error("carrier_per_minute", message)
    return DeckEntry(prefix, description, country, rate, carrier_micros)


def _read_cost(row: _Row, prefix: str) -> DeckEntry:
    micros = row.money("price_per_minute")
    try:
        rate = carrier_rate(micros)
    except RateDeckError as error:
        raise row.error("price_per_minute", "value out of bounds") from error
    return DeckEntry(prefix, "", "", rate)


def carrier_rate(per_minute_micros: int) -> Rate:
    """Return the rate of a carrier with this price per minute. Raises RateDeckError."""
    return Rate(
        per_minute_micros=per_minute_micros,
        first_s=CARRIER_INCREMENT_S,
        next_s=CARRIER_INCREMENT_S,
    )


def covers_carrier_minute(rate: Rate, per_minute_micros: int) -> bool:
    """Return whether even the shortest call pays for the minute that the carrier bills.

    Raises RateDeckError if the carrier's price is out of bounds.
    """
    return rate.cost(1) >= carrier_rate(per_minute_micros).cost(1)


# `Rate` knows its own names only; whoever edits the file knows columns.
# A field of Rate -> the column to name in an error about its bounds.
_RATE_COLUMNS = {
    "per_minute_micros": "rate_per_minute",
    "connect_fee_micros": "connect_fee",
    "first_s": "first",
    "next_s": "next",
    "minimum_micros": "minimum",
    "cap_micros": "cap",
    "free_s": "free",
}


def _read_rate(row: _Row) -> Rate:
    values = {
        name: row.seconds(column) if name.endswith("_s") else row.money(column)
        for name, column in _RATE_COLUMNS.items()
    }
    try:
        return Rate(**values)
    except RateDeckError as error:
        raise row.error(_RATE_COLUMNS[error.column], str(error)) from error


def _error(message: str, line: int, column: str = "") -> RateDeckError:
    where = f"line {line}, column {column}" if column else f"line {line}"
    return RateDeckError(f"{where}: {message}", line=line, column=column)


LASTING_MINUTES_MAX: Final = 100_000
"""Most minutes that a balance is said to last: many calls may use it, so no call's length bounds
them, and some rates cost nothing."""


def lasting_minutes(rate: Rate, micros: int) -> int:
    """Return how many whole minutes of talk a balance is about enough for, in one call."""
    return rate.affordable_seconds(micros, LASTING_MINUTES_MAX * 60) // 60 if micros > 0 else 0


@dataclass(frozen=True, slots=True)
class RateGroup:
    """Prefixes of one country that have the same name and cost the same."""

    description: str
    rate: Rate
    prefixes: Sequence[str]
    """Leading digits, in the order of the deck."""
    is_closed: bool
    """Whether no call may go there."""


def by_country(deck: RateDeck, closes: Callable[[str], bool]) -> Mapping[str, Sequence[RateGroup]]:
    """Return country -> its groups, the cheapest minute first, closed ones last.

    Countries are ISO 3166 alpha-2 codes; prefixes of no country are left out. `closes` says of
    digits whether calls to numbers that begin so are closed.
    """
    groups: dict[str, dict[tuple[str, Rate, bool], list[str]]] = {}
    for entry in deck:
        if entry.country:
            key = (entry.description, entry.rate, closes(entry.prefix))
            groups.setdefault(entry.country, {}).setdefault(key, []).append(entry.prefix)
    return {
        country: sorted(
            (
                RateGroup(description, rate, prefixes, is_closed)
                for (description, rate, is_closed), prefixes in found.items()
            ),
            key=lambda group: (group.is_closed, group.rate.per_minute_micros, group.description),
        )
        for country, found in groups.items()
    }
