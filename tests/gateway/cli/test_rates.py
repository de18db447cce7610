"""`caller rates`: what an operator sees before prices change, and that nothing changes before."""

import asyncio
import contextlib
import re
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from typer.testing import CliRunner

from billing.rate_deck import COLUMNS, RateDeck
from billing.stores.rate_decks import SqlRateDeckStore
from database.engine import create_engine
from gateway.call.number import destination
from gateway.cli import rates
from gateway.errors import RequestRefusedError

HEADER = ",".join(COLUMNS) + "\n"
UK = "44,United Kingdom,GB,{},0,{},{}\n"
SID = "AC" + "0" * 32


class Terminal:
    """`caller rates …` on a data folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.environ = {"CALLER_DATA_DIR": str(folder), "CALLER_RATE_DECK": ""}

    def run(self, *arguments, answer=None):
        done = CliRunner().invoke(
            rates.app, list(arguments), obj=self.environ, input=answer, env={"COLUMNS": "200"}
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, " ".join(done.output.split())

    def file(self, text, name="deck.csv"):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def imports(self, price, *arguments, first=60, following=60):
        deck = self.file(HEADER + UK.format(price, first, following))
        return self.run("import", deck, "--yes", *arguments)

    def versions(self):
        """Return (version, activates_at, is_withdrawn) of all decks, oldest first."""

        async def read():
            engine = create_engine(f"sqlite:///{self.folder / 'caller.db'}")
            try:
                return [
                    (deck.version, deck.activates_at, deck.withdrawn_at is not None)
                    for deck in reversed(await SqlRateDeckStore(engine).list(99))
                ]
            finally:
                await engine.dispose()

        return asyncio.run(read())


@pytest.fixture
def terminal(tmp_path):
    return Terminal(tmp_path)


def test_an_import_shows_what_changes_and_is_in_force_at_once(terminal):
    code, said = terminal.imports("0.02")
    assert code == 0, said
    assert "compared with the bundled deck of EXAMPLE prices" in said
    assert "1.582" in said
    assert "Version 1 is in force" in said
    code, said = terminal.imports("0.03")
    assert "1 prefixes, compared with version 1: 1 dearer" in said
    assert "$0.02/min 60/60 │ $0.03/min 60/60" in said
    code, said = terminal.run("list")
    assert re.search(r"2 │ in force │ .* │ 1 │ deck.csv", said)
    assert re.search(r"1 │ replaced │", said)


def test_nothing_is_imported_without_a_yes(terminal):
    deck = terminal.file(HEADER + UK.format("0.02", 60, 60))
    for answer in ("n\n", ""):
        code, said = terminal.run("import", deck, answer=answer)
        assert code == 1
        assert "Import this deck?" in said
    assert terminal.run("import", deck, "--dry-run")[0] == 0
    assert terminal.versions() == []
    assert terminal.run("import", deck, answer="y\n")[0] == 0
    assert [version for version, _, _ in terminal.versions()] == [1]


@pytest.mark.parametrize(
    ("row", "where"),
    [
        (UK.format("-1", 1, 1), "line 3, column rate_per_minute"),
        (UK.format("1", 0, 1), "line 3, column first"),
        ("49,Germany,DE,0.01,0,1,1\n", "line 3, column prefix: prefix given twice"),
        ("44\n", "line 3: wrong number of cells"),
    ],
)
def test_a_fault_is_told_with_its_place_and_nothing_is_imported(terminal, row, where):
    deck = terminal.file(f"{HEADER}49,Germany,DE,0.01,0,1,1\n{row}")
    code, said = terminal.run("import", deck, "--yes")
    assert code == 2
    assert where in said
    costs = terminal.file("prefix,price_per_minute\n44,x\n", "costs.csv")
    code, said = terminal.imports("0.02", "--costs", costs)
    assert (code, "column price_per_minute" in said) == (2, True)
    assert not (terminal.folder / "caller.db").exists() or terminal.versions() == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_is_none_is_told(terminal, content):
    path = terminal.folder / "deck.csv"
    if content is not None:
        path.write_bytes(content)
    code, said = terminal.run("import", str(path))
    assert (code, "cannot be read" in said) == (2, True)


def test_a_prefix_sold_below_cost_is_warned_of(terminal):
    costs = terminal.file("prefix,price_per_minute\n44,0.01\n447,0.05\n", "costs.csv")
    code, said = terminal.imports("0.012", "--costs", costs, "--dry-run", first=1, following=1)
    assert code == 1
    assert "Warning: prefixes sold below what they cost: 2" in said
    assert re.search(r"447 │ United Kingdom │ -8\d\.\d %", said)
    code, said = terminal.imports("0.06", "--costs", costs, "--dry-run")
    assert (code, "Warning" in said) == (0, False)
    assert "1 min │ 1.582 │ +20.0 % │ none" in said


def test_a_prefix_whose_shortest_calls_lose_is_warned_of(terminal):
    costs = terminal.file("prefix,price_per_minute\n44,0.01\n", "costs.csv")
    code, said = terminal.imports("0.03", "--costs", costs, "--dry-run", first=1, following=1)
    assert (code, "sold below the minute that the carrier bills: 1 (44)." in said) == (1, True)


def test_a_deck_that_names_the_carriers_price_must_cover_its_minute(terminal):
    header = HEADER.strip() + ",carrier_per_minute\n"
    deck = terminal.file(header + "44,UK,GB,0.012,0,1,1,0.01\n")
    code, said = terminal.run("import", deck, "--yes")
    assert code == 2
    assert "line 2, column carrier_per_minute: the shortest call is sold below it" in said
    assert terminal.run("list")[1].endswith("EXAMPLE prices.")
    deck = terminal.file(header + "44,UK,GB,0.012,0,60,60,0.01\n")
    code, said = terminal.run("import", deck, "--yes")
    assert (code, "1 min │ 1.582 │ +20.0 % │ none" in said) == (0, True)


def test_a_deck_can_wait_for_its_time_and_be_withdrawn(terminal):
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    assert terminal.imports("0.02")[0] == 0
    code, said = terminal.imports("0.03", "--activate", at.isoformat())
    assert (code, f"at {at:%Y-%m-%d %H:%M}Z" in said) == (0, True)
    assert terminal.versions()[1][1] == at
    assert "2 │ scheduled" in terminal.run("list")[1]
    assert "$0.02/min" in terminal.run("quote", "+442079460018")[1]
    code, said = terminal.run("rollback", "--version", "2", "--yes")
    assert (code, "Version 2 is withdrawn" in said) == (0, True)
    assert "2 │ withdrawn" in terminal.run("list")[1]


@pytest.mark.parametrize("time", ["soon", "2026-12-01T00:00", "2020-01-01T00:00Z", ""])
def test_an_activation_that_is_none_is_told(terminal, time):
    code, said = terminal.imports("0.02", "--activate", time)
    assert (code, "The activation" in said) == (2, True)


def test_rolling_back_shows_what_comes_back_and_asks(terminal):
    terminal.imports("0.02")
    terminal.imports("0.03")
    code, said = terminal.run("rollback", answer="n\n")
    assert code == 1
    assert "In force again would be version 1: 1 cheaper" in said
    assert [gone for _, _, gone in terminal.versions()] == [False, False]
    assert terminal.run("rollback", "--yes")[0] == 0
    code, said = terminal.run("rollback", "--yes")
    assert "would be the bundled deck of EXAMPLE prices" in said
    assert [gone for _, _, gone in terminal.versions()] == [True, True]
    assert "In force: the bundled deck" in terminal.run("list")[1]
    for arguments in ([], ["--version", "1"], ["--version", "9"]):
        code, said = terminal.run("rollback", "--yes", *arguments)
        assert (code, "no such deck" in said) == (2, True)


def test_a_deck_that_cannot_be_read_any_more_can_be_replaced_and_withdrawn(terminal):
    terminal.imports("0.02")
    with contextlib.closing(sqlite3.connect(terminal.folder / "caller.db")) as book, book:
        book.execute("UPDATE rate_decks SET content = 'no deck'")
    code, said = terminal.imports("0.03")
    assert code == 0
    assert "can no longer be read" in said
    assert "1 added" in said
    assert terminal.run("rollback", "--yes")[0] == 0
    assert terminal.run("rollback", "--yes")[0] == 0


def test_a_deck_is_shown_by_prefix_and_as_it_was_imported(terminal):
    text = HEADER + UK.format("0.02", 60, 60) + "447,,,deny,,,\n49,Germany,DE,0.01,0,1,1\n"
    terminal.run("import", terminal.file(text), "--yes")
    code, said = terminal.run("show", "--prefix", "+44")
    assert code == 0
    assert "version 1: 2 prefixes" in said
    assert "44 │ United Kingdom │ GB │ $0.02/min 60/60" in said
    assert re.search(r"447 │ +│ +│ denied", said)
    assert "and 2 more" in terminal.run("show", "--limit", "1")[1]
    assert terminal.run("show", "--csv", "--version", "1")[1] == " ".join(text.split())
    assert terminal.run("show", "--version", "2")[0] == 2


def test_a_quote_shows_prices_affordable_time_and_margin(terminal):
    terminal.imports("0.02")
    costs = terminal.file("prefix,price_per_minute\n44,0.01\n", "costs.csv")
    code, said = terminal.run(
        "quote",
        "+44 20 7946 0018",
        "--credit",
        "0.05",
        "--costs",
        costs,
        "--minutes",
        "2",
        "--minutes",
        "5",
    )
    assert code == 0
    for words in ("+44 United Kingdom", "2 min │ $0.04", "5 min │ $0.10"):
        assert words in said
    assert "$0.05 lasts │ 2 min 0 s" in said
    assert "+100.0 %" in said
    said = terminal.run("quote", "+442079460018")[1]
    assert "10 min │ $0.20" in said
    assert "lasts" not in said


def test_a_deck_that_prices_what_must_not_be_called_opens_nothing(terminal):
    never = ("+19005551234", "+44 9012 345678", "+881612345678", "+448431234567")
    rows = "".join(f"{n.replace(' ', '')[1:]},Yes,,0.01,0,1,1\n" for n in never)
    assert (
        terminal.run("import", terminal.file(HEADER + rows + "911,No,,1,0,1,1\n"), "--yes")[0] == 0
    )
    for number in (*never, "911"):
        with pytest.raises(RequestRefusedError):
            destination(number)
        assert terminal.run("quote", number)[0] == 2
    code, said = terminal.run("quote", "+4930123456")
    assert (code, "not offered" in said) == (2, True)


# Twilio's price list.


class PriceList:
    """Twilio's Pricing API with four countries, two of which share +1; in a thread of its own."""

    def __init__(self):
        self.unit = "USD"
        self.asked = []
        self.prefixes = {
            "US": {"1": "0.0140", "1907": "0.09"},
            "JM": {"1876": "0.28", "1": "0.5"},
            "GB": {"44": "0.0158", "447": "0.0300001"},
            "DE": {"49": "0.01"},
        }

    async def countries(self, _request):
        rows = [{"country": iso, "iso_country": iso} for iso in self.prefixes]
        return web.json_response({"countries": rows, "meta": {"next_page_url": None}})

    async def country(self, request):
        iso = request.match_info["iso"]
        self.asked.append(iso)
        prices = [
            {
                "destination_prefixes": [prefix],
                "current_price": price,
                "friendly_name": f"{iso}\n [bold]",
            }
            for prefix, price in self.prefixes[iso].items()
        ]
        return web.json_response(
            {"iso_country": iso, "price_unit": self.unit, "outbound_prefix_prices": prices}
        )

    @contextlib.contextmanager
    def serving(self):
        loop = asyncio.new_event_loop()
        app = web.Application()
        app.router.add_get("/v2/Voice/Countries", self.countries)
        app.router.add_get("/v2/Voice/Countries/{iso}", self.country)
        runner = web.AppRunner(app)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def do(work):
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        async def start():
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()

        try:
            do(start())
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            do(runner.cleanup())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@pytest.fixture
def price_list(terminal):
    price_list = PriceList()
    with price_list.serving() as url:
        terminal.environ |= {
            "CALLER_CARRIER_URL": url,
            "CALLER_TWILIO_ACCOUNT_SID": SID,
            "CALLER_TWILIO_AUTH_TOKEN": "secret",
        }
        yield price_list


