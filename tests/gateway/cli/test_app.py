"""The command line: what it does, and how it says what went wrong."""

import json
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from billing.errors import RateDeckError
from database.errors import StoreUnavailableError
from gateway import settings_table
from gateway.cause import Cause
from gateway.cli import app
from gateway.cli.command import run
from gateway.cli.process import main
from gateway.errors import (
    EXIT_CRASHED,
    EXIT_SETTINGS,
    EXIT_UNAVAILABLE,
    CarrierError,
    SettingsError,
)
from gateway.http.bearer import key_hash
from tests.valkey import free_port


def caller(*arguments, **environ):
    """Run a command with exactly these settings."""
    given = {f"CALLER_{name}": str(value) for name, value in environ.items()}
    return CliRunner().invoke(app.app, list(arguments), obj=given)


@dataclass
class Accounts:
    """Runs `caller accounts …` on these stores."""

    folder: Path
    valkey_url: str

    @property
    def database(self):
        return self.folder / "caller.db"

    def __call__(self, *arguments):
        return caller("accounts", *arguments, DATA_DIR=self.folder, REDIS_URL=self.valkey_url)


@pytest.fixture
def account(tmp_path, valkey_url):
    """Return a way to run `caller accounts …` on stores of the test's own."""

    return Accounts(tmp_path, valkey_url)


def test_an_argument_that_no_store_can_look_for_is_refused(capsys):
    assert app.main(["accounts", "show", "a\udcff"], {}) == EXIT_SETTINGS
    said = capsys.readouterr()
    assert "An argument is not UTF-8." in said.out + said.err


def test_what_no_command_expected_is_logged_without_what_was_at_hand(monkeypatch, capsys):
    def fails(obj, **_):
        secret = obj["CALLER_TWILIO_AUTH_TOKEN"]
        raise ZeroDivisionError(len(secret))

    monkeypatch.setenv("CALLER_TWILIO_AUTH_TOKEN", "hunter2-hunter2")
    monkeypatch.setattr("gateway.cli.app._built", lambda _: fails)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_CRASHED
    written = capsys.readouterr().err
    assert "command failed" in written
    assert "ZeroDivisionError: 15" in written
    assert "hunter2" not in written


def test_help_names_every_command():
    done = caller("--help")
    assert done.exit_code == 0
    for command in (
        "serve",
        "demo",
        "check",
        "drain",
        "simulate",
        "simulate-payments",
        "simulate-mail",
        "setup",
        "settings",
        "accounts",
        "fraud",
        "rates",
        "ledger",
        "payments",
    ):
        assert f" {command} " in done.output


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_list_of_commands_says_of_each_what_it_says_itself(name):
    group: Any = get_command(app.app)
    context = typer.Context(group, info_name="caller")
    listed, begun = (
        group.get_command(context, name),
        group.resolve_command(context, [name, "--help"]),
    )
    run_by_it = begun[1]
    assert begun == (name, run_by_it, ["--help"])
    for each in (listed, run_by_it):
        assert (each.name, each.hidden, each.deprecated) == (name, False, False)
        assert not each.rich_help_panel
    said = cleandoc(run_by_it.short_help or run_by_it.help).split("\n\n")[0]
    assert listed.help == said.replace("\n", " ")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ([""], list(app.COMMANDS)),
        (["sim"], ["simulate", "simulate-payments", "simulate-mail"]),
        (["ledger", ""], ["show", "audit", "rebuild"]),
        (["drain", "--"], ["--help"]),
    ],
)
def test_a_shell_completes_commands_and_their_own(monkeypatch, capsys, typed, offered):
    monkeypatch.setenv("_CALLER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["caller", *typed]))
    monkeypatch.setenv("COMP_CWORD", str(len(typed)))
    with pytest.raises(SystemExit) as ended:
        app.main([], {})
    assert not ended.value.code
    assert capsys.readouterr().out.split() == offered


@pytest.mark.parametrize("asked", [["srve"], ["srve", "--help"]])
def test_a_command_that_is_none_is_said_to_be(asked):
    done = caller(*asked)
    assert done.exit_code == EXIT_SETTINGS
    assert "No such command 'srve'" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["check"],
        ["drain"],
        ["simulate"],
        ["simulate-payments"],
        ["simulate-mail"],
        ["accounts", "limit", "a"],
        ["accounts", "freeze", "a", "--reason", "r"],
        ["ledger", "audit"],
        ["accounts", "create", "a"],
        ["accounts", "credit", "a", "1", "--reference", "r"],
    ],
)
@pytest.mark.parametrize(
    ("environ", "named"),
    [({"PRT": 1}, "Did you mean CALLER_PORT?"), ({"PORT": "x"}, "CALLER_PORT must be")],
)
def test_a_wrong_setting_is_named_and_nothing_is_done(arguments, environ, named):
    done = caller(*arguments, **environ)
    assert done.exit_code == EXIT_SETTINGS
    assert named in " ".join(done.output.split())
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingsError("CALLER_X is wrong."), 2, "CALLER_X is wrong. See docs/configuration.md"),
        (
            RateDeckError("line 7: not a price", line=7),
            2,
            "line 7: not a price Correct the rate deck",
        ),
        (StoreUnavailableError("the store is away"), 3, "the store is away Check CALLER_REDIS_URL"),
        (OSError(98, "Address already in use"), 3, "Address already in use Check CALLER_HOST"),
        (CarrierError("no answer", cause=Cause.NO_ANSWER), 3, "no answer `caller check` says"),
    ],
)
def test_a_failure_is_a_sentence_and_what_to_do(capsys, error, code, words):
    async def work():
        raise error

    with pytest.raises(typer.Exit) as caught:
        run(work())
    assert caught.value.exit_code == code
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_fault_of_ours_is_not_hidden():
    async def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(work())


