"""The README of an export: what it holds, what not and why, in its reader's language."""

from datetime import UTC, datetime

import pytest

from gateway.data_map import KINDS
from gateway.privacy.readme import WIDTH, readme
from gateway.words.data_map import WORDS
from tests.flat_text import flat

AT = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def written(language):
    return readme(
        language, service="Example Calls", origin="https://x.example", account="a1", at=AT
    )


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_kind_is_there_or_said_why_not(language):
    text, words = written(language), WORDS[language]
    line = flat(text)
    for kind in KINDS:
        assert words[f"kind.{kind.name}"] in line
        named = f"data/{kind.name}.json" in text
        assert named == kind.is_exported
        if not kind.is_exported:
            assert words[f"readme.not_{kind.name}"] in line
    assert "https://x.example/account/data" in text
    assert "2026-11-24 12:30 UTC" in text
    assert "Example Calls" in text
    assert "{" not in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_an_unknown_language_gets_the_default_one():
    assert written("tlh") == written("en")
