"""`caller ledger`: statements, the audit and its exit codes, filling the credit store anew."""

import asyncio
import csv
import io
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from billing.cdr import CallClosed, CallOpened
from billing.ports import PARTITIONS, Closing, Opening, partition_of
from billing.rating import Rate
from billing.statement import StatementLine
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from billing.stores.sql import SqlLedgerStore
from database.engine import create_engine
from gateway.charging.audited import Audited
from gateway.cli import accounts, ledger
from gateway.cli.process import main
from gateway.errors import EXIT_CRASHED, EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.stores.leases import RedisNodeLeases
from gateway.watching.audited_store import RedisAudited
from tests.valkey import free_port, operator_of


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Copies of both stores, by what had been done: made by the first test that wants it."""
    return Kept(tmp_path_factory.mktemp("kept"))


class Kept:
    """A book and a credit store for each name, which later tests begin with."""

    def __init__(self, folder):
        self.folder, self.gates = folder, {}

    def take(self, name, caller):
        """Put both stores in the place of the test's own; return whether they are kept."""
        if name not in self.gates:
            return False
        copy_book(self.folder / name, caller.database)
        on_redis(caller.url, partial(_put_back, self.gates[name]))
        return True

    def keep(self, name, caller, *, book=None):
        """Keep both stores as they are, or with another book."""
        copy_book(book or caller.database, self.folder / name)
        self.gates[name] = on_redis(caller.url, _copy)


def copy_book(source, target):
    """Bring a database file to what another holds."""
    with closing(sqlite3.connect(source)) as book, closing(sqlite3.connect(target)) as copy:
        book.backup(copy)


@dataclass
class Caller:
    """Runs `caller ledger …` on these stores."""

    given: dict[str, str]
    database: Path
    url: str

    def __call__(self, *arguments, app=ledger.app, answer=""):
        return CliRunner().invoke(app, list(arguments), obj=self.given, input=answer)


