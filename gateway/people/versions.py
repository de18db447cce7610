"""Reads from the settings the versions of the documents that people accept.

Versions only, no texts: the drainer mails people about new versions, and loads no pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from accounts.consent import HISTORY, Document, History, Version, with_own
from gateway.errors import SettingsError
from gateway.settings import PREFIX, Settings


def read_history(settings: Settings) -> History:
    """Return the versions of all documents, including those of the operator's own texts.

    Raises SettingsError if such a text claims to be older than the one that it replaces.
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
    # People who accepted the built-in text would count as having accepted this one.
    if found and found[0].date <= first:
        raise SettingsError(
            f"{PREFIX}{document.upper()}_VERSIONS begins with {found[0].date}; the built text is of"
            f" {first}, and yours must be later. On that day itself it is {first}.2."
        )
    return found
