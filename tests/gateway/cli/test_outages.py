"""Commands while a store is away: each needs just what it uses, and says what became of it."""

import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accounts.audit_log import Act
from gateway.cli import command
from gateway.cli.app import app
from gateway.errors import EXIT_UNAVAILABLE
from tests.valkey import free_port


@dataclass
class Caller:
    """Runs `caller …` with these settings."""

    given: dict[str, str]
    database: Path

    def __call__(self, *arguments):
        done = CliRunner().invoke(app, list(arguments), obj=self.given)
        assert "Traceback" not in done.output
        return done.exit_code, " ".join(done.output.split())


@pytest.fixture
def caller(tmp_path, own_valkey, monkeypatch):
    """Return a way to run `caller …` on stores of the test's own; acme has credit."""
    monkeypatch.setenv("COLUMNS", "160")
    # A path that a table breaks over two lines is not found; how long it is depends on the machine.
    monkeypatch.setattr(command.out, "width", 400)
    given = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": own_valkey.url}

    run = Caller(given, tmp_path / "caller.db")
    assert run("accounts", "create", "acme", "--credit", "5")[0] == 0
    return run


def lose_redis(caller):
    caller.given["CALLER_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"


def one(caller, query):
    with closing(sqlite3.connect(caller.database)) as book:
        return book.execute(query).fetchone()


@contextmanager
def locked(database):
    """Hold the file as another process does that has it to itself."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        yield


CHANGES = {
    ("revoke-key", "{key}"): "SELECT revoked_at IS NOT NULL FROM api_keys",
    ("change-key", "{key}", "--scope", "records", "--expires", "2099-01-01"): (
        "SELECT scopes = 'records' AND expires_at IS NOT NULL FROM api_keys"
    ),
    ("limit", "--call", "3"): "SELECT call_cap_micros = 3000000 FROM accounts",
    ("freeze", "--reason", "r"): "SELECT frozen FROM accounts",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_kept_in_sql_while_redis_is_away_and_told_by_a_repetition(caller, change):
    there = caller.given["CALLER_REDIS_URL"]
    lose_redis(caller)
    command, *rest = change
    key, *_ = one(caller, "SELECT id FROM api_keys")
    arguments = ("accounts", command, "acme", *(word.format(key=key) for word in rest))
    code, said = caller(*arguments)
    assert code == EXIT_UNAVAILABLE, said
    assert "The change is saved in SQL, but Redis did not answer" in said
    assert "Repeat it until it succeeds." in said
    assert one(caller, CHANGES[change]) == (1,)
    caller.given["CALLER_REDIS_URL"] = there
    assert caller(*arguments)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("accounts", "keys", "acme"), "first key"),
        (("accounts", "limit", "acme"), "no limit"),
        (("accounts", "email", "acme", "a@example.com"), "E-mail saved."),
        (("accounts", "new-key", "acme"), "ck_"),
        (("accounts", "create", "other"), "ck_"),
        (("ledger", "show", "acme"), "$5.00"),
        (("payments", "list", "acme"), "payment"),
        (("rates", "list"), "version"),
    ],
)
def test_what_needs_no_redis_works_without(caller, arguments, said):
    lose_redis(caller)
    code, output = caller(*arguments)
    assert code == 0, output
    assert said in output


def test_a_key_that_was_made_is_shown_whatever_becomes_of_its_limit(caller):
    lose_redis(caller)
    code, said = caller("accounts", "new-key", "acme", "--day", "3")
    assert code == EXIT_UNAVAILABLE
    assert "ck_" in said
    assert one(caller, "SELECT count(*) FROM api_keys WHERE day_cap_micros = 3000000") == (1,)


@pytest.mark.parametrize(
    "arguments",
    [
        ("accounts", "keys", "acme"),
        ("accounts", "credit", "acme", "1", "--reference", "r"),
        ("ledger", "audit"),
        ("rates", "list"),
        ("check",),
    ],
)
def test_a_locked_file_is_named_within_seconds(caller, arguments):
    carrier = {"ACCOUNT_SID": "AC" + "0" * 32, "AUTH_TOKEN": "secret"}
    caller.given |= {f"CALLER_TWILIO_{name}": value for name, value in carrier.items()}
    caller.given["CALLER_CALLER_ID"] = "+15005550006"
    caller.given["CALLER_CARRIER_URL"] = f"http://127.0.0.1:{free_port()}"
    with locked(caller.database):
        before = time.monotonic()
        code, said = caller(*arguments)
        # A bound, not a figure: a wait without one takes ten minutes.
        assert time.monotonic() - before < 60
    assert code == EXIT_UNAVAILABLE, said
    assert "another process holds the database" in said
    assert "caller.db" in said


def test_a_deletion_is_kept_in_sql_while_redis_is_away_and_finished_by_a_repetition(caller):
    there = caller.given["CALLER_REDIS_URL"]
    lose_redis(caller)
    code, said = caller("accounts", "delete", "acme", "--reason", "asked for", "--yes")
    assert code == EXIT_UNAVAILABLE
    assert "Redis did not answer" in said
    marked = "SELECT frozen, deleted_at IS NOT NULL FROM accounts"
    assert one(caller, marked) == (0, 0)
    code, said = caller(
        "accounts", "delete", "acme", "--reason", "asked for", "--write-off", "--yes"
    )
    assert code == EXIT_UNAVAILABLE
    assert "The deletion is recorded in SQL" in said
    assert one(caller, marked) == (1, 1)
    assert one(caller, "SELECT revoked_at IS NOT NULL FROM api_keys") == (1,)
    caller.given["CALLER_REDIS_URL"] = there
    assert (
        caller("accounts", "delete", "acme", "--reason", "asked for", "--write-off", "--yes")[0]
        == 0
    )


def test_who_orders_a_deletion_has_its_line_from_the_moment_that_the_account_is_closed(caller):
    there = caller.given["CALLER_REDIS_URL"]
    lose_redis(caller)
    delete = ("accounts", "delete", "acme", "--write-off", "--yes", "--reason")
    assert caller(*delete, "first", "--as", "kim")[0] == EXIT_UNAVAILABLE
    lines = "SELECT group_concat(operator || ':' || reason) FROM account_events WHERE act = '{}'"
    asked = lines.format(Act.DELETION_ASKED.value)
    assert one(caller, asked) == ("kim:first",)
    # What begins it is there too, so that nodes go on with it.
    assert one(caller, "SELECT state, unspent FROM erasures") == ("waiting", "give_up")
    assert caller(*delete, "second", "--as", "lee")[0] == EXIT_UNAVAILABLE
    caller.given["CALLER_REDIS_URL"] = there
    assert caller(*delete, "third", "--as", "lee")[0] == 0
    assert caller(*delete, "fourth", "--as", "lee")[0] == 0
    # The reason has gone with the account; the line, and who ordered it, stay.
    assert one(caller, asked) == ("kim:",)


@pytest.mark.parametrize(
    "arguments",
    [
        ("accounts", "credit", "acme", "5", "--reference", "r"),
        ("accounts", "create", "other", "--credit", "5"),
        ("ledger", "audit"),
        ("ledger", "rebuild", "--yes"),
    ],
)
def test_what_needs_redis_names_it_and_says_that_nothing_was_changed(caller, arguments):
    lose_redis(caller)
    code, said = caller(*arguments)
    assert code == EXIT_UNAVAILABLE
    assert "CALLER_REDIS_URL" in said
    assert "Nothing was changed." in said
    assert one(caller, "SELECT count(*) FROM accounts") == (1,)
    assert one(caller, "SELECT count(*) FROM credits") == (1,)


@pytest.mark.parametrize("arguments", [("top",), ("calls", "tail")])
def test_what_watches_calls_names_a_server_that_does_not_answer_at_its_start(caller, arguments):
    lose_redis(caller)
    code, said = caller(*arguments)
    assert code == EXIT_UNAVAILABLE
    assert "Error: The server of CALLER_REDIS_URL: Nothing listens at its address: start" in said
    assert "host and port. Check CALLER_REDIS_URL" in " ".join(said.split())
