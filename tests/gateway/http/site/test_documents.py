"""The terms and the privacy policy: each says its version, and how to reach us."""

import pytest

from accounts.consent import current
from accounts.data_map import KINDS
from gateway.words.data_map import WORDS, row_in


@pytest.mark.parametrize("document", ["terms", "privacy"])
async def test_a_document_has_the_date_of_what_is_accepted(site, document):
    text = site.read(await site.get(f"/{document}")).text
    assert f"Version of {current()[document]}" in text
    assert "help@example.com" in text
    assert "Example Calls" in text


@pytest.mark.parametrize("language", sorted(WORDS))
async def test_the_policy_lists_every_kind_of_data_in_every_language(site, language):
    reply = await site.client.get("/privacy", headers={"accept-language": language})
    text = site.read(reply).text
    words = WORDS[language]
    for kind in KINDS:
        assert all(cell in text for cell in row_in(words, kind, 12)[:5]), kind.name
    assert {"en": "12 months", "de": "12 Monate", "es": "12 meses"}[language] in text
