"""The page of supervision: what is allowed, how it is changed, and who was in the calls."""

import itertools
from datetime import timedelta

import pytest

from accounts.audit_log import Actor
from accounts.session import STEP_UP_MAX
from gateway.call.supervision import Deed, Mode, Rule
from gateway.http.site.words import WORDS
from gateway.supervision.pages import SupervisionPage
from gateway.words.data_map import words_in
from tests.gateway.http.site.conftest import Form, place

PATH = "/account/supervision"


@pytest.fixture
async def ada(site):
    """The site with somebody signed in."""
    site.world.add()
    await site.enter()
    return site


def checked(form):
    """Return the values of what is ticked, and the reason."""
    ticked = [each["value"] for each in form.of("input") if "checked" in each]
    return ticked, form.input("silent_reason")["value"]


async def test_nothing_is_allowed_at_first_and_the_account_leads_there(ada):
    assert f'href="{PATH}"' in (await ada.get("/account")).text
    form = ada.read(await ada.get(PATH))
    assert checked(form) == (["off"], "")
    offered = [each["value"] for each in form.of("input") if each.get("name") == "most"]
    assert offered == ["off", *Mode]
    assert "None of your calls was supervised" in form.text
    assert "in many places the law requires that everyone in a call knows" in form.text
    for who in ("Operators of this service", "signed in to this account", "Listen to live calls"):
        assert who in form.text


async def test_a_rule_is_set_and_shown_and_told_of(ada):
    fields = {"most": "barge", "silent": "true", "silent_reason": " all  know "}
    assert place(await ada.post(PATH, **fields)) == f"{PATH}?said=supervision_set"
    assert ada.supervision.now == Rule(Mode.BARGE, "all know")
    form = ada.read(await ada.get(f"{PATH}?said=supervision_set"))
    assert checked(form) == (["barge", "true"], "all know")
    assert "It applies from now on" in form.text
    # What was so already is no news.
    assert place(await ada.post(PATH, **fields)) == PATH
    assert [each.name for each in ada.supervision.notices] == ["supervision_allowed"]
    assert place(await ada.post(PATH, most="off")) == f"{PATH}?said=supervision_set"
    assert ada.supervision.now == Rule()


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"silent_reason": "typed"}, "most", "Choose what supervisors may do."),
        ({"most": "spy", "silent": "true", "silent_reason": "typed"}, "most", "Choose what"),
        (
            {"most": "listen", "silent": "true"},
            "silent_reason",
            "Explain why there should be no tone",
        ),
        (
            {"most": "listen", "silent": "true", "silent_reason": "x" * 301},
            "silent_reason",
            "Use 300 characters at most.",
        ),
    ],
)
async def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays(
    ada, fields, field, said
):
    reply = await ada.post(PATH, **fields)
    assert reply.status_code == 422
    form = ada.read(reply)
    assert form.text.count(said) == 2
    assert f'id="{field}-error"' in reply.text
    assert f'href="#{field}"' in reply.text
    ticked, reason = checked(form)
    assert reason == fields.get("silent_reason", "")
    assert ("true" in ticked) == ("silent" in fields)
    assert ("listen" in ticked) == (fields.get("most") == "listen")
    assert ada.supervision.now == Rule()


@pytest.mark.parametrize(
    "fields",
    [{"most": "listen", "silent": "maybe"}, {"most": "x" * 600}, {"silent_reason": "x" * 600}],
)
async def test_what_no_form_of_ours_sends_is_refused(ada, fields):
    assert (await ada.post(PATH, **fields)).status_code == 400
    assert ada.supervision.now == Rule()


async def test_more_asks_who_one_is_and_keeps_what_was_typed(ada):
    ada.supervision.now = Rule(Mode.LISTEN)
    ada.world.now += STEP_UP_MAX + timedelta(seconds=1)
    # To look takes no proof.
    assert checked(ada.read(await ada.get(PATH)))[0] == ["listen"]
    reply = await ada.post(PATH, most="whisper", silent="true", silent_reason="typed")
    form = ada.read(reply)
    assert "Confirm that it is you in another window" in form.text
    assert {"href": "/confirm", "target": "_blank"} in form.of("a")
    assert checked(form) == (["whisper", "true"], "typed")
    assert ada.supervision.now == Rule(Mode.LISTEN)
    # Nor does it to switch it off.
    assert place(await ada.post(PATH, most="off")) == f"{PATH}?said=supervision_set"


async def test_a_session_that_ends_meanwhile_signs_in_again(ada):
    ada.supervision.is_over = True
    reply = await ada.post(PATH, most="listen")
    assert place(reply) == "/sign-in?next=%2Faccount%2Fsupervision&said=session_over"


@pytest.mark.parametrize("language", WORDS)
async def test_all_that_may_be_done_by_anybody_has_words(site, language):
    deeds = [
        Deed(site.world.now, actor, "", f"c{number}", mode, "training")
        for number, (mode, actor) in enumerate(itertools.product(Mode, Actor))
    ]
    page = SupervisionPage(("off", *Mode), "off", False, "", 300, deeds, needs_proof=True)
    text = Form(site.pages.render(page, language).body.decode()).text
    words = WORDS[language]
    for each in ("off", *Mode):
        assert words[f"supervision_help.{each}"] in text
    for deed in deeds:
        assert f"{words[f'supervision_most.{deed.mode}']} · {words['supervision.call']}" in text
        assert f"{words[f'supervision_by.{deed.by}']} · training" in text


@pytest.mark.parametrize("language", sorted(WORDS))
def test_the_section_of_the_archive_has_the_name_that_it_has_there(language):
    assert words_in(language)["kind.activity"] in WORDS[language]["supervision.all"]


async def test_who_was_in_the_calls_is_listed_with_the_reason(ada):
    ada.supervision.done = [
        Deed(ada.world.now, "operator", "", "c2", Mode.WHISPER, "<b>training</b>"),
        Deed(ada.world.now, "key", "ab12", "c1", Mode.LISTEN, "of the account itself"),
    ]
    reply = await ada.get(PATH)
    form = ada.read(reply)
    assert "2026-11-27 12:00:00 UTC Whisper · the call" in form.text
    assert "An operator of this service · <b>training</b>" in form.text
    assert "A program with your key ab12 · of the account itself" in form.text
    assert 'href="/account/calls/c2"' in reply.text
    assert "<b>" not in reply.text
