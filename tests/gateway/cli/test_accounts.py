"""`caller accounts`: holders' addresses and deletion; the rest is in `test_cli`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from gateway.cli import accounts, ledger
from gateway.cli.command import out
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.http.bearer import key_hash
from tests.gateway.cli.test_payments import Desk, desk, simulator

__all__ = ["desk", "simulator"]


def asked(desk, *arguments, **changes):
    """Run `caller accounts …`; return its exit code and what it says, on one line."""
    done = desk.run(*arguments, app=accounts.app, **changes)
    assert "Traceback" not in done.output
    return done.exit_code, " ".join(done.output.split())


def kept(desk, query):
    with closing(sqlite3.connect(f"{desk.environ['CALLER_DATA_DIR']}/caller.db")) as book:
        return book.execute(query).fetchall()


def save_card(desk: Desk) -> None:
    """Let acme pay with a card that may be charged again."""
    desk.paid(25)
    customer = httpx.post(
        desk.environ["CALLER_STRIPE_URL"] + "/v1/customers",
        headers={"authorization": f"Bearer {desk.environ['CALLER_STRIPE_API_KEY']}"},
    ).json()
    with closing(sqlite3.connect(f"{desk.environ['CALLER_DATA_DIR']}/caller.db")) as book, book:
        book.execute(
            "INSERT INTO payment_profiles (account_id, customer_id, payment_method_id, email)"
            " VALUES ('acme', ?, 'pm_1', 'card@example.com')",
            (customer["id"],),
        )


def test_an_address_is_noted_at_creation_changed_and_forgotten(desk):
    assert asked(desk, "create", "shop", "--email", "shop@example.com")[0] == 0
    addresses = "SELECT email FROM accounts WHERE id = 'shop'"
    assert kept(desk, addresses) == [("shop@example.com",)]
    assert asked(desk, "email", "shop", "new@example.com") == (0, "E-mail saved.")
    assert kept(desk, addresses) == [("new@example.com",)]
    assert asked(desk, "email", "shop", "--none") == (0, "E-mail removed.")
    assert kept(desk, addresses) == [("",)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "other", "--email", "nobody"),
        ("email", "acme", "a@b@c"),
        ("email", "acme"),
        ("email", "acme", "a@example.com", "--none"),
        ("email", "nobody", "a@example.com"),
    ],
)
def test_what_is_no_address_changes_nothing(desk, arguments):
    code, said = asked(desk, *arguments)
    assert code == EXIT_SETTINGS
    assert said.startswith("Error:")
    assert kept(desk, "SELECT id, email FROM accounts") == [("acme", "")]


def test_credit_stands_in_the_way_until_it_is_written_off(desk):
    save_card(desk)
    code, said = asked(desk, "delete", "acme", "--reason", "asked for", "--yes")
    assert code == EXIT_SETTINGS
    assert "The account has $25.00, holds of running calls included. Nothing was changed." in said
    assert kept(desk, "SELECT frozen, deleted_at FROM accounts") == [(0, None)]
    code, said = asked(desk, "delete", "acme", "--reason", "asked for", "--yes", "--write-off")
    assert (code, said.startswith("Account deleted. Payments, ledger and what its")) == (0, True)
    assert asked(desk, "delete", "acme", "--reason", "asked for", "--yes")[0] == 0
    assert desk.does("GET", "/objects/customers")["data"] == []
    ((frozen, email, balance),) = kept(desk, "SELECT frozen, email, balance_micros FROM accounts")
    assert (frozen, email, balance) == (1, "", 0)
    assert kept(desk, "SELECT count(*) FROM payment_profiles") == [(0,)]
    assert kept(desk, "SELECT label FROM api_keys WHERE revoked_at IS NOT NULL") == [("",)]
    # The table's columns wrap as the terminal is wide.
    assert "closing" in desk.says("show", "acme", app=ledger.app)
    assert "All agree." in desk.says("audit", app=ledger.app)


def has_left(desk, unspent):
    """Let acme's holder have asked for its deletion."""
    with closing(sqlite3.connect(f"{desk.environ['CALLER_DATA_DIR']}/caller.db")) as book, book:
        book.execute(
            "INSERT INTO erasures (account_id, state, step, unspent, actor, asked_at, due_at)"
            " VALUES ('acme', 'waiting', 'close', ?, 'holder', '2126-11-27 12:30:00.000000',"
            " '2126-12-04 12:30:00.000000')",
            (unspent,),
        )
        book.execute("UPDATE accounts SET frozen = 1")
        book.execute("INSERT INTO freezes VALUES ('acme', 'leaving', '2026-11-27 12:00:00.000000')")


