"""Says what a person must have accepted, in which version, and what is still to be accepted.

An operator may have texts of their own, with versions of their own: see `with_own`.

Knows no text and no store. The notice of privacy is taken note of, not consented to: consent is
no ground on which a person's data are processed here (GDPR, article 6(1)(b), (c) and (f)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

AGE_MIN: Final = 18
"""In years. Nothing is knowingly collected from children."""


class Document(StrEnum):
    """What a person accepts or declares."""

    TERMS = "terms"
    PRIVACY = "privacy"
    ADULT = "adult"
    """The declaration to be AGE_MIN years old."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a document."""

    date: str
    """Its name: when it was posted, in ISO 8601, such as `2026-11-27`; of further ones on the same
    day `2026-11-27.2` and so on. Names are in the order of time."""
    is_material: bool = True
    """Whether it must be accepted anew; else it is only told of."""


History = Mapping[Document, Sequence[Version]]

HISTORY: Final[History] = {
    Document.TERMS: (Version("2026-11-27"),),
    Document.PRIVACY: (
        Version("2026-11-27"),
        # It allows nothing by itself: calls are heard only where their account's owner says so.
        Version("2026-11-29", is_material=False),
        # It says more of what is done, and nothing else is done.
        Version("2026-12-02", is_material=False),
    ),
    Document.ADULT: (Version("2026-11-27"),),
}
"""All versions of each document, the oldest first; the first is material."""


def current(history: History = HISTORY) -> Mapping[str, str]:
    """Return document -> the version that is in force."""
    return {document: versions[-1].date for document, versions in history.items()}


CURRENT: Final = current()
"""What somebody accepts who signs up now."""


def with_own(
    terms: Sequence[Version], privacy: Sequence[Version], history: History = HISTORY
) -> History:
    """Return the versions of all documents where an operator has texts of their own.

    Their terms stand in place of ours, so that ours are no more accepted. Their text on privacy is
    beside ours: what changes materially in either is to be accepted.
    """
    made = dict(history)
    if terms:
        made[Document.TERMS] = terms
    if privacy:
        is_material: dict[str, bool] = {}
        for each in (*history[Document.PRIVACY], *privacy):
            is_material[each.date] = is_material.get(each.date, False) or each.is_material
        made[Document.PRIVACY] = tuple(
            Version(date, is_material[date]) for date in sorted(is_material)
        )
    return made


def missing(accepted: Mapping[str, str], history: History = HISTORY) -> tuple[Document, ...]:
    """Return the documents that a person has not accepted since they last changed materially.

    `accepted` has document -> version. A version that was never posted is none.
    """
    return tuple(
        document
        for document, versions in history.items()
        if accepted.get(document, "") not in _sufficient(versions)
    )


def _sufficient(versions: Sequence[Version]) -> frozenset[str]:
    """Return the dates of the last material version and of those after it."""
    last_material = max(index for index, version in enumerate(versions) if version.is_material)
    return frozenset(version.date for version in versions[last_material:])
