"""Forms whose answer is lost: nobody is told what is not certain, and a repeat does nothing twice.

The database commits, and its answer does not arrive; the form is then sent again, as it was.
"""

import asyncio
import re
import secrets
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from database import engine as database
from database import undertaking
from gateway.http.site.words import WORDS
from tests.gateway.people.test_web import (
    ADA,
    FROM_US,
    NEW,
    OTHER,
    PASSWORD,
    house,
    signed_up,
    valkey_server,
    valkey_url,
)

__all__ = ["house", "valkey_server", "valkey_url"]

UNCERTAIN, SENT_BEFORE = "sent_form.uncertain", "sent_form.before"
UNCHANGED = "problem.store_unavailable"
ONCE = "0f" * 16
TOLD = "policy_changed"
OWN = {
    "/account/language": {"language": "de"},
    "/account/password": {"password": OTHER},
    "/account/address": {"email": NEW},
    "/account/privacy-choices": {"objects": "true"},
    "/account/restriction": {"restricts": "true"},
    "/account/supervision": {"most": "listen"},
    "/account/delete": {"when": "later"},
    "/account/data/export": {},
}
"""Path -> what is filled in."""
BY_THEMSELVES = {
    "/account/keys/new": {"once": ONCE, "label": "laptop", "calls": "true", "days": "90"},
    "/account/webhooks/new": {"once": ONCE, "label": "crm", "url": "https://example.com/in"},
}
"""Those that show what they have made also when they come again."""
WORKERS = {"duties", "partitions", "policy_notices", "posted_texts"}
"""Tables that the drainer's process writes to meanwhile."""


class Faults:
    """Loses answers of the database, to forms only."""

    def __init__(self, monkeypatch):
        self.loses = self.fails = False
        self.lost = 0
        real = database._engine_for_writing

        class Engine:
            def __init__(this, engine):
                this.engine = engine

            @asynccontextmanager
            async def begin(this):
                is_ours = undertaking._work() is not None
                if is_ours and self.fails:
                    raise TimeoutError
                async with real(this.engine).begin() as connection:
                    yield connection
                if is_ours and self.loses:
                    self.lost += 1
                    raise TimeoutError

        monkeypatch.setattr(database, "_engine_for_writing", Engine)


@pytest.fixture
def faults(monkeypatch):
    return Faults(monkeypatch)


def says(text, sentence):
    """Return whether a page says a sentence, in any language."""
    return any(words[sentence] in text for words in WORDS.values())


async def everything(house):
    """Return table -> rows of all that is kept of people."""
    async with house.node.stores.engine.connect() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        rows = {
            name: (await connection.execute(sa.text(f'SELECT * FROM "{name}"'))).all()
            for name in set(names) - WORKERS
        }
    # It tells of new terms, too.
    return {name: [row for row in found if TOLD not in row] for name, found in rows.items()}


async def exports_made(house):
    """Return once the drainer's process has made every export that was asked for."""
    left = "SELECT count(*) FROM exports WHERE state != 'ready'"
    async with asyncio.timeout(60):
        while True:
            async with house.node.stores.engine.connect() as connection:
                if not await connection.scalar(sa.text(left)):
                    return
            await asyncio.sleep(0.1)


async def send(browser, path, form):
    """Return status, place and text of what answers a form."""
    options = {"data": form, "headers": FROM_US, "allow_redirects": False}
    async with browser.client.post(browser.origin + path, **options) as reply:
        text = " ".join(re.sub("<[^>]+>", " ", await reply.text()).split())
        return reply.status, reply.headers.get("location", ""), text