REFUNDED = "SELECT refunded_micros FROM payments"


def test_credit_that_its_holder_wants_back_is_not_written_off(desk):
    save_card(desk)
    has_left(desk, "refund")
    shown = "due on 2126-12-04 12:30 UTC; credit goes back to the cards it was paid with"
    assert shown in asked(desk, "show", "acme")[1]
    delete = ("delete", "acme", "--reason", "asked for", "--yes")
    code, said = asked(desk, *delete, "--write-off")
    assert code == EXIT_SETTINGS
    assert "for credit to go back to the cards it was paid with. Nothing was changed." in said
    assert "from 2126-12-04 12:30 UTC on; the command without --write-off does it now" in said
    code, said = asked(desk, *delete, CALLER_STRIPE_API_KEY="")
    assert (code, "Its holder wants $25.00 sent back" in said) == (EXIT_SETTINGS, True)
    assert kept(desk, "SELECT deleted_at FROM accounts") == [(None,)]
    assert asked(desk, *delete)[0] == 0
    assert kept(desk, REFUNDED) == [(25_000_000,)]
    assert "All agree." in desk.says("audit", app=ledger.app)


def test_credit_that_its_holder_has_given_up_is_written_off_unasked(desk):
    save_card(desk)
    has_left(desk, "give_up")
    assert "12:30 UTC; credit is given up" in asked(desk, "show", "acme")[1]
    assert asked(desk, "delete", "acme", "--reason", "asked for", "--yes")[0] == 0
    assert kept(desk, REFUNDED) == [(0,)]
    assert kept(desk, "SELECT balance_micros FROM accounts") == [(0,)]


def test_a_deletion_is_asked_about(desk):
    done = desk.run("delete", "acme", "--reason", "asked for", app=accounts.app)
    assert done.exit_code == 1
    assert "for good?" in done.output
    assert kept(desk, "SELECT deleted_at FROM accounts") == [(None,)]


def test_a_payment_service_that_is_away_is_said_so_and_the_repeat_finishes(desk):
    save_card(desk)
    desk.does("PUT", "/faults", requests={"status": 500, "count": 9, "path": "/v1/customers"})
    code, said = asked(desk, "delete", "acme", "--reason", "asked for", "--yes", "--write-off")
    assert code == EXIT_UNAVAILABLE
    assert "The account cannot call; repeat the command to finish." in said
    desk.does("DELETE", "/faults")
    assert asked(desk, "delete", "acme", "--reason", "asked for", "--yes")[0] == 0
    assert desk.does("GET", "/objects/customers")["data"] == []


def test_where_no_service_is_set_up_its_customer_is_named(desk):
    save_card(desk)
    customer_id = desk.does("GET", "/objects/customers")["data"][0]["id"]
    _, said = asked(
        desk,
        "delete",
        "acme",
        "--reason",
        "asked for",
        "--yes",
        "--write-off",
        CALLER_STRIPE_API_KEY="",
    )
    assert f"delete its customer {customer_id} there" in said


def test_money_that_comes_late_goes_back(desk):
    desk.pays(25)
    code, said = asked(desk, "delete", "acme", "--reason", "asked for", "--yes")
    assert (code, "Credit arrived" in said) == (0, False)
    assert kept(desk, "SELECT state, refunded_micros FROM payments") == [("paid", 25_000_000)]
    assert kept(desk, "SELECT balance_micros FROM accounts") == [(0,)]


def test_money_that_comes_late_is_told_of_where_nobody_can_send_it_back(desk):
    payment_id = desk.pays(25)
    without_service = {"CALLER_STRIPE_API_KEY": ""}
    asked(desk, "delete", "acme", "--reason", "asked for", "--yes", **without_service)
    desk.says("reconcile")
    _, said = asked(desk, "delete", "acme", "--reason", "asked for", "--yes", **without_service)
    assert "Credit has arrived in the meantime: $25.00." in said
    assert desk.says("refund", payment_id, "25", "--reason", "left").endswith("$25.00")
    assert "Credit" not in asked(desk, "delete", "acme", "--reason", "asked for", "--yes")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("credit", "acme", "5", "--reference", "r1"),
        ("unfreeze", "acme", "--reason", "r"),
        ("freeze", "acme", "--reason", "r"),
        ("new-key", "acme"),
        ("email", "acme", "a@example.com"),
        ("create", "acme"),
    ],
)
def test_a_deleted_account_stays_deleted(desk, arguments):
    asked(desk, "delete", "acme", "--reason", "asked for", "--yes")
    assert asked(desk, *arguments)[0] == EXIT_SETTINGS
    assert kept(desk, "SELECT frozen, email, balance_micros FROM accounts") == [(1, "", 0)]


