"""Reads from the settings which versions of the documents there are that people accept.

Knows no text: the drainer tells of new versions, and carries no page.
"""

from __future__ import annotations

from collections.abc import Sequence

from accounts.consent import HISTORY, Document, History, Version, with_own
from gateway.errors import SettingsError
from gateway.settings import PREFIX, Settings


def read_history(settings: Settings) -> History:
    """Return the versions of all documents, those of the operator's own texts among them.

    Raises SettingsError where such a text is said to be older than the one that it replaces.
    """
    return with_own(
        _versions(Document.TERMS, settings.terms_versions),
        _versions(Document.PRIVACY, settings.privacy_versions),
    )


def _versions(document: Document, written: Sequence[str]) -> Sequence[Version]:
    found = [
        Version(name, is_material=not colon)
        for name, colon, _ in (each.partition(":") for each in written)
    ]
    first = HISTORY[document][0].date
    # Whoever has accepted the built text would be taken for one who has accepted this.
    if found and found[0].date <= first:
        raise SettingsError(
            f"{PREFIX}{document.upper()}_VERSIONS begins with {found[0].date}; the built text is of"
            f" {first}, and yours must be later. On that day itself it is {first}.2."
        )
    return found
