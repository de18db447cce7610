"""Commands with another carrier than Twilio: they use its name, and say what it lacks."""

import asyncio
import os
import re
import subprocess
import sys

import pytest

from billing.rate_deck import COLUMNS
from gateway.roles.process import read_settings
from tests.own_tests import ROOT
from tests.terminal import Terminal
from tests.valkey import free_port

MODULE = "tests.calls.loopback"
DECK = ",".join(COLUMNS) + "\n44,United Kingdom,GB,0.02,0,60,60\n"


@pytest.fixture
def environ(tmp_path):
    return {
        "CALLER_CARRIER": "loopback",
        "CALLER_FLEET_SECRET": "long and random, as such keys are",
        "CALLER_DATA_DIR": str(tmp_path / "data"),
        "CALLER_PORT": str(free_port()),
        "COLUMNS": "400",
    }


def caller(environ, *arguments):
    """Run a command; return its exit code, and what it printed on one line."""
    plain = {name: v for name, v in os.environ.items() if not name.startswith("CALLER_")}
    done = subprocess.run(
        [sys.executable, "-m", MODULE, *arguments],
        cwd=ROOT,
        env={**plain, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, " ".join(done.stdout.split())


def test_check_makes_the_checks_of_that_carrier_and_names_no_other(environ):
    code, said = caller(environ, "check")
    assert code == 0, said
    assert f"carrier │ Plays back on port {environ['CALLER_PORT']}." in said
    assert "Loopback publishes no list of its own." in said
    assert "sync-high-risk" not in said
    assert "Twilio" not in said
    code, said = caller({**environ, "CALLER_FLEET_SECRET": ""}, "check")
    assert (code, "CALLER_FLEET_SECRET is missing" in said) == (2, True), said


def test_lists_that_it_does_not_publish_are_said_to_be_missing_with_what_to_do(environ):
    code, said = caller(environ, "rates", "sync-high-risk", "--yes")
    assert code == 2
    assert "Loopback publishes no list of high-risk prefixes." in said
    assert re.search(r"The \d+ prefixes that this version closes stay closed\.", said)
    code, said = caller(environ, "rates", "sync-prices", "--margin", "30%", "--yes")
    assert code == 2
    assert "Loopback publishes no price list." in said
    assert "`caller rates import`" in said


def test_a_deck_of_ones_own_is_imported_and_priced(environ, tmp_path):
    (tmp_path / "deck.csv").write_text(DECK)
    code, said = caller(environ, "rates", "import", str(tmp_path / "deck.csv"), "--yes")
    assert (code, "Version 1 is in force" in said) == (0, True), said
    code, said = caller(environ, "rates", "quote", "+442079460018")
    assert (code, "$0.02/min 60/60" in said) == (0, True), said


def test_a_carrier_that_is_not_known_stops_each_command_with_those_that_are(environ):
    for command in (("check",), ("rates", "sync-prices", "--margin", "1"), ("serve",)):
        code, said = caller({**environ, "CALLER_CARRIER": "lopback"}, *command)
        assert (code, "There is: twilio, loopback." in said) == (2, True), (command, said)


async def test_setup_asks_what_that_carrier_needs_and_nothing_of_twilio(tmp_path, environ):
    del environ["CALLER_FLEET_SECRET"]
    talk = [
        ("Text that signs its streams", "hunter2" * 5),
        ("carrier: Plays back on port", None),
        ("Folder for what", ""),
        ("URL of PostgreSQL", ""),
        ("URL of Redis", ""),
        ("Public origin,", f"http://127.0.0.1:{environ['CALLER_PORT']}"),
        ("TCP port here", ""),
        ("caller.env? [Y/n]", ""),
    ]

    def converse(terminal):
        for prompt, answer in talk:
            terminal.expect(prompt)
            if answer is not None:
                terminal.type(answer)
        return terminal.end()

    with Terminal(["setup"], environ, tmp_path, MODULE) as terminal:
        assert await asyncio.to_thread(converse, terminal) == 0, terminal.shown
    assert "Twilio" not in terminal.shown
    assert "hunter2" not in terminal.shown
    read = read_settings({"CALLER_SETTINGS": str(tmp_path / "caller.env")})
    assert read.fleet_secret.reveal() == "hunter2" * 5
