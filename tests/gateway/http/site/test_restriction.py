"""The page of a restriction: what is kept and what stops, and one button each way."""

import pytest

from gateway.data_map import KINDS
from gateway.http.site.words import WORDS
from gateway.words.data_map import words_in
from tests.gateway.http.site.conftest import place

RESTRICTION = "/account/restriction"


@pytest.fixture
async def ada(site):
    site.world.add()
    await site.enter()
    return site


async def test_a_restriction_begins_and_ends_with_a_button_that_may_be_pressed_twice(ada):
    assert "Nothing is restricted" in ada.read(await ada.get(RESTRICTION)).text
    for _ in range(2):
        reply = await ada.post(RESTRICTION, restricts="true")
        assert place(reply) == f"{RESTRICTION}?said=restricted"
    ada.world.epochs.epoch = "e2"
    text = ada.read(await ada.get(f"{RESTRICTION}?said=restricted")).text
    assert "From now on your data are kept but not used." in text
    assert f"Since {ada.world.now:%Y-%m-%d %H:%M UTC}" in text
    assert "Your data are kept but not used" in (await ada.get("/account")).text
    for _ in range(2):
        reply = await ada.post(RESTRICTION, restricts="false")
        assert place(reply) == f"{RESTRICTION}?said=restriction_lifted"
    ada.world.epochs.epoch = "e3"
    assert ada.world.people.holders["ada"].choices.restricted_at is None
    assert "kept but not used" not in (await ada.get("/account")).text


async def test_other_choices_stay_as_they_are(ada):
    await ada.post("/account/privacy-choices", objects="true", call_refunded="true")
    ada.world.epochs.epoch = "e2"
    await ada.post(RESTRICTION, restricts="true")
    choices = ada.world.people.holders["ada"].choices
    assert choices.objected_at is not None
    assert choices.restricted_at is not None
    assert choices.muted == {"out_of_credit"}


@pytest.mark.parametrize("language", sorted(WORDS))
async def test_every_kind_that_is_kept_is_named(ada, language):
    ada.world.change(language=language)
    ada.world.epochs.epoch = "e2"
    text = ada.read(await ada.get(RESTRICTION)).text
    words = words_in(language)
    for kind in KINDS:
        if kind.is_exported:
            assert words[f"kind.{kind.name}"] in text


@pytest.mark.parametrize("path", ["/account/data", "/account/privacy-choices"])
async def test_the_page_is_found_from_what_it_is_about(ada, path):
    links = [each.get("href") for each in ada.read(await ada.get(path)).of("a")]
    assert RESTRICTION in links


async def test_a_form_that_says_nothing_changes_nothing(ada):
    assert (await ada.post(RESTRICTION)).status_code == 400
    assert ada.world.people.holders["ada"].choices.restricted_at is None


async def test_a_session_that_ended_meanwhile_decides_nothing(ada):
    async def over(*_args):
        return None

    ada.world.departures.choose = over
    assert place(await ada.post(RESTRICTION, restricts="true")).startswith("/sign-in")