def test_nobody_is_deleted_where_that_cannot_be_written_down(desk):
    """Both stores are elsewhere, and the data folder cannot be made."""
    away = {
        "CALLER_DATABASE_URL": f"sqlite:///{desk.environ['CALLER_DATA_DIR']}/caller.db",
        "CALLER_DATA_DIR": "/proc/nope",
    }
    arguments = ("delete", "acme", "--reason", "asked for", "--yes", "--write-off")
    code, said = asked(desk, *arguments, **away)
    assert (code, "CALLER_DATA_DIR: /proc/nope cannot be used" in said) == (EXIT_SETTINGS, True)
    assert "Nothing was changed." in said
    assert kept(desk, "SELECT frozen, deleted_at FROM accounts") == [(0, None)]
    assert kept(desk, "SELECT state FROM erasures") == []
    away["CALLER_DATA_DIR"] = f"{desk.environ['CALLER_DATA_DIR']}/made/for/it"
    assert asked(desk, *arguments, **away)[0] == 0
    assert Path(away["CALLER_DATA_DIR"], "erased.log").read_text().endswith(" acme\n")


def test_nobody_is_deleted_who_is_not_there(desk):
    assert "no account" in asked(desk, "delete", "nobody", "--reason", "asked for", "--yes")[1]


def scopes_and_end(desk, key):
    query = "SELECT scopes, expires_at FROM api_keys WHERE key_hash = '{}'"
    return kept(desk, query.format(key_hash(key)))[0]


def test_a_key_may_dial_where_nothing_else_is_said(desk):
    for arguments in (("create", "shop"), ("new-key", "acme")):
        code, key = asked(desk, *arguments)
        assert (code, scopes_and_end(desk, key)) == (0, ("calls", None))


def test_a_key_may_do_what_is_named_until_it_is_changed(desk, monkeypatch):
    wanted = ("--scope", "records", "--scope", "calls", "--expires", "2090-01-31")
    for arguments in (("create", "shop"), ("new-key", "shop")):
        code, key = asked(desk, *arguments, *wanted)
        assert code == 0
        assert scopes_and_end(desk, key) == ("calls records", "2090-01-31 00:00:00.000000")
    key_id = key_hash(key)[:16]
    change = ("change-key", "shop", key_id)
    assert asked(desk, *change, "--scope", "payments") == (0, "Key changed.")
    assert scopes_and_end(desk, key) == ("payments", "2090-01-31 00:00:00.000000")
    assert asked(desk, *change, "--expires", "2080-01-01T12:00+02:00") == (0, "Key changed.")
    assert scopes_and_end(desk, key) == ("payments", "2080-01-01 10:00:00.000000")
    assert asked(desk, *change, "--expires", "never") == (0, "Key changed.")
    assert scopes_and_end(desk, key) == ("payments", None)
    monkeypatch.setattr(out, "_width", 200)
    listed = asked(desk, "keys", "shop")[1]
    assert "payments" in listed
    assert "2090-01-31 00:00" in listed


def test_the_id_of_a_key_is_listed_whole_however_narrow_the_terminal_is(desk, monkeypatch):
    code, key = asked(desk, "new-key", "acme", "--label", "the shop's own page", "--day", "5")
    assert code == 0
    for width in (80, 40):
        monkeypatch.setattr(out, "_width", width)
        assert key_hash(key)[:16] in asked(desk, "keys", "acme")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("new-key", "acme", "--scope", "everything"),
        ("new-key", "acme", "--scope", ""),
        ("new-key", "acme", "--expires", "2020-01-01"),
        ("new-key", "acme", "--expires", "soon"),
        ("create", "shop", "--expires", "2020-01-01"),
        ("change-key", "acme", "nokey", "--scope", "calls"),
        ("change-key", "acme", "nokey"),
    ],
)
def test_what_is_no_scope_and_no_time_to_come_makes_no_key(desk, arguments):
    before = kept(desk, "SELECT * FROM api_keys")
    code, said = asked(desk, *arguments)
    assert code == EXIT_SETTINGS
    assert said
    assert kept(desk, "SELECT * FROM api_keys") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("credit", "acme", "0", "--reference", "r"), "is zero"),
        (("credit", "acme", "-0", "--reference", "r"), "is zero"),
        (("credit", "acme", "-0.01", "--reference", "r"), "lower than that"),
        (("limit", "acme", "--day", "-5"), "must not be negative"),
        (("create", "other", "--credit", "-5"), "must not be negative"),
    ],
)
def test_no_amount_brings_an_account_below_nothing(desk, arguments, words):
    code, said = asked(desk, *arguments)
    assert (code, words in said) == (EXIT_SETTINGS, True)
    assert kept(desk, "SELECT id, balance_micros, day_cap_micros FROM accounts") == [
        ("acme", 0, None)
    ]


