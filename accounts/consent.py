"""Says what a person must have accepted, in which version, and what is still to be accepted.

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
    """ISO 8601, such as `2026-11-27`: when it was posted; its name."""
    is_material: bool = True
    """Whether it must be accepted anew; else it is only told of."""


History = Mapping[Document, Sequence[Version]]

HISTORY: Final[History] = {
    Document.TERMS: (Version("2026-11-27"),),
    Document.PRIVACY: (Version("2026-11-27"),),
    Document.ADULT: (Version("2026-11-27"),),
}
"""All versions of each document, the oldest first; the first is material."""


def current(history: History = HISTORY) -> Mapping[str, str]:
    """Return document -> the version that is in force."""
    return {document: versions[-1].date for document, versions in history.items()}


CURRENT: Final = current()
"""What somebody accepts who signs up now."""


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