async def repeated(house, faults, browser, path, fields):
    """Send a form whose answer is lost, and again; return the second answer.

    What it does is done once.
    """
    form = {**fields, "form": secrets.token_hex(16)}
    before = await everything(house)
    faults.loses, faults.lost = True, 0
    status, _, text = await send(browser, path, form)
    faults.loses = False
    assert (status, says(text, UNCERTAIN), says(text, UNCHANGED)) == (503, True, False)
    assert faults.lost == 1
    await exports_made(house)
    done = await everything(house)
    assert done != before
    answers = [await send(browser, path, form) for _ in range(2)]
    assert await everything(house) == done
    # A session that is over is said once.
    assert answers[0] == answers[1] or answers[0][1].endswith("said=session_over")
    return answers[0]


@pytest.mark.parametrize("path", OWN)
async def test_a_form_of_somebody_signed_in_is_done_once(house, faults, path):
    browser = await signed_up(house)
    status, place, text = await repeated(house, faults, browser, path, OWN[path])
    if path == "/account/password":
        # It has ended the session that the form came with.
        assert (status, place) == (303, "/sign-in?next=%2Faccount%2Fpassword&said=session_over")
    else:
        assert (status, says(text, SENT_BEFORE)) == (409, True)


@pytest.mark.parametrize("path", BY_THEMSELVES)
async def test_what_makes_something_shows_it_again(house, faults, path):
    browser = await signed_up(house)
    status, _, text = await repeated(house, faults, browser, path, BY_THEMSELVES[path])
    assert status in {200, 303}
    assert not says(text, SENT_BEFORE)


@pytest.mark.parametrize("path", ["/sign-up", "/reset"])
async def test_a_form_of_nobody_is_done_once(house, faults, path):
    browser = await signed_up(house) if path == "/reset" else await house.browser()
    form = {"email": ADA, "password": PASSWORD, "terms": "true", "adult": "true"}
    browser = await house.browser()
    status, _, text = await repeated(house, faults, browser, path, form)
    assert (status, says(text, SENT_BEFORE)) == (409, True)


async def test_a_link_is_used_once(house, faults):
    browser = await house.browser()
    form = {"email": ADA, "password": PASSWORD, "terms": "true", "adult": "true"}
    await browser.post("/sign-up", **form)
    link = await house.link("verify_email")
    await repeated(house, faults, browser, link, {"password": PASSWORD})
    assert await browser.sign_in() == (303, "/account")


async def test_what_came_back_with_an_answer_leads_there_again(house, faults):
    browser = await signed_up(house)
    form = {"objects": "true", "form": secrets.token_hex(16)}
    first = await send(browser, "/account/privacy-choices", form)
    assert first[:2] == (303, "/account/privacy-choices?said=choices_kept")
    done = await everything(house)
    again = await send(browser, "/account/privacy-choices", form)
    assert again == first
    assert await everything(house) == done
    # The sentence is said as it was.
    assert WORDS["en"]["said.choices_kept"] in (await browser.get(again[1]))[2]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/account/privacy-choices", "/account/privacy-choices?said=choices_kept"),
        ("/account/supervision", "/account/supervision?said=supervision_set"),
        ("/account/address", "/account?said=change_asked"),
        ("/account/data/export", "/account/data?said=export_asked"),
    ],
)
async def test_whoever_presses_a_button_twice_sees_what_the_first_press_led_to(house, path, place):
    browser = await signed_up(house)
    form = {**OWN[path], "form": secrets.token_hex(16)}
    answers = await asyncio.gather(*(send(browser, path, form) for _ in range(4)))
    assert [answer[:2] for answer in answers] == [(303, place)] * 4


async def test_a_form_that_was_not_done_says_so_and_may_be_sent_again(house, faults):
    browser = await signed_up(house)
    before, form = await everything(house), {"email": NEW, "form": secrets.token_hex(16)}
    faults.fails = True
    status, _, text = await send(browser, "/account/address", form)
    faults.fails = False
    assert (status, says(text, UNCHANGED), says(text, UNCERTAIN)) == (503, True, False)
    assert await everything(house) == before
    assert (await send(browser, "/account/address", form))[0] == 303
    assert [name for name, _ in await house.mails()][-1] == "change_address"