@pytest.fixture
def caller(tmp_path, valkey_url, monkeypatch, kept):
    """Return a way to run `caller ledger …` on stores of the test's own, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("billing.stores.gate_audit.COMPARISON_PAUSE_S", 0)
    given = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": valkey_url}

    for name, value in given.items():
        monkeypatch.setenv(name, value)

    run = Caller(given, tmp_path / "caller.db", valkey_url)
    if not kept.take("created", run):
        done = run("create", "acme", "--credit", "12.50", app=accounts.app)
        assert done.exit_code == 0, done.output
        kept.keep("created", run)
    return run


def on_redis(url, work):
    """Run something on the server of the test."""

    async def connected():
        redis = connect(operator_of(url))
        try:
            return await work(redis)
        finally:
            await disconnect(redis)

    return asyncio.run(connected())


def damage(caller, statement):
    with closing(sqlite3.connect(caller.database)) as book, book:
        book.execute(statement)


def test_a_statement_shows_what_moved_credit_and_what_was_left(caller):
    caller("credit", "acme", "2", "--reference", "r[red]2", app=accounts.app)
    done = caller("show", "acme")
    assert done.exit_code == 0, done.output
    rows = [line.split("│") for line in done.output.splitlines() if "grant" in line]
    assert [[cell.strip() for cell in row[3:6]] for row in rows] == [
        ["$2.00", "$14.50", "credit:grant:acme:r[red]2"],
        ["$12.50", "$12.50", "credit:grant:acme:first"],
    ]
    assert caller("show", "acme", "--lines", "1").output.count("│ grant") == 1


def test_a_statement_is_to_be_had_for_spreadsheets(caller):
    caller("credit", "--reference", "r2", "--", "acme", "-0.000001", app=accounts.app)
    done = caller("show", "acme", "--csv", "--lines", "0")
    newest, oldest = csv.DictReader(io.StringIO(done.output))
    assert (newest["amount"], newest["balance"]) == ("-0.000001", "12.499999")
    assert (oldest["kind"], oldest["currency"], oldest["balance"]) == ("grant", "USD", "12.500000")
    assert oldest["reference"] == "credit:grant:acme:first"


def test_a_statement_for_spreadsheets_has_no_formula(capsys):
    line = StatementLine("r3", datetime.now(UTC), "grant", "＝1+1", -1, -1, "USD", None)
    ledger._print_csv([line])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["reason"], row["amount"]) == ("'＝1+1", "-0.000001")


def test_a_long_statement_is_read_page_by_page(caller, monkeypatch):
    for n in range(4):
        caller("credit", "acme", "1", "--reference", f"r{n}", app=accounts.app)
    monkeypatch.setattr(ledger, "PAGE_LINES_MAX", 2)
    assert caller("show", "acme", "--lines", "0").output.count("│ grant") == 5
    assert caller("show", "acme", "--lines", "3").output.count("│ grant") == 3


def test_a_statement_of_nobody_is_a_sentence(caller):
    done = caller("show", "nobody")
    assert done.exit_code == EXIT_SETTINGS
    assert "There is no account with this id." in done.output


def test_an_audit_that_finds_nothing_shows_the_totals(caller):
    done = caller("audit")
    assert done.exit_code == 0, done.output
    assert "All agree." in done.output
    (row,) = [line.split("│") for line in done.output.splitlines() if "USD" in line]
    assert [cell.strip() for cell in row] == [
        "USD",
        "1",
        "$0.00",
        "$12.50",
        "$0.00",
        "$0.00",
        "$12.50",
        "$0.00",
    ]


def test_a_book_that_disagrees_with_itself_and_the_gate_is_a_finding(caller):
    damage(caller, "UPDATE accounts SET balance_micros = balance_micros - 1")
    done = caller("audit")
    assert done.exit_code == EXIT_FINDINGS, done.output
    assert "balance is not ledger less holds: acme" in done.output
    assert "spend gate and book differ in the balance: acme" in done.output
    assert "2 findings." in done.output


def test_an_audit_by_hand_ends_the_alarm_of_what_is_put_right(caller):
    rule = "balance is not ledger less holds"
    found = Audited(at_s=1.0, findings={rule: 2})
    on_redis(caller.url, lambda redis: RedisAudited(redis).write(found))
    damage(caller, "UPDATE accounts SET balance_micros = balance_micros - 1")
    assert caller("audit").exit_code == EXIT_FINDINGS
    kept = on_redis(caller.url, lambda redis: RedisAudited(redis).read())
    assert kept.findings == {rule: 1}
    damage(caller, "UPDATE accounts SET balance_micros = balance_micros + 1")
    assert caller("audit").exit_code == 0
    kept = on_redis(caller.url, lambda redis: RedisAudited(redis).read())
    assert kept.findings == {}


@pytest.mark.parametrize("lost", ["all", "one"])
def test_a_credit_store_that_is_empty_is_a_finding_until_it_is_filled(caller, lost):
    async def lose(redis):
        if lost == "all":
            await redis.flushall()
        else:
            await redis.delete(*await redis.keys("{cr:7}:*"))

    on_redis(caller.url, lose)
    for _ in range(2):
        done = caller("audit")
        assert done.exit_code == EXIT_FINDINGS, done.output
        assert "All agree" not in done.output
        count = PARTITIONS if lost == "all" else 1
        assert f"could not be compared: {count} of {PARTITIONS} partitions" in done.output
        assert "`caller ledger rebuild`" in done.output
    assert caller("rebuild", "--yes").exit_code == 0
    assert caller("audit").exit_code == 0


def test_a_currency_that_is_unknown_can_be_shown(caller):
    damage(caller, "UPDATE accounts SET currency = 'XBT'")
    done = caller("audit")
    assert done.exit_code == EXIT_FINDINGS
    assert "12.500000" in done.output


def test_a_watch_goes_on_until_interrupted(caller, monkeypatch):
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "sleep", pause)
    done = caller("audit", "--watch", "5")
    assert pauses == [5.0] * 3
    assert done.output.count("All agree.") == 3
    assert done.exit_code == 130


def test_an_audit_without_its_stores_is_a_sentence(tmp_path):
    url = f"redis://127.0.0.1:{free_port()}/0"
    given = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": url}
    done = CliRunner().invoke(ledger.app, ["audit"], obj=given)
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "Check CALLER_REDIS_URL" in done.output
    assert "Traceback" not in done.output


async def _damage_balances(redis):
    """Give every account of the spend gate nothing at all."""
    for key in await redis.keys("{cr:*}:bal"):
        for account in await redis.hkeys(key):
            await redis.hset(key, account, 0)


def test_a_gate_is_filled_anew(caller):
    on_redis(caller.url, _damage_balances)
    assert caller("audit").exit_code == EXIT_FINDINGS
    done = caller("rebuild", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "Filled 64 partitions" in done.output
    assert caller("audit").exit_code == 0


def test_one_partition_is_filled_anew(caller):
    """And only that one."""
    on_redis(caller.url, _damage_balances)
    partition = partition_of("acme", PARTITIONS)
    for one, code in (((partition + 1) % PARTITIONS, EXIT_FINDINGS), (partition, 0)):
        done = caller("rebuild", "--partition", str(one), "--yes")
        assert done.exit_code == 0, done.output
        assert caller("audit").exit_code == code


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_a_gate_is_not_filled_without_a_yes(caller, answer):
    on_redis(caller.url, _damage_balances)
    done = caller("rebuild", answer=answer)
    assert done.exit_code == 1
    assert caller("audit").exit_code == EXIT_FINDINGS


def test_a_gate_in_use_is_filled_anew_by_force_only(caller):
    on_redis(caller.url, lambda redis: RedisNodeLeases(redis).renew("n7"))
    done = caller("rebuild", "--yes")
    assert done.exit_code == EXIT_SETTINGS
    assert "Nodes are running: n7." in done.output
    assert caller("rebuild", "--yes", "--force").exit_code == 0


def test_no_money_that_waits_in_the_outbox_is_lost(caller):
    """A credit that the gate lacks arrives with the filling."""
    engine = create_engine(f"sqlite:///{caller.database}")

    async def grant():
        await SqlLedgerStore(engine).add_credit("acme", 5, reference="late", kind="grant")
        await engine.dispose()

    asyncio.run(grant())
    caller("rebuild", "--yes")
    assert caller("audit").exit_code == 0


def test_an_audit_that_fails_ends_otherwise_than_one_that_finds(caller, monkeypatch):
    async def broken(*_arguments, **_options):
        raise ZeroDivisionError

    monkeypatch.setattr(ledger, "findings_of", broken)
    monkeypatch.setattr(sys, "argv", ["caller", "ledger", "audit"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_CRASHED
    assert EXIT_CRASHED not in (0, EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE)


def test_an_audit_says_what_to_do_once_for_each_kind(caller):
    damage(caller, "UPDATE accounts SET balance_micros = balance_micros - 1")
    done = caller("audit")
    said = " ".join(done.output.split())
    assert said.count("→") == 2
    assert "Compare `caller ledger show` with the row" in said
    assert "`caller ledger rebuild` fills the credit store from the book" in said
    assert "The payment service was not checked: CALLER_STRIPE_API_KEY is not set." in said


async def _give(redis):
    """Give every account of the spend gate a micro-unit too much."""
    for key in await redis.keys("{cr:*}:bal"):
        for account in await redis.hkeys(key):
            await redis.hincrby(key, account, 1)


def test_no_filling_takes_what_an_account_has_without_a_word(caller):
    on_redis(caller.url, _give)
    done = caller("rebuild", "--yes")
    assert done.exit_code == EXIT_FINDINGS, done.output
    assert "acme" in done.output
    assert "0.000001 USD" in done.output
    assert caller("rebuild", "--yes", "--forget-credits").exit_code == 0
    assert caller("audit").exit_code == 0


def test_a_moment_that_is_none_is_a_sentence(caller):
    done = caller("audit", "--since", "yesterday")
    assert done.exit_code == EXIT_SETTINGS
    assert "Write it as 2026-11-24" in done.output


async def _hold_calls(redis, ended_by="caller"):
    """Calls that cost 0.30 each: two accounts, begun and ended."""
    gate, now = RedisSpendGate(redis), datetime.now(UTC)
    for account, call in ((a, f"{a}-{n}") for a in ("acme", "bert") for n in range(3)):
        terms = {"account_id": account, "currency": "USD", "node": "n1", "codec": "pcmu"}
        opened = CallOpened(
            call_id=call,
            destination="+15005551000",
            country="US",
            origin="",
            rate=Rate(per_minute_micros=6_000_000).to_json(),
            created_at=now - timedelta(seconds=4),
            **terms,
        )
        detail = msgspec.json.encode(opened)
        await gate.open(Opening(call, account, "n1", 100_000, 800_000, 9, detail))
        ended = CallClosed(
            answered_at=now - timedelta(seconds=3),
            ended_at=now,
            seconds=3,
            cause=16,
            cause_name="NORMAL_CLEARING",
            ended_by=ended_by,
        )
        await gate.close(Closing(call, account, 300_000, 3, msgspec.json.encode(ended)))


@pytest.fixture
def restored(caller, request, kept, tmp_path):
    """A book that is older than six calls, of which the outbox has nothing left."""
    ended_by = getattr(request, "param", "caller")
    if kept.take(ended_by, caller):
        return caller
    older = tmp_path / "older.db"
    caller("create", "bert", "--credit", "7", app=accounts.app)
    copy_book(caller.database, older)
    on_redis(caller.url, partial(_hold_calls, ended_by=ended_by))
    assert caller("rebuild", "--yes").exit_code == 0
    assert caller("audit").exit_code == 0
    kept.keep(ended_by, caller, book=older)
    copy_book(older, caller.database)
    return caller


def test_calls_that_a_restored_book_lacks_are_named_and_booked_first(restored):
    done = restored("rebuild", answer="y\n")
    assert done.exit_code == 0, done.output
    for name in (f"{a}  {a}-{n}  3 s  0.300000" for a in ("acme", "bert") for n in range(3)):
        assert done.output.count(name) == 1
    assert "Booked 6 calls." in done.output
    audited = restored("audit")
    assert audited.exit_code == 0, audited.output
    assert "Booked" not in restored("rebuild", "--yes").output
    assert restored("show", "acme").output.count("-$0.30") == 3
    assert "$6.10" in restored("show", "bert").output


def killed_rebuild(point, *options):
    """Run `caller ledger rebuild`, which is killed at a point."""
    code = (
        "import os, signal, sys;"
        "from gateway.charging import recovery, refilling;"
        "from gateway import __main__;"
        "from gateway.cli import ledger;"
        "die = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        f"{point};"
        f"sys.argv = ['caller', 'ledger', 'rebuild', '--yes', *{options}];"
        "__main__.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_a_rebuild_that_is_killed_is_repeated(restored):
    """Killed where it finds it hardest: as it books, and as it fills."""
    for point in (
        "refilling.resend = die",
        # The book's module may be compiled, so it is met where it asks the database.
        "import sqlalchemy as sa; from sqlalchemy.engine import Engine;"
        "sa.event.listen(Engine, 'before_cursor_execute', lambda _, __, statement, *rest:"
        " die() if statement.startswith('INSERT INTO calls') else None)",
        "ledger.fill_partition = die",
    ):
        killed_rebuild(point)
    assert restored("rebuild", "--yes").exit_code == 0
    assert restored("audit").exit_code == 0
    assert restored("show", "acme").output.count("-$0.30") == 3


@pytest.mark.parametrize("is_filled_by", ["rebuild", "another command"])
def test_a_database_put_back_after_a_rebuild_was_killed_loses_nothing(
    caller, tmp_path, is_filled_by
):
    """The partition is out of service then, and only it knows three calls and a grant."""
    copy = tmp_path / "copy.db"
    caller("create", "bert", "--credit", "7", app=accounts.app)
    copy_book(caller.database, copy)
    on_redis(caller.url, _hold_calls)
    granted = caller("credit", "bert", "0.25", "--reference", "gift", app=accounts.app)
    assert granted.exit_code == 0, granted.output
    partition = str(partition_of("bert", PARTITIONS))
    killed_rebuild("ledger.fill_partition = die", "--partition", partition)
    copy_book(copy, caller.database)
    said = " ".join(caller("audit").output.split())
    assert f"out of service, with all its data: 1 of 64 partitions ({partition})" in said
    assert "lost its data" not in said
    assert "spend gate has a credit that the book has not: bert" in said
    assert "call has ended in the spend gate, and not in the book: bert-0" in said
    if is_filled_by != "rebuild":
        # It opens the stores as each command and node does.
        assert caller("unfreeze", "acme", "--reason", "r", app=accounts.app).exit_code == 0
        assert "out of service" not in caller("audit").output
    done = caller("rebuild", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == EXIT_FINDINGS, done.output
    assert "lost their data" not in said
    assert "bert │ 1 │ 0.250000 USD more" in said
    assert caller("show", "bert").output.count("-$0.30") == 3
    assert caller("rebuild", "--yes", "--forget-credits").exit_code == 0
    assert caller("audit").exit_code == 0


async def _copy(redis):
    return {key: (await redis.pttl(key), await redis.dump(key)) for key in await redis.keys("*")}


async def _put_back(copy, redis):
    await redis.flushall()
    for key, (left_ms, value) in copy.items():
        await redis.restore(key, max(left_ms, 0), value)


def test_a_credit_store_restored_from_an_older_copy_is_filled_and_nothing_is_given_twice(caller):
    copy = on_redis(caller.url, _copy)
    caller("create", "bert", "--credit", "7", app=accounts.app)
    on_redis(caller.url, _hold_calls)
    assert caller("rebuild", "--yes").exit_code == 0
    on_redis(caller.url, partial(_put_back, copy))
    audited = caller("audit")
    said = " ".join(audited.output.split())
    assert audited.exit_code == EXIT_FINDINGS
    assert "spend gate is an older copy than the book: 2 of 64 partitions" in said
    assert "Credit is not to be given again" in said
    done = caller("rebuild", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 0, done.output
    assert "2 of 64 partitions are an older copy." in said
    assert "grant them again" not in said
    audited = caller("audit")
    assert audited.exit_code == 0, audited.output
    assert "older copy" not in caller("rebuild", "--yes").output


def test_a_surplus_at_no_higher_number_of_credits_is_not_to_be_granted_again(caller):
    """Nothing proves an older copy: a book of an older version has no marks."""
    key = f"{{cr:{partition_of('acme', PARTITIONS)}}}:bal"
    on_redis(caller.url, lambda redis: redis.hincrby(key, "acme", 500_000))
    done = caller("rebuild", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == EXIT_FINDINGS
    assert "0 │ 0.500000" in said
    assert "grant nothing: it is spent" in said
    assert "grant them again" not in said


def test_less_than_in_the_book_beside_a_credit_that_it_lacks_is_said_so(caller):
    """As where the book lacks calls as well, and cannot be told of them."""

    async def credit_and_spend(redis):
        tag = f"{{cr:{partition_of('acme', PARTITIONS)}}}"
        await redis.hincrby(f"{tag}:cseq", "acme", 1)
        await redis.hincrby(f"{tag}:bal", "acme", -500_000)

    on_redis(caller.url, credit_and_spend)
    assert "1 │ 0.500000 USD less" in " ".join(caller("rebuild", "--yes").output.split())


async def _forget(redis, *names):
    for name in names:
        for key in await redis.keys(f"{{cr:*}}:{name}"):
            await redis.hdel(key, "acme-1")


@pytest.mark.parametrize("lost", [("ends",), ("ends", "began")])
def test_a_call_that_cannot_be_booked_is_given_up_only_if_told_to(restored, lost):
    on_redis(restored.url, lambda redis: _forget(redis, *lost))
    done = restored("rebuild", "--yes")
    assert done.exit_code == EXIT_FINDINGS, done.output
    said = " ".join(done.output.split())
    account = "acme" if lost == ("ends",) else "account unknown"
    assert f"{account} acme-1 seconds unknown 0.300000" in said
    assert "`call settled`" in said
    assert "--forget-calls" in said
    assert restored("rebuild", "--yes", "--forget-calls").exit_code == 0
    assert restored("audit").exit_code == 0
    # What it said is to be done, as it was said.
    taken = restored("credit", "acme", "--reference", "acme-1", "--", "-0.300000", app=accounts.app)
    assert taken.exit_code == 0, taken.output
    assert "Balance: $11.60" in taken.output
    assert restored("audit").exit_code == 0


@pytest.mark.parametrize("times", [1, 2])
def test_calls_are_booked_in_an_older_book_by_a_gate_that_was_filled_from_a_newer(
    caller, tmp_path, times
):
    copy = tmp_path / "copy.db"
    copy_book(caller.database, copy)
    caller("create", "bert", "--credit", "7", app=accounts.app)
    on_redis(caller.url, _hold_calls)
    assert caller("rebuild", "--yes").exit_code == 0
    for _ in range(times):
        on_redis(caller.url, lambda redis: redis.flushall())
        done = caller("rebuild", "--yes")
        assert done.exit_code == 0, done.output
        assert "64 of 64 partitions have lost their data" in done.output
    assert caller("audit").exit_code == 0
    copy_book(copy, caller.database)
    done = caller("rebuild", "--yes")
    said = " ".join(done.output.split())
    assert "lost their data" not in said
    for name in (f"{a} {a}-{n} 3 s 0.300000" for a in ("acme", "bert") for n in range(3)):
        assert said.count(name) == 1, done.output
    assert "Booked 6 calls." in said
    # Bert's account is younger than the copy, and so is what he was granted.
    assert "The book lacked account bert: it is recreated, frozen" in said
    assert done.exit_code == EXIT_FINDINGS, done.output
    assert "bert │ 1 │ 7.000000 USD" in said
    done = caller("rebuild", "--yes", "--forget-credits")
    assert done.exit_code == 0, done.output
    for arguments in (
        ("unfreeze", "bert", "--reason", "recreated"),
        ("new-key", "bert"),
        ("credit", "bert", "7", "--reference", "again"),
    ):
        assert caller(*arguments, app=accounts.app).exit_code == 0
    done = caller("audit")
    assert done.exit_code == 0, done.output
    assert "$11.60" in caller("show", "acme").output
    assert "$6.10" in caller("show", "bert").output


@pytest.mark.parametrize("restored", ["gateway"], indirect=True)
def test_a_refund_by_rule_that_a_restored_book_lacks_is_booked_again(restored):
    done = restored("rebuild", "--yes")
    assert done.exit_code == 0, done.output
    assert restored("audit").exit_code == 0
    with closing(sqlite3.connect(restored.database)) as book:
        query = "SELECT reference FROM credits WHERE kind = 'call-refund' ORDER BY reference"
        refunded = [reference for (reference,) in book.execute(query)]
    assert refunded == [f"call:{a}-{n}" for a in ("acme", "bert") for n in range(3)]


@pytest.mark.parametrize("named", ["accounts id", "calls account_id", "calls cause_name"])
def test_text_that_cannot_be_read_is_named_and_the_rest_is_audited(caller, named):
    on_redis(caller.url, _hold_calls)
    assert caller("rebuild", "--yes").exit_code == 0
    table, column = named.split()
    with closing(sqlite3.connect(caller.database, isolation_level=None)) as book:
        row = f"WHERE rowid = (SELECT min(rowid) FROM {table})"
        book.execute(f"UPDATE {table} SET {column} = CAST(x'63ff' AS TEXT) {row}")
    done = caller("audit")
    assert done.exit_code == EXIT_FINDINGS, done.output
    assert f"value that cannot be read: {table} " in done.output
    assert f"column {column})" in done.output
    assert ("x'63FF'" in done.output) == (column != "cause_name")
    assert "Correct the value in the row" in done.output
