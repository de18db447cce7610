"""Defines which documents a person must have accepted, in which version, and which are missing.

An operator may have texts of their own, with versions of their own: see `with_own`.

The privacy notice is acknowledged, not consented to: no personal data are processed here on the
ground of consent (GDPR, article 6(1)(b), (c) and (f)).
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
    """Its name: the date when it was posted, in ISO 8601, such as `2026-11-27`; further ones on the
    same day are `2026-11-27.2` and so on. Names sort in the order of time."""
    is_material: bool = True
    """Whether it must be accepted again; otherwise people are only notified."""


History = Mapping[Document, Sequence[Version]]

HISTORY: Final[History] = {
    Document.TERMS: (Version("2026-11-27"),),
    Document.PRIVACY: (
        Version("2026-11-27"),
        # It permits nothing by itself: calls can only be supervised if the account's owner allows
        # it.
        Version("2026-11-29", is_material=False),
        # It describes the same processing in more detail.
        Version("2026-12-02", is_material=False),
    ),
    Document.ADULT: (Version("2026-11-27"),),
}
"""All versions of each document, the oldest first; the first is material."""


def current(history: History = HISTORY) -> Mapping[str, str]:
    """Return document -> the version in force."""
    return {document: versions[-1].date for document, versions in history.items()}


CURRENT: Final = current()
"""What a person who signs up now accepts."""


def with_own(
    terms: Sequence[Version], privacy: Sequence[Version], history: History = HISTORY
) -> History:
    """Return the versions of all documents for an operator who has texts of their own.

    The operator's terms replace ours. Their privacy text is shown beside ours, so a material change
    to either must be accepted.
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

    `accepted` has document -> version. A version that was never posted counts as not accepted.
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
