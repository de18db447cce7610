"""Which text was posted as which version, in real databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from accounts.consent import Document
from gateway.people.posted_texts import Other, Posted, others, post

AT = datetime(2026, 12, 1, 9, tzinfo=UTC)
TERMS = Posted(Document.TERMS, "2026-12-01", "", "a" * 64)
GERMAN = replace(TERMS, language="de", digest="b" * 64)


async def test_the_first_text_of_a_version_stays_its_text(engine):
    assert await post(engine, [TERMS, GERMAN], AT) == []
    assert await post(engine, [TERMS, GERMAN], AT + timedelta(days=1)) == []
    changed = replace(GERMAN, digest="c" * 64)
    spanish = replace(TERMS, language="es")
    assert await post(engine, [TERMS, changed, spanish], AT) == [Other(changed, AT)]
    # Nothing of what was refused is noted.
    assert await others(engine, [replace(spanish, digest="d" * 64)]) == []
    assert await others(engine, [TERMS, changed]) == [Other(changed, AT)]


async def test_versions_and_documents_are_apart(engine):
    await post(engine, [TERMS], AT)
    later = replace(TERMS, version="2027-03-01", digest="c" * 64)
    privacy = replace(TERMS, document=Document.PRIVACY, digest="d" * 64)
    assert await post(engine, [later, privacy], AT) == []
    assert await post(engine, [], AT) == []
