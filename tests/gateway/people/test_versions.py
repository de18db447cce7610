"""Versions of documents from the settings: ours, and those of an operator's own texts."""

import pytest

from accounts.consent import HISTORY, Document, Version
from gateway.errors import SettingsError
from gateway.people.versions import read_history
from gateway.settings import Settings


def test_an_operators_versions_are_in_force_in_their_order():
    settings = Settings(terms_versions=("2026-12-01", "2027-03-01:minor", "2027-03-01.2"))
    history = read_history(settings)
    assert list(history[Document.TERMS]) == [
        Version("2026-12-01"),
        Version("2027-03-01", is_material=False),
        Version("2027-03-01.2"),
    ]
    assert history[Document.PRIVACY] == HISTORY[Document.PRIVACY]
    assert read_history(Settings()) == HISTORY


def test_an_operators_text_is_later_than_the_one_that_it_replaces():
    day = HISTORY[Document.TERMS][0].date
    with pytest.raises(SettingsError, match=rf"must be later\. On that day itself it is {day}\.2"):
        read_history(Settings(terms_versions=(day,)))
    assert read_history(Settings(terms_versions=(f"{day}.2",)))
