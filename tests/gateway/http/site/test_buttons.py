"""The pages of buttons: a list, a form, one button with what to paste, and its acts."""

import re
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from database.errors import StoreUnavailableError
from gateway.buttons.forms import written
from gateway.buttons.pages import masked, zones
from gateway.buttons.ports import ButtonChange, DayUsage, NewButton, ProvenDestination
from gateway.embed.hours import OpeningHours, Span
from gateway.embed.keys import KeyMode
from gateway.embed.refusals import Reason
from tests.gateway.buttons.button_books import AT, NUMBER, button_of, rules
from tests.gateway.http.site.conftest import ORIGIN, place

ID = "0123456789abcdef01234567"
ONE = f"/account/buttons/{ID}"
ONCE = "a-form-of-its-own-01"
LIVE, TEST = "pk_live_" + "a" * 24, "pk_test_" + "b" * 24
RULES = rules(origins=("https://example.com",), month_cap_micros=50_000_000)


@pytest.fixture
async def ada(site):
    """The site with somebody signed in, who has proven a number."""
    site.world.add()
    await site.enter()
    site.buttons.proven.append(ProvenDestination(NUMBER, AT))
    return site


def keep(site, what=RULES, button_id=ID, **changes):
    """Keep a button of the person's."""
    button = replace(button_of(NewButton(button_id, "shop", what, LIVE, TEST)), **changes)
    site.buttons.kept[button_id] = button
    return button


def form(**changes):
    fields = msgspec.structs.asdict(written("shop", RULES, once=ONCE))
    return fields | changes


async def test_whoever_has_no_button_is_told_what_one_is_and_how_to_begin(ada):
    page = ada.read(await ada.get("/account/buttons"))
    assert "A button lets visitors of your page call you with one click" in page.text
    links = [each["href"] for each in page.of("a")]
    assert {"/account/destinations", "/account/buttons/new"} <= set(links)
    assert page.text.count("Buttons") == 1, "in the menu"


async def test_a_list_says_how_each_stands_and_what_it_cost(ada):
    keep(ada)
    today = ada.world.now.date()
    yesterday = today - timedelta(days=1)
    ada.buttons.used[ID] = [
        DayUsage(today, 3, 2, 90, 1_250_000),
        DayUsage(yesterday, 1, 1, 60, 500_000),
        DayUsage(today.replace(day=1) - timedelta(days=1), 9, 9, 9, 9_000_000),
    ]
    reply = await ada.get("/account/buttons")
    text = ada.read(reply).text
    assert NUMBER not in reply.text
    assert "shop open" in text
    assert "Calls +44 … 0018" in text
    assert "Today (UTC): 3 calls, $1.25 of $5.00" in text
    assert "This month: 4 calls, $1.75 of $50.00" in text
    keep(ada, rules(destination="", day_cap_micros=None, month_cap_micros=10**6))
    ada.buttons.used = {}
    text = ada.read(await ada.get("/account/buttons")).text
    assert "Your server names the number" in text
    assert "Today (UTC): 0 calls, $0.00 This" in text


NIGHT = OpeningHours("UTC", ((Span(0, 60),),) * 7)


@pytest.mark.parametrize(
    ("changes", "what", "state"),
    [
        ({"paused_at": AT}, RULES, "paused"),
        ({}, msgspec.structs.replace(RULES, hours=NIGHT), "closed"),
        ({}, msgspec.structs.replace(RULES, day_cap_micros=7), "day's budget used"),
        ({}, msgspec.structs.replace(RULES, month_cap_micros=7), "month's budget used"),
    ],
)
async def test_a_button_that_takes_no_calls_says_why(ada, changes, what, state):
    keep(ada, what, **changes)
    ada.buttons.used[ID] = [DayUsage(ada.world.now.date(), 1, 1, 1, 7)]
    for path in ("/account/buttons", ONE):
        text = ada.read(await ada.get(path)).text
        assert f"shop {state}" in text
        assert ("Opens 2026-11-28 00:00 UTC" in text) is (state == "closed")


async def test_without_credit_a_button_says_so_and_nothing_is_claimed_of_what_is_unknown(ada):
    keep(ada)
    for balance, state in ((0, "no credit"), (StoreUnavailableError(""), "open"), (1, "open")):
        ada.balance = balance
        assert f"shop {state}" in ada.read(await ada.get(ONE)).text


async def test_whoever_has_not_proven_their_address_makes_no_button(ada):
    ada.world.change(email_proven_at=None)
    for reply in (
        await ada.get("/account/buttons/new"),
        await ada.post("/account/buttons/new", **form()),
    ):
        # Which says what to do about it.
        assert place(reply) == "/account"
    assert ada.buttons.kept == {}