def test_an_interrupt_is_no_failure():
    async def work():
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as caught:
        run(work())
    assert caught.value.exit_code == 130


def test_the_reference_of_the_settings_is_printed():
    done = caller("settings")
    assert (done.exit_code, done.output) == (0, settings_table.markdown())


def test_the_simulated_carrier_needs_an_account():
    done = caller("simulate")
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_TWILIO_ACCOUNT_SID" in done.output


def test_check_reports_and_fails_where_something_is_broken(tmp_path):
    done = caller("check", DATA_DIR=tmp_path)
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_TWILIO_ACCOUNT_SID is missing" in " ".join(done.output.split())


def test_an_account_is_created_with_a_key_and_credit(account):
    done = account("create", "acme", "--credit", "12.50")
    key = done.output.strip()
    assert done.exit_code == 0, done.output
    with closing(sqlite3.connect(account.database)) as book:
        kept = book.execute("SELECT account_id, key_hash FROM api_keys").fetchall()
    assert kept == [("acme", key_hash(key))]
    assert "Balance: $13.50" in account("credit", "acme", "1", "--reference", "r1").output


def test_an_account_is_created_once(account):
    account("create", "acme")
    done = account("create", "acme")
    assert done.exit_code == EXIT_SETTINGS
    assert "An account with this id already exists." in done.output


def test_a_credit_is_booked_once_per_reference_and_can_be_taken_back(account):
    account("create", "acme")
    for state in ("Credit granted. Balance: $5.00", "Already granted. Balance: $5.00"):
        assert state in account("credit", "acme", "5", "--reference", "r1").output
    done = account("credit", "--reference", "r2", "--", "acme", "-2")
    assert "Balance: $3.00" in done.output
    # As the help says, without a mark before it.
    done = account("credit", "acme", "-1.25", "--reference", "r3")
    assert "Credit granted. Balance: $1.75" in done.output
    assert account("credit", "acme", "1", "--referense", "r4").exit_code == EXIT_SETTINGS


@pytest.mark.parametrize("amount", ["ten", "1,50", "", "1e3", "9" * 30])
def test_an_amount_that_is_none_changes_nothing(account, amount):
    done = account("create", "acme", "--credit", amount)
    assert done.exit_code == EXIT_SETTINGS
    assert not account.database.exists()


def test_a_store_that_is_away_is_a_sentence(tmp_path):
    url = f"redis://127.0.0.1:{free_port()}/0"
    arguments = ("accounts", "create", "acme", "--credit", "1")
    done = caller(*arguments, DATA_DIR=tmp_path, REDIS_URL=url)
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "Check CALLER_REDIS_URL" in done.output
    assert "Traceback" not in done.output


def test_a_credit_for_nobody_is_a_sentence(account):
    account("create", "acme")
    done = account("credit", "nobody", "5", "--reference", "r1")
    assert done.exit_code == EXIT_SETTINGS
    assert "no account" in done.output.lower()
    assert "Traceback" not in done.output


def test_the_program_reads_its_own_environment(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["caller", "serve"])
    monkeypatch.setenv("CALLER_NONSENSE", "1")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == EXIT_SETTINGS
    assert "CALLER_NONSENSE" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["serve", "--prt", "1"], ["srve"], ["drain", "more"]])
def test_a_wrong_option_is_a_line_of_json_too(monkeypatch, capsys, arguments):
    monkeypatch.setattr("sys.argv", ["caller", *arguments])
    monkeypatch.setenv("CALLER_LOG_FORMAT", "json")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == EXIT_SETTINGS
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert line["level"] == "error"
    assert "--help" in line["hint"]


def test_what_is_done_ends_with_nothing_wrong(monkeypatch, capsys):
    for form in ("text", "json"):
        monkeypatch.setattr("sys.argv", ["caller", "settings"])
        monkeypatch.setenv("CALLER_LOG_FORMAT", form)
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code
        assert capsys.readouterr().out == settings_table.markdown()


