"""The terms and the privacy policy: each says its version, and how to reach us."""

import gzip
import random
import re
import string
from dataclasses import replace
from pathlib import Path

import pytest

from accounts.consent import AGE_MIN, Document, Version, current, with_own
from gateway.apps import template_packages
from gateway.data_map import KINDS
from gateway.http.site.branding import Branding
from gateway.http.site.rendering import Pages
from gateway.http.site.words import WORDS as SITE_WORDS
from gateway.people.own_documents import EVERYBODY, OwnDocuments
from gateway.people.own_text import BYTES_MAX, read_own_text
from gateway.words.data_map import WORDS, Kept, left_in, row_in


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
    assert SITE_WORDS[language]["privacy.live"] in text
    for kind in KINDS:
        assert all(cell in text for cell in row_in(words, kind, Kept())[:5]), kind.name
    _, stays = text.split(SITE_WORDS[language]["privacy.stays"])
    colon = SITE_WORDS[language]["site.colon"]
    assert all(f"{each.title}{colon} {each.text}." in stays for each in left_in(words, Kept()))
    assert {"en": "12 months", "de": "12 Monate", "es": "12 meses", "fr": "12 mois"}[
        language
    ] in text


@pytest.mark.parametrize("language", sorted(SITE_WORDS))
async def test_the_policy_says_whom_to_ask_or_that_nobody_is_named(site, language):
    words = SITE_WORDS[language]
    headers = {"accept-language": language}
    named = site.read(await site.client.get("/privacy", headers=headers)).text
    assert words["privacy.contact"].format(contact="help@example.com") in named
    assert words["privacy.no_contact"] not in named
    site.door = replace(site.door, pages=Pages(Branding("Example Calls"), template_packages()))
    site.rebuild()
    unnamed = site.read(await site.client.get("/privacy", headers=headers)).text
    assert words["privacy.no_contact"] in unnamed
    assert "@" not in unnamed


@pytest.mark.parametrize("language", sorted(SITE_WORDS))
async def test_the_policy_says_all_that_the_service_promises(site, language):
    text = site.read(await site.client.get("/privacy", headers={"accept-language": language})).text
    promises = ("improve", "legal", "transfer", "security", "adults", "cookies", "storage")
    for name in (*promises, "what", "why", "who", "rights", "changes"):
        assert SITE_WORDS[language][f"privacy.{name}"] in text
    assert str(AGE_MIN) in SITE_WORDS[language]["privacy.adults"]


STORED = {
    "caller-number": "number",
    "caller-key": "API key",
    "caller-webrtc-blocked": "WebRTC",
    "caller-call:": "a call again",
    "caller-labels": "names that you give to numbers",
    "caller-sound": "microphone",
}
"""Key of the browser's storage -> words of the policy."""


def test_pages_and_sdk_store_in_the_browser_what_the_policy_says_and_nothing_else():
    folder = Path(__file__).parents[4] / "web" / "src"
    stored, said = set(), SITE_WORDS["en"]["privacy.storage"]
    for file in folder.glob("**/*.ts"):
        text = file.read_text()
        assert not re.search(r"indexedDB|document\.cookie|\bcaches\b|cookieStore", text), file
        if re.search(r"(local|session)Storage", text):
            named = set(re.findall(r"'(caller-[a-z:-]+)'", text))
            imported = re.findall(r"import \{[^}]*\bSTORED\b[^}]*\} from '\./([\w-]+)'", text)
            assert named or imported, file
            stored |= named
    assert stored == STORED.keys()
    assert all(words in said for words in STORED.values())


HOSTILE = """# </h2><script>alert(1)</script>
<img src=x onerror=alert(1)> & {{ service }} {% raw %} {0} %s
- [x](javascript:alert(1))
## Below
Text.
"""


def own(site, terms=HOSTILE, privacy=HOSTILE):
    """Let the operator have texts of their own."""
    versions = (Version("2027-03-01"),)
    texts = {Document.TERMS: terms, Document.PRIVACY: privacy}
    site.documents = OwnDocuments(
        with_own(versions, versions),
        {document: {EVERYBODY: read_own_text(text.encode())} for document, text in texts.items()},
    )
    site.rebuild()


@pytest.mark.parametrize("document", ["terms", "privacy"])
async def test_an_operators_text_is_words_and_nothing_else(site, document):
    plain = await site.get(f"/{document}")
    own(site)
    reply = await site.get(f"/{document}")
    page = site.read(reply)
    for tag in ("script", "img", "a"):
        assert page.of(tag) == site.read(plain).of(tag)
    for words in ("</h2><script>", "{{ service }} {% raw %} {0} %s", "[x](javascript:alert(1))"):
        assert words in page.text
    assert "Version of 2027-03-01" in page.text


async def test_an_operators_terms_stand_in_place_of_ours_but_for_what_always_holds(site):
    own(site)
    text = site.read(await site.get("/terms")).text
    assert "18 years or more" in text
    assert "Emergency numbers cannot be called" in text
    assert "Calls are paid in advance" not in text


async def test_the_policy_keeps_its_tables_whatever_an_operator_says(site):
    before = site.read(await site.get("/privacy")).text
    own(site)
    after = site.read(await site.get("/privacy")).text
    assert after.endswith(before[before.index("What is kept: ") :])


@pytest.mark.parametrize("document", ["terms", "privacy"])
async def test_a_page_with_the_longest_text_is_small(site, document):
    chance = random.Random(7)
    words = ["".join(chance.choices(string.ascii_lowercase, k=6)) for _ in range(2000)]
    longest = " ".join(chance.choices(words, k=BYTES_MAX // 7))
    own(site, longest, longest)
    assert len(gzip.compress((await site.get(f"/{document}")).content)) < 20 * 1024
