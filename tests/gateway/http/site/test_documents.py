"""The terms and the privacy policy: each says its version, and how to reach us."""

import pytest

from accounts.consent import current


@pytest.mark.parametrize("document", ["terms", "privacy"])
async def test_a_document_has_the_date_of_what_is_accepted(site, document):
    text = site.read(await site.get(f"/{document}")).text
    assert f"Version of {current()[document]}" in text
    assert "help@example.com" in text
    assert "Example Calls" in text