async def test_whoever_makes_too_many_buttons_is_told_to_wait(ada):
    ada.world.velocity.refuses["account_buttons_hour"] = 300
    reply = await ada.post("/account/buttons/new", **form())
    assert (reply.status_code, ada.buttons.kept) == (429, {})


async def test_a_button_is_made_by_a_form_once(ada):
    page = ada.read(await ada.get("/account/buttons/new"))
    radios = [each for each in page.of("input") if each.get("name") == "destination"]
    assert [each["value"] for each in radios] == [NUMBER, "signed"]
    assert [each["value"] for each in radios if "checked" in each] == [NUMBER]
    assert re.fullmatch(r"[\w-]{16,64}", page.input("once")["value"])
    assert len(page.of("option")) == len(zones()) > 300
    replies = [await ada.post("/account/buttons/new", **form()) for _ in range(2)]
    (made,) = ada.buttons.kept.values()
    assert {place(each) for each in replies} == {f"/account/buttons/{made.id}?said=button_made"}
    assert (made.label, made.rules) == ("shop", RULES)
    text = ada.read(await ada.get(f"/account/buttons/{made.id}?said=button_made")).text
    assert "The button has been created." in text


async def test_without_a_proven_number_nothing_is_chosen(ada):
    ada.buttons.proven.clear()
    page = ada.read(await ada.get("/account/buttons/new"))
    radios = [each for each in page.of("input") if each.get("name") == "destination"]
    assert [(each["value"], "checked" in each) for each in radios] == [("signed", False)]


async def test_all_that_is_wrong_is_told_at_once_beside_what_was_typed(ada):
    changes = {"title": "", "origins": "https://a.example\nhttps://*.b.example", "monday": "x"}
    changes |= {"opens": "week", "calls_at_once": "no", "visitor_hour": "0", "label": " "}
    reply = await ada.post("/account/buttons/new", **form(**changes))
    assert reply.status_code == 422
    page = ada.read(reply)
    invalid = {each.get("name") for each in page.of("input") if "aria-invalid" in each}
    assert invalid == {"title", "monday", "calls_at_once", "visitor_hour", "label"}
    (origins,) = [each for each in page.of("textarea") if "aria-invalid" in each]
    assert origins["aria-describedby"] == "origins-help origins-error"
    assert "List each address separately. Line 2: https://*.b.example" in page.text
    assert "Enter a number from 1 to 100,000." in page.text
    assert page.input("monday")["value"] == "x"
    assert page.input("once")["value"] == ONCE
    assert not ada.buttons.kept
    # Each entry of the summary leads to something that is there.
    targets = {each["href"][1:] for each in page.of("a") if each["href"].startswith("#")}
    assert targets - {"main"} <= {attrs.get("id") for _, attrs in page.tags}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"destination": ""}, "Choose whom the button calls."),
        ({"destination": "+442079460019"}, "You have not proven yet that this number is yours."),
        ({"day_cap": "x"}, "Enter an amount, such as 25 or 12.50."),
        ({"day_cap": "", "month_cap": ""}, "Set a daily or monthly budget"),
        ({"day_cap": "60"}, "The daily budget cannot be above the monthly one."),
        ({"zone": "Berlin"}, "Choose a time zone from the list"),
        ({"holidays": "Christmas"}, "such as 2026-11-27. Line 1: Christmas"),
        ({"seconds_max": "3601"}, "Enter a number of seconds between the smallest"),
    ],
)
async def test_a_form_that_is_not_right_makes_and_changes_nothing(ada, changes, said):
    keep(ada)
    for path in ("/account/buttons/new", f"{ONE}/rules"):
        reply = await ada.post(path, **form(**changes))
        assert reply.status_code == 422
        assert said in ada.read(reply).text
    assert ada.buttons.kept == {ID: keep(ada)}


async def test_a_form_of_nobodys_making_is_refused(ada):
    for once in ("", "short", "not one of ours, it has spaces"):
        assert (await ada.post("/account/buttons/new", **form(once=once))).status_code == 400
    keep(ada)
    assert (await ada.post(f"{ONE}/turn", once="short", days="1")).status_code == 400


async def test_rules_are_changed_and_what_was_proven_once_stays_to_be_chosen(ada):
    keep(ada)
    ada.buttons.proven.clear()
    page = ada.read(await ada.get(f"{ONE}/rules"))
    # Only what is made has a word of its own; an empty one would switch off the form's.
    assert "once" not in [each.get("name") for each in page.of("input")]
    radios = [each for each in page.of("input") if each.get("name") == "destination"]
    assert [each["value"] for each in radios if "checked" in each] == [NUMBER]
    reply = await ada.post(f"{ONE}/rules", **form(title="Help", label="blog"))
    assert place(reply) == f"{ONE}?said=button_changed"
    button = ada.buttons.kept[ID]
    assert (button.label, button.rules.title) == ("blog", "Help")


