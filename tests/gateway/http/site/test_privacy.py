"""What a person decides about their data: choices, requests, new terms, the language."""

from dataclasses import replace

import pytest

from accounts.audit_log import Actor
from accounts.consent import HISTORY, Document, Version, with_own
from accounts.data_request import WITHDRAWN
from gateway.http.site.words import WORDS
from gateway.people.own_documents import EVERYBODY, OwnDocuments
from gateway.people.own_text import read_own_text
from tests.gateway.http.site.conftest import place

CHOICES, TERMS = "/account/privacy-choices", "/account/terms"
NEWER = (Version("2026-11-27"), Version("2027-01-01", is_material=False), Version("2027-02-01"))


@pytest.fixture
async def ada(site):
    site.world.add()
    await site.enter()
    return site


def holder(site):
    return site.world.people.holders["ada"]


async def test_choices_are_shown_and_kept(ada):
    form = ada.read(await ada.get(CHOICES))
    boxes = {e["name"]: "checked" in e for e in form.of("input") if e["type"] == "checkbox"}
    assert boxes == {
        "objects": False,
        "restricts": False,
        "out_of_credit": True,
        "call_refunded": True,
    }
    reply = await ada.post(CHOICES, objects="true", call_refunded="true")
    assert place(reply) == f"{CHOICES}?said=choices_kept"
    choices = holder(ada).choices
    assert (choices.objected_at, choices.restricted_at) == (ada.world.now, None)
    assert choices.muted == {"out_of_credit"}
    form = ada.read(await ada.get(CHOICES))
    assert "Since 2026-11-27 12:00 UTC" in form.text
    assert "checked" in form.input("objects")
    assert "checked" not in form.input("out_of_credit")


async def test_a_restriction_is_kept_and_ended(ada):
    await ada.post(CHOICES, restricts="true", out_of_credit="true", call_refunded="true")
    assert holder(ada).choices.restricted_at == ada.world.now
    await ada.post(CHOICES, out_of_credit="true", call_refunded="true")
    assert holder(ada).choices.restricted_at is None


async def test_requests_are_listed_with_their_dates(ada):
    assert "not asked for anything" in ada.read(await ada.get("/account/requests")).text
    await ada.post("/account/delete")
    text = ada.read(await ada.get("/account/requests")).text
    assert "To delete the account" in text
    assert "Due by 2026-12-27 12:00 UTC" in text
    assert "late" not in text
    # A session lasts no month: it is another one that sees it.
    ada.world.later(days=31)
    await ada.enter()
    assert "late" in ada.read(await ada.get("/account/requests")).text
    kept = ada.world.departures.kept
    kept[:] = [
        replace(each, done_at=ada.world.now, done_by=Actor.HOLDER, note=note)
        for each in kept
        for note in ("", WITHDRAWN)
    ]
    text = ada.read(await ada.get("/account/requests")).text
    assert [text.count(word) for word in ("Done", "Withdrawn", "Due by")] == [1, 1, 0]


async def test_new_terms_are_asked_about_before_anything_else(ada):
    ada.world.history[Document.TERMS] = NEWER
    ada.world.epochs.epoch = "e2"
    for path in ("/account", "/account/calls", "/account/devices"):
        assert place(await ada.get(path)).startswith(f"{TERMS}?next=%2Faccount")
    assert "Terms, version of 2027-02-01" in ada.read(await ada.get(TERMS)).text
    # Who does not accept can take their data and leave.
    for path in ("/account/delete", "/account/data", CHOICES, "/account/requests"):
        assert (await ada.get(path)).status_code == 200
    reply = await ada.post(TERMS, next="/account/calls")
    assert reply.status_code == 422
    assert place(await ada.post(TERMS, terms="true", next="/account/calls")) == "/account/calls"
    assert ada.world.departures.versions["ada"][Document.TERMS] == "2027-02-01"
    assert (await ada.get("/account/calls")).status_code == 200
    # Accepted: nothing is left to ask.
    assert place(await ada.get(f"{TERMS}?next=/account/devices")) == "/account/devices"


async def test_an_operators_own_text_says_what_has_changed(ada):
    own = (Version("2026-12-01"), Version("2027-02-01"))
    text = read_own_text(b"Be kind.\n# 2027-02-01\nRefunds take 14 days.\n# 2026-12-01\nOurs.")
    history = with_own(own, (), ada.world.history)
    ada.world.history.update(history)
    ada.documents = OwnDocuments(history, {Document.TERMS: {EVERYBODY: text}})
    ada.world.departures.versions["ada"][Document.TERMS] = "2026-12-01"
    ada.rebuild()
    await ada.enter()
    assert place(await ada.get("/account")).startswith(TERMS)
    asked = ada.read(await ada.get(TERMS)).text
    assert "Terms, version of 2027-02-01" in asked
    assert "Refunds take 14 days." in asked
    # Of what was accepted before nothing is said.
    assert "Ours." not in asked
    assert place(await ada.post(TERMS, terms="true", next="/account")) == "/account"
    assert ada.world.departures.versions["ada"][Document.TERMS] == "2027-02-01"


async def test_a_version_that_is_not_material_asks_nobody(ada):
    ada.world.history[Document.TERMS] = NEWER[:2]
    ada.world.epochs.epoch = "e2"
    assert (await ada.get("/account")).status_code == 200


async def test_pages_are_in_the_language_that_was_chosen(ada):
    ada.client.headers["accept-language"] = "es"
    assert '<html lang="en">' in (await ada.get("/account")).text
    reply = await ada.post("/account/language", language="de")
    assert place(reply) == "/account?said=language_set"
    ada.world.epochs.epoch = "e2"
    assert place(await ada.post("/account/language", language="de")) == "/account"
    assert '<html lang="de">' in (await ada.get("/account")).text
    # Of somebody else nothing is known.
    assert (
        '<html lang="es">'
        in (await ada.new_browser().get("/terms", headers={"accept-language": "es"})).text
    )
    reply = await ada.post("/account/language", language="tlh")
    assert (reply.status_code, holder(ada).language) == (422, "de")
    page = ada.read(reply)
    assert "Wählen Sie etwas aus der Liste." in page.text
    (select,) = page.of("select")
    assert (select["aria-invalid"], select["aria-describedby"]) == ("true", "language-error")


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_version_that_is_asked_about_says_what_it_changes(language):
    later = [
        f"changes.{document}_{version.date}"
        for document, versions in HISTORY.items()
        for version in versions[1:]
        if version.is_material
    ]
    assert set(later) == {key for key in WORDS[language] if key.startswith("changes.")}


async def test_a_session_that_ended_meanwhile_decides_nothing(ada):
    async def over(*_args):
        return None

    ada.world.departures.choose = ada.world.departures.accept = over
    ada.world.people.set_language = over
    assert place(await ada.post(CHOICES)).startswith("/sign-in")
    assert place(await ada.post(TERMS, terms="true")).startswith("/sign-in")
    assert place(await ada.post("/account/language", language="de")).startswith("/sign-in")
