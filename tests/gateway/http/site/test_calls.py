"""The pages of calls: what is shown of each, what is found, and all of them as CSV."""

import contextlib
import csv
import io
from datetime import UTC, datetime

import pytest

from billing.cdr import CallFilter, LegQuality, shown_in
from billing.figures import Shown
from billing.statement import CallLine
from gateway.cause import Cause
from gateway.http.site.calls import COLUMNS, DOWNLOADS_MAX, PAGE_CALLS, PIECE_CALLS
from gateway.http.site.words import WORDS
from tests.gateway.http.site.books import AT, closed, live, record
from tests.gateway.http.site.conftest import place


@pytest.fixture
async def ada(site):
    """The site with somebody signed in."""
    site.world.add()
    await site.enter()
    return site


async def text_of(site, path="/account/calls", status=200):
    reply = await site.get(path)
    assert reply.status_code == status
    return site.read(reply).text


def links(site, reply):
    return [link["href"] for link in site.read(reply).of("a")]


async def test_whoever_has_not_called_is_led_to_the_phone(ada):
    reply = await ada.get("/account/calls")
    assert "You have not placed any calls yet." in ada.read(reply).text
    assert "/" in links(ada, reply)
    assert not [each for each in links(ada, reply) if ".csv" in each]


async def test_a_call_is_told_in_words(ada):
    ada.books.records.kept = [record("c1")]
    text = await text_of(ada)
    assert "+442079460018 $0.1125" in text
    assert "2026-11-20 09:30 UTC · United Kingdom · Answered · 3 min 25 s · Good line" in text


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (closed(0, answered_at=None, cause=Cause.USER_BUSY), "Busy"),
        (closed(0, answered_at=None, cause=Cause.NO_ANSWER), "No answer"),
        (closed(0, answered_at=None, cause=Cause.ORIGINATOR_CANCEL), "Cancelled by you"),
        (closed(0, answered_at=None, cause=Cause.CALL_REJECTED), "Not connected"),
        (closed(3725), "Answered · 1 h 2 min 5 s"),
        (closed(5, browser=LegQuality(mos=3.7)), "Answered · 5 s · Fair line"),
        (closed(5, browser=LegQuality(mos=2.0)), "Answered · 5 s · Poor line"),
    ],
)
async def test_each_way_a_call_goes_has_its_words(ada, end, said):
    ada.books.records.kept = [record("c1", end)]
    assert f"United Kingdom · {said}" in await text_of(ada)


async def test_a_call_that_goes_on_has_no_price_yet(ada):
    ada.books.live.calls = [live("c1")]
    text = await text_of(ada)
    assert "In progress · 1 min 1 s" in text
    assert "$0.05" not in text
    text = await text_of(ada, "/account/calls/c1")
    assert "It is charged once it has ended." in text
    assert "Price of the call" not in text
    assert "Ended" not in text


async def test_pages_go_from_the_last_call_shown(ada):
    ada.books.records.kept = [record(f"c{n:02}") for n in range(PAGE_CALLS + 1)]
    reply = await ada.get("/account/calls?number=0018")
    (older,) = [each for each in links(ada, reply) if "before=" in each]
    assert older == f"/account/calls?number=0018&before=c{PAGE_CALLS - 1:02}"
    reply = await ada.get(older)
    assert f"/account/calls/c{PAGE_CALLS:02}" in links(ada, reply)
    assert "/account/calls?number=0018" in links(ada, reply)
    assert not [each for each in links(ada, reply) if "before=" in each]
    assert "There are no older calls." in await text_of(ada, "/account/calls?before=nothing")


async def test_what_the_form_says_is_what_the_store_is_asked(ada):
    path = (
        "/account/calls?from=2026-11-01&to=2026-11-02&number=00%2018&outcome=busy&ended_by=callee"
    )
    reply = await ada.get(path)
    ((limit, before, only),) = ada.books.records.asked
    assert (limit, before) == (PAGE_CALLS + 1, None)
    assert only == CallFilter(
        since=datetime(2026, 11, 1, tzinfo=UTC),
        until=datetime(2026, 11, 3, tzinfo=UTC),
        digits="0018",
        answered=False,
        causes=frozenset({Cause.USER_BUSY}),
        ended_by="callee",
    )
    form = ada.read(reply)
    assert "No call matches." in form.text
    assert (form.input("from")["value"], form.input("number")["value"]) == ("2026-11-01", "00 18")
    assert {each["value"] for each in form.of("option") if "selected" in each} == {"busy", "callee"}


async def test_what_is_wrong_with_the_form_stands_beside_its_field(ada):
    reply = await ada.get("/account/calls?from=yesterday&number=%2B442079460018")
    assert reply.status_code == 422
    form = ada.read(reply)
    assert "Enter a date, such as 2026-11-27." in form.text
    assert "part of the number, not all of it" in form.text
    assert form.input("number")["aria-describedby"] == "number-help number-error"
    reply = await ada.get("/account/calls?outcome=x&ended_by=nobody")
    assert reply.status_code == 422
    described = [each["aria-describedby"] for each in ada.read(reply).of("select")]
    assert described == ["outcome-error", "ended_by-error"]
    # Nor is it sent by the link below.
    reply = await ada.get("/account/calls.csv?from=yesterday")
    assert reply.status_code == 422


