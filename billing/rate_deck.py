"""Which rate holds for a number: the longest prefix of its E.164 digits decides.

A number that no priced prefix begins is denied; so is one whose longest prefix is marked `deny`.
Knows no account and no call, and never rates by country: +1 alone is two dozen of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from billing.errors import MoneyError, RateDeckError
from billing.money import parse_money
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

EXAMPLE_CURRENCY = "USD"

DENY = "deny"
"""Stands in the rate_per_minute of prefixes that must not be called."""

PREFIXES_MAX = 1_000_000
"""Bound of a deck; the largest wholesale decks hold a few hundred thousand prefixes."""

DESCRIPTION_CHARS_MAX = 100

# E.164 (ITU-T, 11/2010) 6.1: at most 15 digits; no country code begins with 0.
_PREFIX = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)
_COUNTRY = re.compile(r"(?:[A-Z]{2})?", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeckEntry:
    """One priced prefix."""

    prefix: str
    """Leading digits, without the plus sign."""
    description: str
    country: str
    """ISO 3166 alpha-2, empty where the numbers belong to no country."""
    rate: Rate


class RateDeck:
    """An immutable price table; a new one replaces it whole."""

    def __init__(self, entries: Mapping[str, DeckEntry | None]) -> None:
        """Take prefix -> entry, None for prefixes that are denied."""
        self._entries = dict(entries)
        self._lengths = tuple(sorted({len(prefix) for prefix in entries}, reverse=True))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[DeckEntry]:
        return (entry for entry in self._entries.values() if entry is not None)

    def lookup(self, number: str) -> DeckEntry | None:
        """Return the entry of an E.164 number with its plus sign; None denies it."""
        if _NUMBER.fullmatch(number) is None:
            return None
        digits = number[1:]
        for length in self._lengths:
            prefix = digits[:length]
            if prefix in self._entries:
                return self._entries[prefix]
        return None

    @classmethod
    def example(cls) -> RateDeck:
        """Return the deck that comes with the package: example prices in EXAMPLE_CURRENCY."""
        file = resources.files("billing.decks").joinpath("example.csv")
        return cls.from_csv(file.read_text(encoding="utf-8"))

    @classmethod
    def from_csv(cls, text: str) -> RateDeck:
        """Read a deck; its first line names the COLUMNS, in any order.

        `prefix` holds one prefix or several, separated by spaces. Prices are decimal amounts in the
        currency of the deployment, `first` and `next` the billing increment in seconds. Lines that
        begin with "#" are comments. Raises RateDeckError with line and column at the first fault.
        """
        entries: dict[str, DeckEntry | None] = {}
        for row in _rows(text.removeprefix("\ufeff")):
            for prefix, entry in _read_row(row):
                if prefix in entries:
                    raise row.error("prefix", "prefix given twice")
                if len(entries) == PREFIXES_MAX:
                    raise row.error("prefix", "too many prefixes")
                entries[prefix] = entry
        if not entries:
            raise RateDeckError("deck without prefixes", line=1)
        return cls(entries)


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
        try:
            return parse_money(self.cells[column])
        except MoneyError as error:
            raise self.error(column, "not an amount of money") from error

    def seconds(self, column: str) -> int:
        return int(self.matching(column, _SECONDS, "not a number of seconds"))


def _rows(text: str) -> Iterator[_Row]:
    """Yield the rows below the header. Raises RateDeckError."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not cells or cells[0].startswith("#"):
                continue
            if header is None:
                header = _read_header(cells, reader.line_num)
            elif len(cells) != len(header):
                raise _error("wrong number of cells", reader.line_num)
            else:
                stripped = (cell.strip() for cell in cells)
                yield _Row(reader.line_num, dict(zip(header, stripped, strict=True)))
    except csv.Error as error:
        raise _error("not CSV", reader.line_num) from error


def _read_header(cells: list[str], line: int) -> list[str]:
    header = [cell.strip() for cell in cells]
    for column in COLUMNS:
        if header.count(column) != 1:
            raise _error("column missing or repeated", line, column)
    for column in header:
        if column not in COLUMNS:
            raise _error("unknown column", line, column)
    return header


def _read_row(row: _Row) -> Iterator[tuple[str, DeckEntry | None]]:
    """Yield the prefixes of a row with their entries. Raises RateDeckError."""
    prefixes = row.cells["prefix"].split()
    if not prefixes or not all(map(_PREFIX.fullmatch, prefixes)):
        raise row.error("prefix", "not the leading digits of E.164 numbers")
    description = row.cells["description"]
    if len(description) > DESCRIPTION_CHARS_MAX or not description.isprintable():
        raise row.error("description", "too long, or not printable")
    country = row.matching("country", _COUNTRY, "not an ISO 3166 alpha-2 code")
    rate = None if row.cells["rate_per_minute"] == DENY else _read_rate(row)
    for prefix in prefixes:
        yield prefix, DeckEntry(prefix, description, country, rate) if rate else None


# Where a bound of Rate is a column of the deck.
_RATE_COLUMNS = {
    "per_minute_micros": "rate_per_minute",
    "connect_fee_micros": "connect_fee",
    "first_s": "first",
    "next_s": "next",
}


def _read_rate(row: _Row) -> Rate:
    amounts = {
        "per_minute_micros": row.money("rate_per_minute"),
        "connect_fee_micros": row.money("connect_fee"),
        "first_s": row.seconds("first"),
        "next_s": row.seconds("next"),
    }
    try:
        return Rate(**amounts)
    except RateDeckError as error:
        raise row.error(_RATE_COLUMNS[error.column], "value out of bounds") from error


def _error(message: str, line: int, column: str = "") -> RateDeckError:
    where = f"line {line}, column {column}" if column else f"line {line}"
    return RateDeckError(f"{where}: {message}", line=line, column=column)
