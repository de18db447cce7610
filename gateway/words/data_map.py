"""Reads the words of the data map, language by language.

The names of the kinds, purposes, viewers and periods of `gateway.data_map`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from accounts.money_kinds import BOOK_YEARS
from accounts.personal_data import KeptFor, KindOfData
from gateway.data_map import CALL_MONTHS_MAX, KINDS
from gateway.words.languages import DEFAULT_LANGUAGE, read_words

WORDS: Final = read_words("data_map")


def words_in(language: str) -> Mapping[str, str]:
    """Return the words of a language, or of the default if there are none."""
    return WORDS.get(language, WORDS[DEFAULT_LANGUAGE])


@dataclass(frozen=True, slots=True)
class Kept:
    """The operator's settings of how long data are kept."""

    calls_months: int = CALL_MONTHS_MAX
    books_years: int = BOOK_YEARS

    def count(self, period: KeptFor) -> int:
        """Return the length of a period in years, months, days or minutes."""
        match period.setting:
            case "CALLER_CALLS_KEPT_MONTHS":
                return self.calls_months
            case "CALLER_BOOKS_KEPT_YEARS":
                return self.books_years
        return period.count


def period_in(words: Mapping[str, str], period: KeptFor, kept: Kept) -> str:
    """Return how long, in words, according to the operator's settings."""
    count = kept.count(period)
    one = "_one" if count == 1 else ""
    return words[f"period.{period.span}{one}"].format(count=count)


def list_in(words: Mapping[str, str], table: str, names: tuple[str, ...]) -> str:
    """Return the words for some names of a table, separated by commas."""
    return ", ".join(words[f"{table}.{name}"] for name in names)


def label_in(words: Mapping[str, str], column: str) -> str:
    """Return the words for a column as a label, which begins with a capital letter."""
    name = words[f"field.{column}"]
    return name[:1].upper() + name[1:]


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a kind once the account is deleted, in words."""

    title: str
    text: str
    """What, and for how long."""


def left_in(words: Mapping[str, str], kept: Kept) -> list[Left]:
    """Return what stays after a deletion, and for how long, kind by kind.

    After the kinds comes what others keep, and what remains in log files and backups.
    """
    stays = [
        Left(words[f"kind.{kind.name}"], after_in(words, kind, kept))
        for kind in KINDS
        if kind.stays is not None
    ]
    others = [Left(words[f"left_title.{name}"], words[f"left.{name}"]) for name in BESIDE]
    return [*stays, *others]


BESIDE: Final = ("logs", "services", "copies")
"""What is left beside the kinds: log lines, the services' data, backups of the database."""


def after_in(words: Mapping[str, str], kind: KindOfData, kept: Kept) -> str:
    """Return what is left of a kind after a deletion, and for how long; or that nothing is."""
    if kind.stays is None:
        return words["fate.deleted"]
    # A kind that expires by itself stays what it was.
    same = f"what.{kind.name}"
    what = words.get(f"left.{kind.name}", words[same])
    return words["left.for"].format(what=what, period=period_in(words, kind.stays, kept))


def row_in(words: Mapping[str, str], kind: KindOfData, kept: Kept) -> tuple[str, ...]:
    """Return a kind as a row of text: title, what it is, purposes, period, viewers, what stays."""
    return (
        words[f"kind.{kind.name}"],
        words[f"what.{kind.name}"],
        list_in(words, "purpose", kind.purposes),
        period_in(words, kind.period, kept),
        list_in(words, "viewer", kind.seen_by) or words["viewer.nobody"],
        after_in(words, kind, kept),
    )