async def test_one_that_was_refused_may_be_corrected_on_the_page_that_says_why(house):
    browser = await signed_up(house)
    async with browser.client.get(browser.origin + "/account/password") as reply:
        forms = re.findall(r'name="form" value="([0-9a-f]{32})"', await reply.text())
    assert len(forms) == len(set(forms)) > 0
    assert (await send(browser, "/account/password", {"password": "1", "form": forms[-1]}))[
        0
    ] == 422
    answer = await send(browser, "/account/password", {"password": OTHER, "form": forms[-1]})
    assert answer[0] == 303


async def test_two_accounts_and_two_forms_have_nothing_to_do_with_each_other(house):
    browser, word = await signed_up(house), secrets.token_hex(16)
    choices = {"objects": "true", "form": word}
    assert (await send(browser, "/account/privacy-choices", choices))[0] == 303
    assert (await send(browser, "/account/supervision", {"most": "listen", "form": word}))[0] == 303
    await send(browser, "/account/privacy-choices", {"form": secrets.token_hex(16)})
    other = await house.browser()
    reset = await send(other, "/reset", {"email": ADA, "form": word})
    assert reset[0] == 303


async def test_what_was_set_first_may_be_set_again_from_the_same_page(house):
    """By the Back button: one thing, another, and the first once more, all with the same word."""
    browser, word = await signed_up(house), secrets.token_hex(16)
    for fields in ({"objects": "true"}, {"restricts": "true"}, {"objects": "true"}, {}, {}):
        answer = await send(browser, "/account/privacy-choices", {**fields, "form": word})
        assert answer[:2] == (303, "/account/privacy-choices?said=choices_kept")
        async with house.node.stores.engine.connect() as connection:
            rows = await connection.execute(sa.text("SELECT * FROM holders"))
            (holder,) = rows.mappings().all()
        assert bool(holder["objected_at"]) is ("objects" in fields)


async def test_a_page_that_a_browser_shows_again_may_be_filled_in_otherwise(house):
    """By its Back button, from a copy that it has kept: with the same word."""
    browser, word = await signed_up(house), secrets.token_hex(16)
    for fields in ({"objects": "true"}, {}, {"restricts": "true", "out_of_credit": "true"}):
        form = {**fields, "form": word}
        assert (await send(browser, "/account/privacy-choices", form))[0] == 303
        async with house.node.stores.engine.connect() as connection:
            rows = await connection.execute(sa.text("SELECT * FROM holders"))
            (holder,) = rows.mappings().all()
        assert bool(holder["objected_at"]) is ("objects" in fields)


PAGES = [
    "/account",
    "/account/password",
    "/account/address",
    "/account/devices",
    "/account/security",
    "/account/privacy-choices",
    "/account/restriction",
    "/account/supervision",
    "/account/countries",
    "/account/data",
    "/account/delete",
    "/account/keys",
    "/account/calls",
    "/account/keys/new",
    "/account/webhooks",
    "/account/webhooks/new",
    "/account/buttons",
    "/account/buttons/new",
    "/account/destinations",
    "/account/credit",
]
LET_OUT = {"/sign-out", "/confirm"}
"""Where forms lead of which each one sent counts by itself."""


def fields_of(form):
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


@pytest.mark.parametrize("path", PAGES)
async def test_each_form_of_an_account_says_whose_it_is_and_which(house, path):
    browser = await signed_up(house)
    async with browser.client.get(browser.origin + path) as reply:
        assert reply.status == 200
        text = await reply.text()
    for head, form in re.findall(r'<form method="post"([^>]*)>(.*?)</form>', text, re.DOTALL):
        target = re.search(r'action="([^"]*)"', head)
        if target is not None and target[1] in LET_OUT:
            continue
        fields = fields_of(form)
        assert fields.get("owner"), head
        assert re.fullmatch(r"[0-9a-f]{32}", fields["form"]), head
        # Empty it would only keep the word from being looked at.
        assert fields.get("once") != "", head