def test_twilios_prices_become_a_deck_with_a_margin(terminal, price_list):
    deck, costs = terminal.folder / "made.csv", terminal.folder / "costs.csv"
    code, said = terminal.run(
        "sync-twilio",
        "--margin",
        "30%",
        "--increment",
        "60/6",
        "--out",
        str(deck),
        "--costs-out",
        str(costs),
    )
    assert code == 0, said
    made = RateDeck.from_csv(deck.read_text())
    assert {e.prefix: e.rate.per_minute_micros for e in made} == {
        # Of the two countries that give a price for all of +1, the dearer one.
        "1": 650_000,
        "1907": 117_000,
        "1876": 364_000,
        "44": 20_540,
        "447": 39_002,
        "49": 13_000,
    }
    assert made.match("44").rate.next_s == 6
    assert made.match("44").description == "GB [bold]"
    assert {e.prefix for e in RateDeck.from_costs_csv(costs.read_text())} == {
        "1",
        "1907",
        "1876",
        "44",
        "447",
        "49",
    }
    assert not (terminal.folder / "caller.db").exists()


def test_countries_that_share_a_code_with_chosen_ones_are_denied(terminal, price_list):
    code, said = terminal.run(
        "sync-twilio", "--margin", "0", "--countries", "us, gb", "--yes", "--activate", "now"
    )
    assert code == 0, said
    assert set(price_list.asked) == {"US", "JM", "GB"}
    assert "1 min │ 1.582 │ +0.0 % │ none" in said
    code, said = terminal.run("show")
    assert re.search(r"1876 │ +│ +│ denied", said)
    assert "$0.0140/min 60/60" in said
    assert terminal.run("quote", "+14155552671")[0] == 0
    assert terminal.run("quote", "+18765551234")[0] == 2
    assert "Twilio + 0 %" in terminal.run("list")[1]


