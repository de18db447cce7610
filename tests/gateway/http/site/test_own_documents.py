"""An operator's documents: each reader's language, the version in force, and what it changed."""

from accounts.consent import HISTORY, Document, Version, with_own
from gateway.people.own_documents import EVERYBODY, OwnDocuments
from gateway.people.own_text import read_own_text

VERSIONS = (Version("2026-12-01"), Version("2027-03-01"))
OWN = OwnDocuments(
    with_own(VERSIONS, ()),
    {
        Document.TERMS: {
            EVERYBODY: read_own_text(b"For all.\n# 2027-03-01\nMore."),
            "de": read_own_text("Für alle.\n# 2027-03-01\nMehr.".encode()),
        }
    },
)


def said(document, language):
    return [block.text for block in OWN.blocks(document, language)]


def test_each_reads_their_own_language_or_the_text_for_everybody():
    assert said(Document.TERMS, "de")[0] == "Für alle."
    assert said(Document.TERMS, "es")[0] == "For all."
    assert said(Document.PRIVACY, "de") == []


def test_the_version_is_that_of_the_text():
    assert OWN.version(Document.TERMS) == "2027-03-01"
    assert OWN.version(Document.PRIVACY) == HISTORY[Document.PRIVACY][-1].date
    assert OwnDocuments().version(Document.TERMS) == HISTORY[Document.TERMS][-1].date


def test_what_has_changed_is_said_in_the_readers_language():
    assert OWN.changes(Document.TERMS, "2027-03-01", "de") == ["Mehr."]
    assert OWN.changes(Document.TERMS, "2027-03-01", "en") == ["More."]
    assert OWN.changes(Document.TERMS, "2026-12-01", "en") == []
    assert OwnDocuments().changes(Document.TERMS, HISTORY[Document.TERMS][0].date, "en") == ()