def test_limits_are_set_shown_and_lifted(account):
    account("create", "acme")
    done = account("limit", "acme", "--day", "20", "--call", "1.50")
    assert done.exit_code == 0
    assert done.output.split() == ["call", "$1.50", "day", "$20.00", "month", "no", "limit"]
    done = account("limit", "acme", "--day", "none")
    assert done.output.split() == ["call", "$1.50", "day", "no", "limit", "month", "no", "limit"]
    assert account("limit", "nobody", "--day", "1").exit_code == EXIT_SETTINGS
    assert account("limit", "acme", "--day", "much").exit_code == EXIT_SETTINGS


def test_an_account_is_frozen_in_the_book_and_thawed(account):
    account("create", "acme")
    with closing(sqlite3.connect(account.database)) as book:
        for command, frozen in (("freeze", 1), ("freeze", 1), ("unfreeze", 0)):
            assert account(command, "acme", "--reason", "r").exit_code == 0
            assert book.execute("SELECT frozen FROM accounts").fetchall() == [(frozen,)]
    assert "no account" in account("freeze", "nobody", "--reason", "r").output


SIMULATED = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "hush",
    "STRIPE_API_KEY": "sk_test_a",
    "STRIPE_WEBHOOK_SECRETS": "whsec_a",
    "SMTP_URL": "smtp://127.0.0.1:8101",
    "MAIL_FROM": "a@example.com",
}


@pytest.mark.parametrize("command", ["simulate", "simulate-payments", "simulate-mail"])
def test_a_simulated_service_whose_port_is_taken_ends_and_names_it(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = caller(command, "--port", str(port), **SIMULATED)
    assert done.exit_code == EXIT_UNAVAILABLE
    assert f"--port: TCP port {port} of 127.0.0.1 is in use by another process." in done.output


@pytest.mark.parametrize("option", ["--host", "--port"])
def test_a_simulated_service_refuses_an_address_that_is_none(option):
    value = {"--host": "192.0.2.1", "--port": "65536"}[option]
    done = caller("simulate-payments", option, value, **SIMULATED)
    assert done.exit_code == EXIT_SETTINGS
    assert option in done.output


def test_a_file_of_authorities_that_holds_none_is_named(tmp_path):
    done = caller("simulate", "--ca", str(tmp_path / "none.pem"), **SIMULATED)
    assert done.exit_code == EXIT_SETTINGS
    assert "--ca:" in done.output


def test_simulated_payments_need_a_key_and_a_secret():
    done = caller("simulate-payments", STRIPE_API_KEY="sk_test_a")
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_STRIPE_WEBHOOK_SECRETS" in done.output


def test_the_simulated_mail_server_names_the_setting_whose_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = SIMULATED | {"SMTP_URL": f"smtp://localhost:{port}"}
        done = caller("simulate-mail", "--port", "0", **given)
    assert done.exit_code == EXIT_UNAVAILABLE
    assert f"CALLER_SMTP_URL: TCP port {port} of 127.0.0.1 is in use" in done.output


@pytest.mark.parametrize("port", [0, 99_999])
def test_a_mail_servers_port_must_be_one(port):
    url = f"smtp://127.0.0.1:{port}"
    done = caller("simulate-mail", SMTP_URL=url, MAIL_FROM="a@b.test")
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_SMTP_URL must be a URL with a host and, if any, a port from 1 to" in done.output


@pytest.mark.parametrize(
    "url",
    [
        None,
        "smtps://127.0.0.1:465",
        "smtp://mail.example.com:25",
        "smtp://u:hush@127.0.0.1:8101",
    ],
)
def test_the_simulated_mail_server_is_on_this_machine_and_knows_no_password(url):
    done = caller("simulate-mail", **({"SMTP_URL": url, "MAIL_FROM": "a@b.test"} if url else {}))
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_SMTP_URL must be smtp://127.0.0.1 and a port" in done.output
    assert "hush" not in done.output


def test_keys_are_made_listed_and_revoked(account):
    first = account("create", "acme").output.strip()
    made = account("new-key", "acme", "--label", "shop", "--day", "2.50")
    key = made.output.strip()
    assert key.startswith("ck_")
    assert key != first
    listed = account("keys", "acme").output
    # A narrow terminal wraps between words, never in one.
    assert "first" in listed
    assert "shop" in listed
    assert "$2.50" in listed
    key_id = key_hash(key)[:16]
    assert "never" in listed
    assert account("revoke-key", "acme", key_id).exit_code == 0
    assert "revoked" in account("keys", "acme").output
    assert account("revoke-key", "acme", "nokey").exit_code == EXIT_SETTINGS
    assert "no account" in account("new-key", "nobody").output


def test_the_version_is_told():
    done = caller("--version")
    assert (done.exit_code, done.output.startswith("caller ")) == (0, True)


@pytest.mark.parametrize("command", ["accounts", "rates", "ledger", "payments"])
def test_only_the_whole_installs_completion(command):
    assert "--install-completion" in caller("--help").output
    assert "--install-completion" not in caller(command, "--help").output
