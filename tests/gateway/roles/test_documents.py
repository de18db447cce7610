"""What an operator has people accept: its files, and that a version is one text for good."""

from datetime import UTC, datetime

import pytest

from accounts.consent import Document
from gateway.errors import SettingsError
from gateway.people.own_documents import load_documents
from gateway.roles import preflight
from gateway.roles.documents import early, fault, post_documents
from gateway.settings import Settings
from gateway.settings_variables import from_mapping

NOW = datetime(2027, 3, 2, 9, tzinfo=UTC)


def settings_of(folder, versions="2026-12-01", **environ):
    return from_mapping(
        {
            "CALLER_TERMS_FILE": str(folder / "terms.txt"),
            "CALLER_TERMS_VERSIONS": versions,
            "CALLER_DATA_DIR": str(folder),
            **environ,
        }
    )


@pytest.fixture
def folder(tmp_path):
    """Terms for everybody, and for who reads German."""
    (tmp_path / "terms.txt").write_text("Be kind.")
    (tmp_path / "terms.de.txt").write_text("Seien Sie nett.")
    return tmp_path


def test_a_language_may_have_a_file_of_its_own(folder):
    own = load_documents(settings_of(folder))
    said = {language: own.blocks(Document.TERMS, language)[0].text for language in ("de", "es")}
    assert said == {"de": "Seien Sie nett.", "es": "Be kind."}
    assert own.version(Document.TERMS) == "2026-12-01"
    assert load_documents(Settings()).texts == {}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("terms.txt", None, "terms.txt cannot be read"),
        ("terms.txt", b"", "terms.txt has no text"),
        ("terms.de.txt", b"\xff", "terms.de.txt is not UTF-8 in line 1"),
        ("terms.txt", b"x" * 40_000, "terms.txt has more than 32768 bytes"),
    ],
)
async def test_a_text_that_cannot_be_shown_is_named_with_its_file(folder, name, content, why):
    file = folder / name
    file.unlink() if content is None else file.write_bytes(content)
    settings = settings_of(folder)
    with pytest.raises(SettingsError, match=rf"CALLER_TERMS_FILE: .*{why}\."):
        load_documents(settings)
    (finding,) = await preflight.own_documents(settings)
    assert finding.is_fatal
    assert why in finding.text


def test_what_is_no_file_is_said(tmp_path):
    (tmp_path / "terms.txt").symlink_to("/dev/null")
    with pytest.raises(SettingsError, match="is not a regular file"):
        load_documents(settings_of(tmp_path))


async def post(settings, engine):
    await post_documents(load_documents(settings), settings, engine, clock=lambda: NOW)


async def test_a_version_is_one_text_for_good(folder, engine):
    settings = settings_of(folder)
    await post(settings, engine)
    await post(settings, engine)
    (folder / "terms.de.txt").write_text("Seien Sie sehr nett.")
    with pytest.raises(SettingsError) as refused:
        await post(settings, engine)
    assert str(refused.value) == (
        "CALLER_TERMS_FILE (de) is not the text that was posted as version 2026-12-01 on"
        " 2027-03-02, and that people have accepted. Put that text back, or add a version to"
        " CALLER_TERMS_VERSIONS: the day of today, with :minor behind it where people need not"
        " accept it."
    )
    await post(settings_of(folder, "2026-12-01,2027-03-02:minor"), engine)
    # The one before is still that text.
    with pytest.raises(SettingsError):
        await post(settings, engine)
    (folder / "terms.de.txt").write_text("Seien Sie nett.")
    await post(settings, engine)


async def test_another_language_is_added_to_a_version_without_another(folder, engine):
    await post(settings_of(folder), engine)
    (folder / "terms.es.txt").write_text("Sea amable.")
    await post(settings_of(folder), engine)


async def test_a_check_names_a_changed_text_and_notes_nothing(folder, sqlite_engine):
    url = f"sqlite:///{sqlite_engine.url.database}"
    settings = settings_of(folder, CALLER_DATABASE_URL=url)
    (finding,) = await preflight.own_documents(settings)
    assert finding.text.startswith("Terms: version 2026-12-01.")
    assert not finding.is_fatal
    await post(settings, sqlite_engine)
    (folder / "terms.txt").write_text("Be very kind.")
    (finding,) = await preflight.own_documents(settings)
    assert finding.is_fatal
    assert "CALLER_TERMS_FILE is not the text that was posted" in finding.text
    (folder / "terms.txt").write_text("Be kind.")
    (finding,) = await preflight.own_documents(settings)
    assert not finding.is_fatal


async def test_a_database_that_is_not_there_is_not_made(folder):
    settings = settings_of(folder)
    assert await fault(load_documents(settings), settings) == ""
    assert sorted(path.name for path in folder.iterdir()) == ["terms.de.txt", "terms.txt"]


def test_a_day_that_is_yet_to_come_is_named(folder):
    own = load_documents(settings_of(folder, "2026-12-01,2027-03-03.2"))
    assert early(own, NOW) == ["CALLER_TERMS_VERSIONS"]
    assert early(own, NOW.replace(day=3)) == []