async def test_whoever_takes_long_over_the_form_loses_nothing(ada):
    keep(ada)
    ada.world.later(minutes=10)
    for path in ("/account/buttons/new", f"{ONE}/rules"):
        assert place(await ada.get(path)).startswith("/confirm?next=")
        reply = await ada.post(path, **form(title="Typed at length"))
        assert reply.status_code == 403
        page = ada.read(reply)
        assert page.input("title")["value"] == "Typed at length"
        (link,) = [each for each in page.of("a") if each["href"] == "/confirm"]
        assert link["target"] == "_blank"
    assert ada.buttons.kept == {ID: keep(ada)}


async def test_one_button_shows_what_to_paste(ada):
    keep(ada)
    reply = await ada.get(ONE)
    page = ada.read(reply)
    assert "<script" not in reply.text
    assert len(reply.content) < 20_000
    for key in (LIVE, TEST):
        assert (
            f'<script type="module" src="{ORIGIN}/embed/v1.js"></script> '
            f'<caller-button key="{key}"><a href="{ORIGIN}/c/{key}">Call us</a></caller-button>'
        ) in page.text
    assert f"script-src {ORIGIN}; frame-src {ORIGIN}" in page.text
    assert f'microphone=(self "{ORIGIN}")' in page.text
    assert all("readonly" in each for each in page.of("textarea"))
    (qr,) = page.of("img")
    assert qr["src"] == f"/c/{LIVE}/qr.svg"
    assert "https://example.com" in page.text
    assert "No calls yet." in page.text


async def test_calls_that_go_on_are_told_and_ended(ada):
    keep(ada)
    assert "in progress." not in ada.read(await ada.get(ONE)).text
    ada.running = 1
    assert "1 call is in progress. End it now" in ada.read(await ada.get(ONE)).text
    ada.running = 3
    assert "3 calls are in progress. End them now" in ada.read(await ada.get(ONE)).text
    # Without a proof, as a pause: whoever sees it being abused stops it at once.
    ada.world.now += timedelta(hours=1)
    assert place(await ada.post(f"{ONE}/pause")) == f"{ONE}?said=button_paused"
    assert ada.eras.ended == []
    page = ada.read(await ada.get(f"{ONE}?said=button_paused"))
    assert "Calls in progress continue: you can end them here." in page.text
    assert place(await ada.post(f"{ONE}/end-calls")) == f"{ONE}?said=button_calls_ended"
    assert ada.eras.ended == [ID]
    ada.running = StoreUnavailableError("away")
    assert "in progress." not in ada.read(await ada.get(ONE)).text


async def test_why_visitors_did_not_get_through_is_told(ada):
    keep(ada)
    assert "did not get through" not in ada.read(await ada.get(ONE)).text
    ada.refused = {Reason.LIMIT: 7, Reason.BUSY: 1}
    text = ada.read(await ada.get(ONE)).text
    assert "too many calls from one visitor, one network or all7 all lines were in use1" in text


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "1 call, $0.50 of $5.00"),
        ("de", "1 Anruf, "),
        ("es", "1 llamada, "),
        ("fr", "1 appel, "),
    ],
)
async def test_one_call_is_one_call(ada, language, said):
    ada.world.change(language=language)
    keep(ada)
    ada.buttons.used[ID] = [DayUsage(ada.world.now.date(), 1, 1, 60, 500_000)]
    for path in (ONE, "/account/buttons"):
        text = ada.read(await ada.get(path)).text
        assert said in text
    most = {"en": "at most 1 call a day", "de": "1 Anruf am Tag", "es": "1 llamada al día"}
    most["fr"] = "1 appel par jour"
    assert most[language] in ada.read(await ada.get(ONE)).text


async def test_usage_is_a_picture_and_a_table(ada):
    keep(ada, label="<b>")
    today = ada.world.now.date()
    ada.buttons.used[ID] = [
        DayUsage(today, 3, 2, 90, 1_250_000),
        DayUsage(today - timedelta(days=29), 1, 0, 0, 0),
    ]
    reply = await ada.get(ONE)
    page = ada.read(reply)
    (svg,) = page.of("svg")
    assert svg["aria-label"] == f"Calls of each day from 2026-10-29 to {today}: 3 at most."
    first, last = page.of("rect")
    assert (first["x"], first["height"], last["height"]) == ("0", "40", "120")
    assert f"{today} 3 2 1 min 30 s $1.25" in page.text
    assert "<b>" not in reply.text


