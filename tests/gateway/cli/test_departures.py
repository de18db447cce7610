"""`caller accounts departures`, as an operator types it."""

import csv
import io
import json
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from gateway.administration.leaving_accounts import LeavingAccount
from gateway.cli import app as app_module
from tests.gateway.cli.test_administration import Desk

EMPTY = "No account is being deleted, and no refund of one has failed."
LEFT_TO_YOU = "caller accounts delete ACCOUNT --write-off"


@pytest.fixture
def desk(tmp_path, valkey_url):
    desk = Desk(tmp_path, valkey_url)
    for name in ("ada", "bea", "cleo", "dora"):
        assert desk.run("create", name)[0] == 0
    return desk


def write(desk, *statements):
    with closing(sqlite3.connect(desk.database)) as book, book:
        for statement in statements:
            book.execute(statement)


def erasure(account, state, due="2026-11-27 12:00:00.000000", step="close"):
    return (
        "INSERT INTO erasures (account_id, state, step, unspent, actor, asked_at, due_at)"
        f" VALUES ('{account}', '{state}', '{step}', 'refund', 'holder',"
        f" '2026-11-20 12:00:00.000000', '{due}')"
    )


def failures(account, count):
    """Return what writes a deleted account of whose refund so many attempts have failed."""
    yield (
        f"UPDATE accounts SET balance_micros = 25000001, deleted_at = '2026-11-27 12:00:00.000000'"
        f" WHERE id = '{account}'"
    )
    for number in range(1, count + 1):
        name = f"refund:pay_{account}:2500:leaving" + (f"-{number}" if number > 1 else "")
        for n, (reference, micros) in enumerate(
            ((name, -25_000_000), (f"{name}:failed", 25_000_000))
        ):
            yield (
                "INSERT INTO credits (account_id, sequence, micros, reference, kind, at,"
                f" payment_id) VALUES ('{account}', {2 * number + n}, {micros}, '{reference}',"
                f" 'refund', '2026-11-{27 + number // 3} 1{number}:00:00.000000', 'pay_{account}')"
            )


def test_nobody_leaves(desk):
    assert desk.run("departures") == (0, EMPTY)
    assert desk.read("departures") == []


def test_what_needs_an_operator_comes_first_and_says_what_is_next(desk):
    write(
        desk,
        erasure("ada", "waiting"),
        erasure("bea", "done"),
        erasure("cleo", "erasing"),
        *failures("bea", 1),
        *failures("dora", 3),
    )
    code, said = desk.run("departures")
    assert code == 0
    assert said.index("dora") < said.index("bea") < said.index("ada") < said.index("cleo")
    for words in (
        "left to you",
        "tried again 2026-11-27 17:00",
        "being deleted: close",
        "begins 2026-11-27 12:00",
        "pay_dora",
        "25.000001 USD",
        "3 x",
        LEFT_TO_YOU,
    ):
        assert words in said
    dora, bea, ada, _ = desk.read("departures")
    assert (dora["payment_id"], dora["attempts"], dora["retry_at"]) == ("pay_dora", 3, None)
    assert (dora["state"], bea["state"], bea["step"]) == ("", "done", "")
    assert bea["retry_at"] == "2026-11-27T17:00:00Z"
    assert (ada["payment_id"], ada["state"]) == (None, "waiting")


def test_nothing_is_left_to_anybody_while_it_is_tried_again(desk):
    write(desk, erasure("bea", "done"), *failures("bea", 2))
    assert LEFT_TO_YOU not in desk.run("departures")[1]


def test_a_spreadsheet_gets_plain_amounts_and_times(desk):
    write(desk, erasure("bea", "done"), *failures("bea", 1))
    done = CliRunner().invoke(app_module.app, ["accounts", "departures", "--csv"], obj=desk.environ)
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    fields = LeavingAccount.__struct_fields__
    assert list(row) == [name.removesuffix("_micros") for name in fields]
    assert (row["account_id"], row["balance"], row["refund"]) == ("bea", "25.000001", "25.000000")
    assert row["failed_at"] == "2026-11-27T11:00:00+00:00"
    assert json.loads(row["attempts"]) == 1