def test_by_the_second_without_margin_is_warned_of(terminal, price_list):
    code, said = terminal.run(
        "sync-twilio", "--margin", "0%", "--increment", "1/1", "--countries", "DE", "--dry-run"
    )
    assert (code, "Warning: prefixes sold below what they cost: 1" in said) == (1, True)
    assert terminal.versions() == []


def test_twilios_prices_by_the_second_have_a_minimum_that_covers_its_minute(terminal, price_list):
    deck = terminal.folder / "made.csv"
    code, said = terminal.run(
        "sync-twilio",
        "--margin",
        "30%",
        "--increment",
        "1/1",
        "--countries",
        "DE",
        "--stream-price",
        "0.004",
        "--out",
        str(deck),
    )
    assert code == 0, said
    (entry,) = RateDeck.from_csv(deck.read_text())
    assert (entry.prefix, entry.carrier_micros) == ("49", 14_000)
    assert entry.rate.cost(1) == 14_000
    assert entry.rate.per_minute_micros == 18_200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--margin", "much"], "The margin is not a percentage."),
        (["--margin", "-5%"], "The margin is not a percentage."),
        (["--margin", "5", "--increment", "60"], "The increment is not valid."),
        (["--margin", "5", "--increment", "0/1"], "value out of bounds"),
        (["--margin", "5", "--countries", "GB,XX"], "no prices for: XX"),
    ],
)
def test_what_was_mistyped_is_told(terminal, price_list, arguments, words):
    code, said = terminal.run("sync-twilio", "--yes", *arguments)
    assert (code, words in said) == (2, True), said


def test_prices_in_another_currency_are_refused(terminal, price_list):
    price_list.unit = "eur"
    code, said = terminal.run("sync-twilio", "--margin", "5", "--yes")
    assert (code, "another currency" in said) == (2, True)


def test_twilios_prices_need_its_credentials(terminal):
    code, said = terminal.run("sync-twilio", "--margin", "5")
    assert (code, "CALLER_TWILIO_ACCOUNT_SID" in said) == (2, True)


def test_a_wrong_database_is_told(terminal):
    terminal.environ["CALLER_DATABASE_URL"] = "sqlite://"
    code, said = terminal.run("list")
    assert (code, "CALLER_DATABASE_URL" in said) == (2, True)
