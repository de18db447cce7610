"""`caller rates sync-high-risk` on the simulated carrier: the list is taken over whole, or not."""

import asyncio
import contextlib
import threading

import pytest
from typer.testing import CliRunner

from gateway.calls.closed_destinations import ClosedDestinations
from gateway.cli import high_risk
from gateway.cli import rates as cli_rates
from gateway.roles.storage import migrated_database
from gateway.settings_variables import from_mapping
from gateway.stores.high_risk import SqlHighRiskLists
from simulators.carrier import tariff
from simulators.carrier.service import SimulatorService
from simulators.carrier.settings import SimulatorSettings

SID, TOKEN = "AC" + "0" * 32, "secret"
LISTED = {prefix[1:] for country in tariff.COUNTRIES for prefix in country.special}
RIGA, LONDON = "+37181123456", "+448450123456"


@contextlib.contextmanager
def simulator():
    """Run a simulated carrier in a thread of its own; yields its URL."""
    loop = asyncio.new_event_loop()
    service = SimulatorService(SimulatorSettings(account_sid=SID, auth_token=TOKEN))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    try:
        do(service.start())
        yield service.url
    finally:
        do(service.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def carrier():
    with simulator() as url:
        yield url


@pytest.fixture
def environ(tmp_path, carrier):
    return {
        "CALLER_DATA_DIR": str(tmp_path),
        "CALLER_RATE_DECK": "",
        "CALLER_CARRIER_URL": carrier,
        "CALLER_TWILIO_ACCOUNT_SID": SID,
        "CALLER_TWILIO_AUTH_TOKEN": TOKEN,
    }


def rates(environ, *arguments, answer=None):
    done = CliRunner().invoke(
        cli_rates.app, list(arguments), obj=environ, input=answer, env={"COLUMNS": "200"}
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def sync(environ, *arguments, answer=None):
    return rates(environ, "sync-high-risk", *arguments, answer=answer)


def ask_lists(environ, work):
    async def run():
        async with migrated_database(from_mapping(environ)) as engine:
            return await work(SqlHighRiskLists(engine))

    return asyncio.run(run())


def in_force(environ):
    return ask_lists(environ, lambda lists: lists.newest())


def test_the_carriers_prefixes_are_closed_on_every_node(environ):
    async def closes(lists):
        nodes = [ClosedDestinations(lists, ()) for _ in range(2)]
        for node in nodes:
            await node.load()
        return [[node.closed.closes(n[1:]) for n in (RIGA, LONDON)] for node in nodes]

    assert ask_lists(environ, closes) == [[False, False]] * 2
    code, said = sync(environ, "--yes")
    assert (code, f"{len(LISTED)} prefixes, compared" in said) == (0, True), said
    assert "Version 1 is in force; nodes follow within seconds." in said
    assert set(in_force(environ).prefixes) == LISTED
    assert ask_lists(environ, closes) == [[True, True]] * 2


def test_it_is_shown_and_asked_for_first(environ):
    assert sync(environ, "--dry-run")[0] == 0
    code, said = sync(environ, answer="n\n")
    assert (code, f"{len(LISTED)} closed: +1" in said) == (1, True), said
    assert in_force(environ) is None
    assert sync(environ, answer="y\n")[0] == 0
    assert in_force(environ).version == 1


def test_a_change_is_named(environ):
    other = dict.fromkeys(LISTED - {"37181"} | {"9", "8"}, "LV")
    ask_lists(environ, lambda lists: lists.replace(other))
    code, said = sync(environ, "--yes")
    assert (code, "1 closed: +37181" in said, "2 open again: +8, +9" in said) == (0, True, True)
    assert "Nothing changes." in sync(environ, "--yes")[1]
    assert in_force(environ).version == 2


def test_what_a_shorter_prefix_still_closes_is_not_said_to_be_open(environ):
    ask_lists(environ, lambda lists: lists.replace(dict.fromkeys(LISTED | {"371811"}, "LV")))
    code, said = sync(environ, "--yes")
    assert (code, "open again" in said) == (0, False)
    assert "1 dropped, and closed by a shorter prefix: +371811" in said


def test_a_quote_knows_the_list(environ):
    mobile = "+37120123456"
    ask_lists(environ, lambda lists: lists.replace({"37120": "LV"}))
    code, said = rates(environ, "quote", mobile)
    assert (code, "often used for fraud" in said) == (2, True)
    assert (
        "often used" not in rates(environ | {"CALLER_OPEN_HIGH_RISK": "37120"}, "quote", mobile)[1]
    )


@pytest.mark.parametrize("broken_at", ["the countries", "a country in the middle"])
def test_what_cannot_be_read_whole_leaves_the_list_in_force(environ, monkeypatch, broken_at):
    assert sync(environ, "--yes")[0] == 0
    broken = tariff.Country("FR", "", "", "+33", tariff.MINUTE_ELSEWHERE_USD, special=("nonsense",))
    shorter = () if broken_at == "the countries" else (*tariff.COUNTRIES[:3], broken)
    monkeypatch.setattr(tariff, "COUNTRIES", shorter)
    monkeypatch.setitem(tariff.BY_ISO, "FR", broken)
    code, said = sync(environ, "--yes")
    assert (code, "list of high-risk prefixes could not be understood" in said) == (3, True), said
    assert set(in_force(environ).prefixes) == LISTED


@pytest.mark.parametrize(("bound", "countries"), [(5, None), (20_000, ("IN", "MX"))])
def test_a_list_that_is_too_long_or_empty_is_refused(environ, monkeypatch, bound, countries):
    assert sync(environ, "--yes")[0] == 0
    monkeypatch.setattr(high_risk, "PREFIXES_MAX", bound)
    if countries:
        monkeypatch.setattr(tariff, "COUNTRIES", [tariff.BY_ISO[iso] for iso in countries])
    code, said = sync(environ, "--yes")
    assert (code, "the current list stays in force" in said) == (3, True)
    assert set(in_force(environ).prefixes) == LISTED


def test_wrong_credentials_change_nothing(environ):
    assert sync(environ, "--yes")[0] == 0
    code, said = sync(environ | {"CALLER_TWILIO_AUTH_TOKEN": "wrong"}, "--yes")
    assert (code, "refused to show" in said) == (3, True)
    code, said = sync(environ | {"CALLER_TWILIO_AUTH_TOKEN": ""}, "--yes")
    assert (code, "CALLER_TWILIO_AUTH_TOKEN are missing" in said) == (2, True)
    assert set(in_force(environ).prefixes) == LISTED


def test_toll_fraud_that_is_open_at_the_carrier_is_warned_of(environ, monkeypatch):
    assert "Twilio's console" not in sync(environ, "--dry-run")[1]
    opened = tariff.Country("BR", "", "", "+55", tariff.MINUTE_ELSEWHERE_USD, high_risk=True)
    monkeypatch.setattr(tariff, "COUNTRIES", (*tariff.COUNTRIES, opened))
    said = sync(environ, "--dry-run")[1]
    assert "may be called in 1 countries (BR). Close them in Twilio's console" in said
