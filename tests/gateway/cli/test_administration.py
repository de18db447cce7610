"""`caller accounts find`, `show`, `log`, `freeze`, `lock`, … as an operator types them."""

import json
import os
import pwd
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from gateway.cli import app as app_module
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE
from tests.valkey import free_port

REASON = ("--reason", "calls at night")


class Desk:
    """An operator at the command line of a gateway with one person and one program."""

    def __init__(self, folder, redis_url):
        self.environ = {
            "CALLER_DATA_DIR": str(folder),
            "CALLER_REDIS_URL": redis_url,
            "USER": "kim",
        }
        self.database = folder / "caller.db"

    def run(self, *arguments):
        """Return exit code and what is said, on one line."""
        done = CliRunner().invoke(
            app_module.app, ["accounts", *arguments], obj=self.environ, terminal_width=200
        )
        assert "Traceback" not in done.output
        return done.exit_code, " ".join(done.output.split())

    def read(self, *arguments):
        code, said = self.run(*arguments, "--json")
        assert code == 0, said
        return json.loads(said)

    def rows(self, query):
        with closing(sqlite3.connect(self.database)) as book:
            return book.execute(query).fetchall()


@pytest.fixture
def desk(tmp_path, valkey_url):
    desk = Desk(tmp_path, valkey_url)
    assert desk.run("create", "acme", "--email", "shop@example.com")[0] == 0
    assert desk.run("create", "ada")[0] == 0
    with closing(sqlite3.connect(desk.database)) as book, book:
        book.execute(
            "INSERT INTO holders (account_id, email, email_key, email_proven_at, password_hash,"
            " credentials_epoch, language, created_at, locked_at)"
            " VALUES ('ada', 'ada@example.com', 'ada@example.com', NULL, 'hash',"
            " 1, 'en', '2026-11-27 12:00:00.000000', NULL)"
        )
        book.execute(
            "INSERT INTO passkeys (credential_id, account_id, public_key, sign_count, name,"
            " is_synced, is_backed_up, added_at)"
            " VALUES ('YzE', 'ada', 'aw==', 0, '', 0, 0, '2026-11-27 12:00:00.000000')"
        )
    return desk


def test_accounts_are_found_and_shown(desk):
    assert "ada@example.com" in desk.run("find", "EXAMPLE")[1]
    assert [each["id"] for each in desk.read("find", "example", "--limit", "1")] == ["acme"]
    assert "--after acme" in desk.run("find", "example", "--limit", "1")[1]
    assert desk.run("find", "nothing") == (0, "No account.")
    assert desk.run("find", "a")[0] == EXIT_SETTINGS
    assert desk.run("show", "nobody")[0] == EXIT_SETTINGS
    code, said = desk.run("show", "ada")
    assert code == 0
    assert "address ada@example.com (not confirmed)" in said
    assert "sessions 0" in said
    assert "second factor yes" in said
    assert "hash" not in said
    assert "state program" in desk.run("show", "acme")[1]


def test_all_accounts_are_listed_page_by_page(desk):
    assert [each["id"] for each in desk.read("list")] == ["acme", "ada"]
    assert [each["id"] for each in desk.read("list", "--after", "acme")] == ["ada"]
    code, said = desk.run("list", "--limit", "1")
    assert (code, "--after acme" in said, "ada@" in said) == (0, True, False)
    with closing(sqlite3.connect(desk.database)) as book, book:
        book.execute("UPDATE holders SET email = '[bold]a@b.example'")
    # An address is shown as it was typed.
    assert "[bold]a@b.example" in desk.run("list")[1]
    assert desk.run("list", "--limit", "0")[0] == EXIT_SETTINGS


def test_each_act_is_done_and_written_down(desk):
    for act, column, value in (
        ("freeze", "SELECT frozen FROM accounts WHERE id = 'ada'", 1),
        ("unfreeze", "SELECT frozen FROM accounts WHERE id = 'ada'", 0),
        ("lock", "SELECT locked_at IS NULL FROM holders", 0),
        ("unlock", "SELECT locked_at IS NULL FROM holders", 1),
        ("sign-out", "SELECT credentials_epoch FROM holders", 3),
        ("reset-second-factor", "SELECT count(*) FROM passkeys", 0),
    ):
        code, said = desk.run(act, "ada", *REASON)
        assert code == 0, said
        assert desk.rows(column) == [(value,)]
    desk.run("credit", "ada", "5", "--reference", "r1", "--as", "lee", *REASON)
    lines = desk.read("log", "ada")
    assert [(each["act"], each["operator"]) for each in lines] == [
        ("credited", "lee"),
        ("passkey_removed", "kim"),
        ("sessions_ended", "kim"),
        ("unlocked", "kim"),
        ("locked", "kim"),
        ("unfrozen", "kim"),
        ("frozen", "kim"),
        ("key_made", "kim"),
        ("account_made", "kim"),
    ]
    assert lines[0]["reason"] == "r1: $5.00: calls at night"
    assert "sessions_ended operator kim" in desk.run("log", "ada")[1].replace(" │", "")
    older = desk.read("log", "ada", "--before", str(lines[5]["number"]))
    assert desk.run("log", "ada", "--before", str(2**63))[0] == 2
    assert [each["act"] for each in older] == ["frozen", "key_made", "account_made"]
    assert desk.rows("SELECT notice FROM mail_outbox ORDER BY created_at") == [
        ("locked",),
        ("second_factor_changed",),
    ]


