"""Languages are the folders of words; each has the default's words."""

from importlib import resources

import pytest

from gateway.words.languages import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    known,
    primary_of,
    read_part,
    read_words,
)


def test_the_folders_of_words_are_the_languages():
    folders = {each.name for each in resources.files("gateway.words").iterdir() if each.is_dir()}
    assert set(LANGUAGES) == folders - {"__pycache__"}
    assert {"de", "en", "es", "fr"} <= set(LANGUAGES)


@pytest.mark.parametrize("part", ["site", "data_map", "carrier", "spoken"])
def test_each_language_has_the_same_words(part):
    words = read_words(part)
    assert tuple(words) == LANGUAGES
    assert all(set(each) == set(words[DEFAULT_LANGUAGE]) for each in words.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_says_where_it_is_at_home_and_which_voice_speaks_it(language):
    facts = read_part(language, "language")
    assert facts["name"]
    assert facts["home"] in read_part(language, "countries")
    assert facts["voice"] == f"{language}-{facts['home']}"


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("DE-at", "de"), ("tlh", "en"), ("", "en"), ("../en", "en"), ("words", "en")],
)
def test_a_tag_is_read_as_our_language_or_the_default(tag, language):
    assert known(tag) == language


def test_a_tag_names_its_language_first():
    assert [primary_of(tag) for tag in ("zh-Hant-TW", "FR", "")] == ["zh", "fr", ""]