async def test_one_call_shows_what_it_cost_and_what_came_back(ada):
    ada.books.records.kept = [record("c1", closed(cause=Cause.NORMAL_CLEARING))]
    ada.books.statements.of_calls["c1"] = [
        CallLine(AT, "charge", "", 112_500, "USD"),
        CallLine(AT, "call-refund", "No sound came from the phone.", 112_500, "USD"),
        CallLine(AT, "call-refund", "Because you asked.", 1_000_000, "USD"),
    ]
    text = await text_of(ada, "/account/calls/c1")
    assert "Answered. One side hung up." in text
    assert "Answered 2026-11-20 09:30:09 UTC Ended 2026-11-20 09:33:34 UTC · You" in text
    assert "$0.03 a minute · $0.01 for the connection" in text
    assert (
        "205 s at $0.03 a minute $0.1025 For the connection $0.01 Price of the call $0.1125" in text
    )
    assert "Call c1. Print this page for a receipt." in text
    assert "Charged $0.1125" in text
    assert "Refunded $0.1125 2026-11-20 09:30 UTC · No sound came from the phone." in text
    assert "UTC · Because you asked." in text


async def test_why_a_call_was_refunded_is_told_in_the_readers_language(site):
    site.world.add()
    site.world.change(language="de")
    await site.enter()
    site.books.records.kept = [record("c1")]
    why = "No sound came from the phone."
    site.books.statements.of_calls["c1"] = [CallLine(AT, "call-refund", why, 9, "USD")]
    assert "Vom Telefon kam kein Ton." in await text_of(site, "/account/calls/c1")


async def test_a_call_without_a_rate_that_can_be_read_is_shown_without(ada):
    ada.books.records.kept = [record("c1", closed(cause=999), rate="none", destination="")]
    text = await text_of(ada, "/account/calls/c1")
    assert "Unknown number" in text
    assert "a minute" not in text
    assert "This call was free." in text


@pytest.mark.parametrize("call_id", ["nothing", "c2", "%00"])
async def test_no_call_of_somebody_else_is_shown(ada, call_id):
    ada.books.records.kept = [record("c2", account_id="bob")]
    assert "no such call" in await text_of(ada, f"/account/calls/{call_id}", status=404)


async def test_a_cursor_that_is_none_is_refused(ada):
    await text_of(ada, "/account/calls?before=%00", status=400)


async def test_who_is_not_signed_in_comes_back_to_the_list(site):
    reply = await site.get("/account/calls/c1")
    assert place(reply) == "/sign-in?next=%2Faccount%2Fcalls"


async def test_all_calls_are_downloaded_piece_by_piece(ada):
    ada.books.records.kept = [record(f"c{n}") for n in range(2 * PIECE_CALLS)]
    reply = await ada.get("/account/calls.csv?from=2026-11-01")
    assert reply.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert reply.headers["content-disposition"] == (
        'attachment; filename="calls_2026-11-01_2026-11-27.csv"'
    )
    assert reply.headers["cache-control"] == "no-store"
    head, *rows = csv.reader(io.StringIO(reply.text, newline=""))
    assert tuple(head) == COLUMNS
    assert [row[11] for row in rows] == [f"c{n}" for n in range(2 * PIECE_CALLS)]
    assert dict(zip(COLUMNS, rows[0], strict=True)) == {
        "started_at": "2026-11-20T09:30:00Z",
        "number": "'+442079460018",
        "country": "GB",
        "outcome": "answered",
        "ended_by": "caller",
        "answered_at": "2026-11-20T09:30:09Z",
        "ended_at": "2026-11-20T09:33:34Z",
        "seconds": "205",
        "cost": "0.112500",
        "currency": "USD",
        "cause": "16",
        "call_id": "c0",
        # Nothing was measured of it.
        **{figure.name: "" for figure in shown_in(Shown.CSV)},
    }
    assert {limit for limit, _, _ in ada.books.records.asked} == {PIECE_CALLS}


async def test_a_store_that_is_away_is_a_page_and_no_half_a_file(ada):
    ada.books.records.is_away = True
    reply = await ada.get("/account/calls.csv")
    assert reply.status_code == 503
    assert reply.headers["content-type"].startswith("text/html")


async def test_downloads_are_bounded(ada):
    pages = ada.call_pages
    with pages.downloads.one("ada"):
        reply = await ada.get("/account/calls.csv")
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "10")
    assert (await ada.get("/account/calls.csv")).status_code == 200
    with contextlib.ExitStack() as others:
        for n in range(DOWNLOADS_MAX):
            others.enter_context(pages.downloads.one(f"other {n}"))
        assert (await ada.get("/account/calls.csv")).status_code == 429


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_cause_has_words(language):
    assert {f"cause.{cause.name.lower()}" for cause in Cause} <= WORDS[language].keys()