def test_a_reference_of_another_amount_is_no_repeat(desk):
    credit = ("credit", "ada", "5", "--reference", "r1", *REASON)
    assert desk.run(*credit)[0] == 0
    assert "Already granted." in desk.run(*credit)[1]
    code, said = desk.run("credit", "ada", "6", "--reference", "r1", *REASON)
    assert (code, "another amount" in said) == (EXIT_SETTINGS, True)
    assert desk.rows("SELECT balance_micros FROM accounts WHERE id = 'ada'") == [(5_000_000,)]
    acts = [each["act"] for each in desk.read("log", "ada")]
    assert acts == ["credited", "key_made", "account_made"]


def test_a_state_says_why_it_is_frozen_and_who_is_locked_out(desk):
    desk.run("freeze", "ada", *REASON)
    desk.run("lock", "ada", *REASON)
    said = desk.run("show", "ada")[1]
    assert "state frozen, locked" in said
    assert "UTC: calls at night" in said


@pytest.mark.parametrize("act", ["freeze", "lock", "unlock", "sign-out", "reset-second-factor"])
def test_an_act_needs_a_reason_and_somebody(desk, act):
    before = desk.rows("SELECT * FROM account_events")
    assert desk.run(act, "ada")[0] == EXIT_SETTINGS
    assert desk.run(act, "ada", "--reason", " ")[0] == EXIT_SETTINGS
    assert desk.run(act, "nobody", *REASON)[0] == EXIT_SETTINGS
    if act != "freeze":
        assert "This account has no sign-in." in desk.run(act, "acme", *REASON)[1]
    assert desk.rows("SELECT * FROM account_events") == before


def test_sessions_are_unknown_while_redis_is_away_and_a_lock_says_so(desk):
    desk.environ["CALLER_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}"
    assert "sessions unknown: Redis did not answer" in desk.run("show", "ada")[1]
    code, said = desk.run("lock", "ada", *REASON)
    assert code == EXIT_UNAVAILABLE
    assert "The change is saved in SQL, but Redis did not answer" in said
    assert desk.rows("SELECT locked_at IS NULL FROM holders") == [(0,)]


def test_a_key_of_a_button_is_made_with_the_button(desk):
    alone, both = ("--scope", "embed"), ("--scope", "embed", "--scope", "calls")
    for scopes in (alone, both):
        for arguments in (("new-key", "acme", *scopes), ("create", "other", *scopes)):
            code, said = desk.run(*arguments)
            assert code == EXIT_SETTINGS
            assert "Only a button has keys of scope embed." in said
    assert desk.rows("SELECT count(*) FROM api_keys WHERE scopes LIKE '%embed%'") == [(0,)]


def test_an_operators_key_can_do_nothing_else(desk):
    both = ("--scope", "admin", "--scope", "calls")
    for arguments in (("new-key", "acme", *both), ("create", "other", *both)):
        code, said = desk.run(*arguments)
        assert code == EXIT_SETTINGS
        assert "A key of scope admin can do nothing else." in said
    assert desk.run("new-key", "acme", "--scope", "admin")[0] == 0
    (key,) = desk.rows("SELECT id FROM api_keys WHERE scopes = 'admin'")[0]
    assert desk.run("change-key", "acme", key, *both)[0] == EXIT_SETTINGS


@pytest.mark.parametrize(
    ("unspent", "said"),
    [
        ("refund", "credit goes back to the cards it was paid with"),
        ("give_up", "credit is given up"),
    ],
)
def test_a_deletion_that_waits_is_shown_with_its_date_and_what_becomes_of_credit(
    desk, unspent, said
):
    with closing(sqlite3.connect(desk.database)) as book, book:
        book.execute(
            "INSERT INTO erasures (account_id, state, step, unspent, actor, asked_at, due_at)"
            " VALUES ('ada', 'waiting', 'close', ?, 'holder', '2026-11-27 12:00:00.000000',"
            " '2126-12-04 12:30:00.000000')",
            (unspent,),
        )
        book.execute("UPDATE accounts SET frozen = 1 WHERE id = 'ada'")
        book.execute("INSERT INTO freezes VALUES ('ada', 'leaving', '2026-11-27 12:00:00.000000')")
    (because,) = desk.read("show", "ada")["freezes"]
    assert because == (
        f"its holder has asked for its deletion, due on 2126-12-04 12:30 UTC; {said}"
    )
    with closing(sqlite3.connect(desk.database)) as book, book:
        book.execute("UPDATE erasures SET state = 'erasing'")
        book.execute("UPDATE accounts SET deleted_at = '2126-12-04 12:31:00.000000'")
    assert desk.read("show", "ada")["freezes"] == [
        "the account was deleted on 2126-12-04 12:31 UTC"
    ]


@pytest.mark.parametrize(
    ("told", "operator"),
    [
        ({"USER": "", "LOGNAME": "lee"}, "lee"),
        ({"USER": "root", "LOGNAME": "root", "SUDO_USER": "lee"}, "lee"),
        # As under `env -i`, in a timer or in a container: the password database knows.
        ({"USER": "", "LOGNAME": ""}, pwd.getpwuid(os.getuid()).pw_name),
    ],
)
def test_who_acts_is_the_user_of_this_machine_where_nothing_else_is_said(desk, told, operator):
    desk.environ |= told
    assert desk.run("freeze", "acme", *REASON)[0] == 0
    assert desk.read("log", "acme")[0]["operator"] == operator


def test_who_acts_is_a_number_where_the_user_has_no_name(desk, monkeypatch):
    desk.environ["USER"] = ""

    def nobody(number):
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert desk.run("freeze", "acme", *REASON)[0] == 0
    assert desk.read("log", "acme")[0]["operator"] == f"uid {os.getuid()}"