async def test_a_button_is_paused_at_once_and_goes_on_after_a_proof(ada):
    keep(ada)
    ada.world.later(minutes=10)
    reply = await ada.post(f"{ONE}/pause")
    assert place(reply) == f"{ONE}?said=button_paused"
    assert ada.buttons.kept[ID].paused_at == AT
    assert place(await ada.post(f"{ONE}/pause")) == ONE, "nothing more has happened"
    assert place(await ada.post(f"{ONE}/resume")) == f"/confirm?next={ONE.replace('/', '%2F')}"
    await ada.enter()
    assert place(await ada.post(f"{ONE}/resume")) == f"{ONE}?said=button_resumed"
    assert ada.buttons.kept[ID].paused_at is None


async def test_a_button_whose_number_is_no_more_proven_does_not_go_on(ada):
    keep(ada, paused_at=AT)
    ada.buttons.proven = []
    reply = await ada.post(f"{ONE}/resume")
    assert reply.status_code == 422
    assert "You have not proven yet that this number is yours." in ada.read(reply).text
    assert ada.buttons.kept[ID].paused_at == AT


async def test_a_key_is_replaced_and_the_old_one_goes_on(ada):
    keep(ada)
    page = ada.read(await ada.get(ONE))
    assert [each["value"] for each in page.of("option")] == ["0", "1", "7"]
    for _ in range(2):
        reply = await ada.post(f"{ONE}/turn", once=ONCE, days="7")
        assert place(reply) == f"{ONE}?said=button_turned"
    button = ada.buttons.kept[ID]
    assert len(button.keys) == 3
    assert button.key_of(KeyMode.LIVE) != LIVE
    page = ada.read(await ada.get(ONE))
    assert f"{LIVE} Works until 2026-12-04 12:00 UTC" in page.text
    for days in ("", "30", "x"):
        reply = await ada.post(f"{ONE}/turn", once="another-form-000001", days=days)
        assert reply.status_code == 422
        assert "Choose one from the list." in ada.read(reply).text


async def test_a_button_whose_number_was_taken_back_does_not_go_on(ada):
    keep(ada, paused_at=AT)
    ada.buttons.proven.clear()
    reply = await ada.post(f"{ONE}/resume")
    assert reply.status_code == 422
    assert "You have not proven yet that this number is yours." in ada.read(reply).text


async def test_a_button_is_deleted(ada):
    keep(ada)
    assert place(await ada.post(f"{ONE}/delete")) == "/account/buttons?said=button_deleted"
    assert not ada.buttons.kept
    assert place(await ada.post(f"{ONE}/delete")) == "/account/buttons"


async def test_nobody_elses_button_is_shown_or_changed(ada):
    theirs = keep(ada, account_id="bob")
    for path in (ONE, f"{ONE}/rules", "/account/buttons/a%00b"):
        reply = await ada.get(path)
        assert reply.status_code == 404
        assert "There is no such button in your account." in ada.read(reply).text
    for act in ("rules", "pause", "resume", "turn"):
        assert (await ada.post(f"{ONE}/{act}", **form())).status_code == 404
    await ada.post(f"{ONE}/delete")
    assert ada.buttons.kept == {ID: theirs}


@pytest.mark.parametrize(
    ("act", "fields", "back"),
    [
        ("rules", form(), f"{ONE}/rules"),
        ("pause", {}, ONE),
        ("resume", {}, ONE),
        ("turn", {"once": ONCE, "days": "1"}, ONE),
        ("delete", {}, "/account/buttons"),
    ],
)
async def test_a_session_that_is_over_changes_nothing(ada, act, fields, back):
    keep(ada)
    ada.buttons.outcome = ButtonChange.SESSION_OVER
    reply = await ada.post(f"{ONE}/{act}", **fields)
    assert place(reply) == f"/sign-in?next={back.replace('/', '%2F')}&said=session_over"
    # And from the sign-in back to where one was.
    reply = await ada.enter(next=back)
    assert place(reply) == back


async def test_a_button_that_went_while_its_form_was_filled_in_is_gone(ada):
    keep(ada)
    ada.buttons.outcome = ButtonChange.NOT_FOUND
    ada.buttons.kept = Once(ada.buttons.kept)
    assert (await ada.post(f"{ONE}/rules", **form())).status_code == 404


class Once(dict):
    """Buttons that are found once."""

    def get(self, key, default=None):
        return self.pop(key, default)


def test_a_number_is_shown_so_that_its_owner_knows_it():
    assert masked(NUMBER) == "+44 … 0018"
    assert masked("") == ""