def test_a_deletion_needs_a_reason_and_says_what_another_process_holds(desk):
    assert desk.run("delete", "acme", "--yes", app=accounts.app).exit_code == 2
    delete = ("delete", "acme", "--yes", "--write-off", "--reason", "asked for", "--as", "kim")
    assert asked(desk, *delete)[0] == 0
    with closing(sqlite3.connect(f"{desk.environ['CALLER_DATA_DIR']}/caller.db")) as book, book:
        book.execute(
            "UPDATE erasures SET state = 'erasing', step = 'calls',"
            " leased_until = '2126-11-27 12:30:00.000000'"
        )
    code, said = asked(desk, *delete)
    assert code == EXIT_UNAVAILABLE
    assert "or was killed while it did. Try again at 12:30:01 UTC" in said
    assert "not all of its calls" not in said


def test_nobody_is_asked_about_an_account_that_is_not_there(desk):
    code, said = asked(desk, "delete", "nobody", "--reason", "asked for")
    assert (code, "for good?" in said) == (EXIT_SETTINGS, False)
    code, said = asked(desk, "delete", "acme", "--reason", "asked for")
    assert (code, "Delete acme for good?" in said) == (EXIT_FINDINGS, True)
    assert "There was no answer, and nothing was changed." in said
    assert "Repeat it with --yes" in said
    for answer, code in (("n", EXIT_FINDINGS), ("y", 0)):
        done = CliRunner().invoke(
            accounts.app,
            ["delete", "acme", "--reason", "asked for"],
            obj=desk.environ,
            input=f"{answer}\n",
        )
        assert done.exit_code == code
        assert kept(desk, "SELECT deleted_at IS NULL FROM accounts") == [(int(answer == "n"),)]


def logged(desk, account_id):
    """Return the lines of an account's audit log, the oldest first."""
    lines = json.loads(desk.run("log", account_id, "--json", app=accounts.app).stdout)
    return [(each["act"], each["operator"], each["reason"]) for each in reversed(lines)]


def test_the_audit_log_has_what_operators_do_with_accounts_and_keys(desk):
    by = ("--as", "kim", "--reason", "asked by phone")
    mail = ("--email", "shop@example.com")
    code, key = asked(desk, "create", "shop", "--credit", "5", *mail, *by)
    assert code == 0
    first, second = key_hash(key)[:16], key_hash(asked(desk, "new-key", "shop", *by)[1])[:16]
    change = ("change-key", "shop", second)
    done = [
        ("limit", "shop", "--day", "20", *by),
        (*change, "--scope", "records", *by),
        (*change, "--expires", "2090-01-31", *by),
        # What is done already has its line.
        *[("revoke-key", "shop", second, *by)] * 2,
        ("email", "shop", "--none", *by),
        # To look is no act.
        ("limit", "shop"),
    ]
    assert [asked(desk, *each)[0] for each in done] == [0] * len(done)
    assert logged(desk, "shop") == [
        (act, "kim", f"{said}asked by phone")
        for act, said in [
            ("account_made", ""),
            ("key_made", f"{first}: "),
            ("notice_address_set", ""),
            ("credited", "first: $5.00: "),
            ("key_made", f"{second}: "),
            ("limits_set", "call no limit, day $20.00, month no limit: "),
            ("key_changed", f"{second}: "),
            ("key_changed", f"{second}: "),
            ("key_revoked", f"{second}: "),
            ("notice_address_set", ""),
        ]
    ]
    assert "example.com" not in str(logged(desk, "shop"))


def test_a_reason_may_be_left_out_where_nothing_is_taken_from_somebody_for_good(desk):
    asked(desk, "limit", "acme", "--day", "20", USER="kim")
    ((_, operator, reason),) = [each for each in logged(desk, "acme") if each[0] == "limits_set"]
    assert reason == "call no limit, day $20.00, month no limit: no reason given"
    assert operator
