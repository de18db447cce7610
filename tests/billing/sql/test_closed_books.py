"""Books that end: what is too old goes, what it came to stays, and every fault of it is named."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from billing.payments import PaymentState
from billing.stores import audit as audit_module
from billing.stores import closed_books, tables
from billing.stores.audit import ADVICE, audit, totals
from billing.stores.call_forgetting import forget_older
from billing.stores.closed_books import names_of
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlLedgerStore
from billing.stores.statement import SqlStatementStore
from tests.billing.outbox_entries import closed, costing, opened
from tests.billing.sql.test_planted_faults import plant
from tests.clock import Clock
from tests.thorough import one_in

SPRING = datetime(2020, 4, 1, tzinfo=UTC)
NEW_YEAR = datetime(2021, 1, 1, tzinfo=UTC)
SUMMER = datetime(2021, 7, 1, tzinfo=UTC)
LATER = datetime(2022, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BOOKS = ("credits", "transfers", "calls", "payments", "closed_books", "closed_credits")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(audit_module, "RECHECK_S", 0)


async def accounts_due(connection, until):
    return await connection.run_sync(closed_books.accounts_due, until, after="", limit=9)


class Book:
    """A book that is written at any time, and closed until any."""

    def __init__(self, engine):
        self.engine = engine
        self.clock = Clock(SPRING)
        self.ledger = SqlLedgerStore(engine, clock=self.clock)
        self.payments = SqlPaymentStore(engine, clock=self.clock)
        self.statements = SqlStatementStore(engine)

    async def credit(self, at, micros, reference, kind="grant", account="alice", **of):
        self.clock.now = at
        return await self.ledger.add_credit(account, micros, reference=reference, kind=kind, **of)

    async def call(self, at, name, micros, *, refunded_at=None, written_off=0):
        self.clock.now = at + MINUTE
        rate = costing(micros + written_off)
        entries = [
            opened(name, micros, at=at, rate=rate),
            closed(name, micros, 30, at=at, written_off=written_off),
        ]
        await self.ledger.apply_outbox(0, entries)
        if refunded_at is not None:
            await self.credit(refunded_at, micros, f"call:{name}", "call-refund", call_id=name)

    async def pay(self, at, name, micros, state="paid"):
        self.clock.now = at
        await self.payments.create(name, "alice", "checkout", micros, "USD")
        await self.credit(
            at, micros, f"pi:{name}", "top-up", payment_id=name, reason="Top-up by card."
        )
        await self.state(at, name, state)

    async def state(self, at, name, state):
        self.clock.now = at
        await self.payments.record(name, PaymentState(state), payment_intent_id=name)

    async def close(self, until=NEW_YEAR, *, limit=100, batches=None):
        """Close alice's books; return how many entries went with each batch."""
        async with self.engine.begin() as connection:
            await connection.run_sync(forget_older, until, limit=1_000, now=until)
        counts = []
        while batches is None or len(counts) < batches:
            async with self.engine.begin() as connection:
                due = await accounts_due(connection, until)
                if not due:
                    break
                count, _ = await connection.run_sync(
                    closed_books.close_some, due[0], until, limit=limit
                )
            counts.append(count)
        return counts

    async def due(self, until=NEW_YEAR):
        async with self.engine.connect() as connection:
            return await connection.run_sync(closed_books.count_due, until)

    async def rows(self, name, *columns):
        table = tables.metadata.tables[name]
        async with self.engine.connect() as connection:
            query = sa.select(*(table.c[column] for column in columns)).order_by(*table.primary_key)
            return [row if len(columns) > 1 else row[0] for row in await connection.execute(query)]


@pytest.fixture
async def empty(engine):
    """A book with two accounts, and nothing in it."""
    async with engine.begin() as connection:
        rows = [
            tables.new_account(name, "USD", SPRING - timedelta(days=1)) for name in ("alice", "bob")
        ]
        await connection.execute(sa.insert(tables.accounts), rows)
    return Book(engine)


@pytest.fixture
async def book(empty):
    """A book of two years; what is of 2020 alone, what reaches over, and what is of 2021."""
    await empty.credit(SPRING, 1_000, "gift")
    await empty.call(SPRING, "c1", 100)
    await empty.call(SPRING, "c2", 50, written_off=7)
    await empty.call(SPRING, "c3", 0)
    await empty.call(SPRING, "refunded", 30, refunded_at=SPRING + MINUTE)
    await empty.call(NEW_YEAR - 2 * MINUTE, "reaching", 40, refunded_at=NEW_YEAR + MINUTE)
    await empty.pay(SPRING, "p1", 500)
    await empty.credit(SPRING, -200, "refund:p1:200:x", "refund", payment_id="p1")
    await empty.pay(SPRING, "p2", 600)
    await empty.credit(SUMMER, -600, "du:p2", "dispute", payment_id="p2")
    await empty.state(SUMMER, "p2", "lost")
    await empty.pay(SPRING, "p3", 70)
    await empty.credit(SPRING, -70, "du:p3", "dispute", payment_id="p3")
    await empty.state(SPRING, "p3", "disputed")
    await empty.call(SUMMER, "new", 60)
    await empty.credit(SUMMER, 5, "welcome", account="bob")
    assert await audit(empty.engine) == []
    return empty


BALANCE = 1_000 - 100 - 50 - 60 + 300
CARRIED = {
    "customer_micros": 1_000 - 100 - 50 + 300,
    "payments_micros": -300,
    "grants_micros": -1_000,
    "revenue_micros": 100 + 57,
    "write_off_micros": -7,
}


async def test_what_is_too_old_is_carried_forward_and_goes(book):
    due = await book.due()
    assert await book.close() == [due]
    assert due == len(("gift", "c1", "c2", "c2 written off", *("refunded",) * 2, *("p1",) * 2))
    assert await book.due() == 0
    (row,) = await book.rows("closed_books", "account_id", "until", "closing", *CARRIED)
    assert (*row[:3], dict(zip(CARRIED, row[3:], strict=True))) == (
        "alice",
        NEW_YEAR,
        None,
        CARRIED,
    )
    # What reaches into the next year stays whole, and so does what is not decided.
    assert await book.rows("calls", "id") == ["new", "reaching"]
    assert await book.rows("payments", "id") == ["p2", "p3"]
    assert await book.rows("credits", "reference") == [
        "call:reaching",
        "pi:p2",
        "du:p2",
        "pi:p3",
        "du:p3",
        "welcome",
    ]
    closed_numbers = await book.rows("closed_credits", "sequence", "reference")
    assert closed_numbers == [
        (1, "gift"),
        (2, "call:refunded"),
        (4, "pi:p1"),
        (5, "refund:p1:200:x"),
    ]
    assert await book.ledger.balance("alice") == BALANCE
    assert await audit(book.engine) == []


async def test_each_batch_leaves_a_book_that_adds_up(book):
    before = await totals(book.engine)
    counts = []
    for _ in range(9):
        counts += await book.close(limit=1, batches=1)
        assert await audit(book.engine) == []
        (now,) = await totals(book.engine)
        assert now.balances == before[0].balances == now.carried + now.credits - now.charges
    # A call, a payment and a gift; then a call at a time, of which one has cost nothing.
    assert [*counts, *await book.close(limit=1)] == [1 + 2 + 1, 2, 0, 2, 0]
    assert await book.rows("closed_books", *CARRIED) == [tuple(CARRIED.values())]


async def test_the_next_year_goes_on_from_what_was_carried(book):
    await book.close()
    await book.state(SUMMER, "p3", "won")
    await book.credit(SUMMER, 70, "du:p3:won", "dispute", payment_id="p3")
    assert await audit(book.engine) == []
    assert len(await book.close(LATER)) == 2
    for name in ("transfers", "credits", "calls", "payments"):
        assert await book.rows(name, *tables.metadata.tables[name].primary_key.columns.keys()) == []
    rows = await book.rows("closed_books", "account_id", "until", *CARRIED)
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("alice", LATER, BALANCE + 70),
        ("bob", LATER, 5),
    ]
    assert await audit(book.engine) == []
    # Accounts go on: the numbers of credits too.
    assert await book.credit(LATER, 9, "again") == len(
        await book.rows("closed_credits", "sequence")
    )
    assert await audit(book.engine) == []


async def test_nothing_of_closed_books_is_booked_twice(book):
    await book.close()
    assert await book.credit(SUMMER, 1_000, "gift") is None
    assert await book.credit(SUMMER, 500, "pi:p1", "top-up", payment_id="p1") is None
    assert await book.payments.is_booked("pi:p1")
    assert await book.payments.closed(["pi:p1", "pi:p2"]) == {"pi:p1"}
    # A gate that is a copy of then tells its calls once more; that of another account is unknown.
    again = [
        opened("c1", 100, at=SPRING, rate=costing(100)),
        closed("c1", 100, 30, at=SPRING),
        closed("c2", 50, 30, at=SPRING),
    ]
    book.clock.now = NEW_YEAR + timedelta(days=400)
    await book.ledger.apply_outbox(0, again)
    assert await book.rows("calls", "id") == ["new", "reaching"]
    lost = [opened("lost", 9, "bob", at=SPRING, rate=costing(9)), closed("lost", 9, 9, "bob")]
    await book.ledger.apply_outbox(0, lost)
    assert "lost" in await book.rows("calls", "id")
    assert await book.ledger.balance("alice") == BALANCE
    assert await book.ledger.balance("bob") == 5 - 9


async def test_what_comes_back_of_a_payment_whose_books_are_closed_is_booked(book):
    await book.close()
    await book.payments.create("p1", "alice", "checkout", 500, "USD")
    await book.credit(SUMMER, -30, "re:late", "refund", payment_id="p1")
    await book.state(SUMMER, "p1", "paid")
    assert await audit(book.engine) == []
    assert await book.ledger.balance("alice") == BALANCE - 30
    await book.close(LATER)
    assert await audit(book.engine) == []


async def delete(book, at=SUMMER):
    async with book.engine.begin() as connection:
        account = tables.accounts.c
        gone = sa.update(tables.accounts).where(account.id == "alice")
        await connection.execute(gone.values(deleted_at=at, frozen=True))


NAMES = ["gift", "call:refunded", "pi:p1", "refund:p1:200:x"]


@pytest.mark.parametrize("is_first", [True, False])
async def test_of_a_deleted_account_no_name_is_left_and_nothing_is_booked_twice(book, is_first):
    if is_first:
        await delete(book)
        await book.close(limit=1)
    else:
        # Closed while it lived: what it was deleted with is hidden with the next round.
        await book.close()
        await delete(book)
        assert await book.close(limit=3) == [0, 0]
    hidden = await book.rows("closed_credits", "reference")
    assert hidden == [names_of(name)[1] for name in NAMES]
    assert not [name for name in NAMES if name in str(hidden)]
    rows = await book.rows("closed_books", "until", "closing", *CARRIED)
    assert rows == [(NEW_YEAR, None, *CARRIED.values())]
    assert await audit(book.engine) == []
    assert await book.close() == []
    assert await book.credit(SUMMER, 1_000, "gift") is None
    assert await book.credit(SUMMER, 500, "pi:p1", "top-up", payment_id="p1") is None
    assert await book.payments.is_booked("pi:p1")
    assert await book.payments.closed(["pi:p1", "pi:p2"]) == {"pi:p1"}
    assert await book.ledger.balance("alice") == BALANCE
    # What comes back yet of a payment whose books are closed is booked.
    await book.payments.create("p1", "alice", "checkout", 500, "USD")
    await book.credit(SUMMER, -30, "re:late", "refund", payment_id="p1")
    await book.state(SUMMER, "p1", "paid")
    assert await audit(book.engine) == []


async def test_each_batch_that_hides_names_leaves_a_book_that_adds_up(book):
    await book.close()
    await delete(book)
    for left in range(len(NAMES), 0, -1):
        names = await book.rows("closed_credits", "reference")
        assert sum(not name.startswith("sha256:") for name in names) == left
        assert await book.close(limit=1, batches=1) == [0]
        assert await audit(book.engine) == []
    # One look more, which finds none.
    assert await book.close(limit=1) in ([], [0])


async def test_who_may_be_closed_for_a_shorter_time_is_not_opened_again(book):
    await book.close()
    await delete(book)
    await book.close(SUMMER - timedelta(days=300))
    assert await book.rows("closed_books", "until") == [NEW_YEAR]


async def test_a_number_of_a_deleted_accounts_credit_is_missed(book):
    await book.close()
    await delete(book)
    await book.close()
    await plant(book.engine, "DELETE FROM closed_credits WHERE sequence = 4")
    found = await audit(book.engine)
    assert [one.startswith("credit sequence has gaps") for one in found] == [True]


async def test_a_statement_begins_with_what_was_carried(book):
    whole = await book.statements.page("alice", limit=50)
    await book.close()
    left = await book.statements.page("alice", limit=50)
    first = left[-1]
    assert (first.kind, first.at, first.micros, first.balance_micros) == (
        "carried-forward",
        NEW_YEAR,
        *(CARRIED["customer_micros"],) * 2,
    )
    assert (left[0].reference, left[0].balance_micros) == (whole[0].reference, BALANCE)
    balance = 0
    for line in reversed(left):
        balance += line.micros
        assert line.balance_micros == balance
    paged, before = [], None
    while page := await book.statements.page("alice", limit=2, before=before):
        paged += page
        before = page[-1].reference
    assert paged == left
    assert await book.statements.page("alice", limit=2, before="nobody's") == []
    assert [line.kind for line in await book.statements.page("bob", limit=9)] == ["grant"]


@pytest.mark.parametrize("name", ["restricted", "with a whole call"])
async def test_an_account_that_may_not_be_closed_stays(book, name):
    async with book.engine.begin() as connection:
        if name == "restricted":
            row = {"account_id": "alice", "reason": "restricted", "at": SPRING}
            await connection.execute(sa.insert(tables.freezes).values(row))
        else:
            await connection.run_sync(forget_older, NEW_YEAR, limit=1, now=NEW_YEAR)
        assert await accounts_due(connection, NEW_YEAR) == []
        closed_now = await connection.run_sync(closed_books.close_some, "alice", NEW_YEAR, limit=9)
        assert closed_now == (0, True)
    assert await book.due() == (0 if name == "restricted" else 8)
    assert await book.rows("closed_books", "account_id") == []


async def test_money_that_names_no_payment_stays_while_there_are_payments(empty):
    await empty.credit(SPRING, 500, "transfer of a bank", "top-up")
    assert await empty.close() == [1]
    await empty.credit(SUMMER, 500, "another", "top-up")
    await empty.pay(SUMMER + 2 * MINUTE, "p1", 9)
    assert await empty.close(SUMMER + MINUTE) == [0]
    assert await empty.rows("credits", "reference") == ["another", "pi:p1"]


BOUND = f"'{NEW_YEAR:%Y-%m-%d %H:%M:%S.%f}'"
MARK = f"UPDATE closed_books SET closing = {BOUND} WHERE account_id = 'alice'"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transfers WHERE reference = 'charge:reaching'",
        "DELETE FROM credits WHERE reference = 'pi:p2'",
        "UPDATE transfers SET micros = 1 WHERE reference = 'charge:reaching'",
        "UPDATE credits SET micros = 1 WHERE reference = 'pi:p2'",
        "UPDATE closed_books SET customer_micros = customer_micros + 1",
        "UPDATE closed_books SET until = closing",
        "DELETE FROM closed_books",
        "DELETE FROM closed_credits",
        "UPDATE closed_credits SET reference = 'x'",
    ],
)
async def test_the_database_itself_refuses_all_else(book, statement):
    await book.close()
    async with book.engine.connect() as connection:
        with pytest.raises(DBAPIError, match="immutable"):
            await connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("table", "reference"), [("transfers", "charge:new"), ("credits", "du:p2")]
)
async def test_while_books_are_closed_nothing_younger_goes_and_nothing_of_others(
    book, table, reference
):
    await book.close()
    for which in (f"reference = '{reference}'", "account_id = 'bob'"):
        async with book.engine.connect() as connection:
            await connection.exec_driver_sql(MARK)
            with pytest.raises(DBAPIError, match="immutable"):
                await connection.exec_driver_sql(f"DELETE FROM {table} WHERE {which}")


async def test_whatever_is_deleted_is_carried_by_the_database(book):
    await book.close()
    async with book.engine.begin() as connection:
        await connection.exec_driver_sql(MARK)
        for table, name in (("transfers", "credit:pi:p2"), ("credits", "pi:p2")):
            await connection.exec_driver_sql(f"DELETE FROM {table} WHERE reference = '{name}'")
        await connection.exec_driver_sql("UPDATE closed_books SET closing = NULL")
    (carried,) = await book.rows("closed_books", "customer_micros")
    assert carried == CARRIED["customer_micros"] + 600
    assert "pi:p2" in await book.rows("closed_credits", "reference")
    assert not [one for one in await audit(book.engine) if one.startswith("balance")]


FAULTS = {
    "one micro too much": (
        "UPDATE closed_books SET customer_micros = customer_micros + 1",
        ("books carried forward do not balance", "balance is not ledger less holds"),
    ),
    "one micro too much, made to balance": (
        "UPDATE closed_books SET customer_micros = customer_micros + 1,"
        " grants_micros = grants_micros - 1",
        ("balance is not ledger less holds",),
    ),
    "one micro of what customers do not see": (
        "UPDATE closed_books SET write_off_micros = write_off_micros - 1",
        ("books carried forward do not balance",),
    ),
    "carried twice": (
        f"UPDATE closed_books SET {', '.join(f'{name} = 2 * {name}' for name in CARRIED)}",
        ("balance is not ledger less holds",),
    ),
    "carried, and gone": (
        "DELETE FROM closed_books",
        ("balance is not ledger less holds",),
    ),
    "a number of a credit gone": (
        "DELETE FROM closed_credits WHERE sequence = 4",
        ("credit sequence has gaps",),
    ),
    "a charge gone without being carried": (
        "DELETE FROM transfers WHERE reference = 'charge:reaching';"
        "DELETE FROM transfers WHERE reference = 'credit:call:reaching';"
        "DELETE FROM credits WHERE reference = 'call:reaching';"
        "DELETE FROM calls WHERE id = 'reaching'",
        ("credit sequence has gaps",),
    ),
    "a charge of a closed year is still there": (
        "INSERT INTO calls SELECT * FROM old_calls WHERE id = 'c1';"
        "INSERT INTO transfers SELECT * FROM old_transfers WHERE call_id = 'c1'",
        (
            "entry of closed books is still there",
            "call of closed books is still there",
            "balance is not ledger less holds",
        ),
    ),
    "a payment of a closed year is still there": (
        "INSERT INTO payments SELECT * FROM old_payments WHERE id = 'p1';"
        "INSERT INTO credits SELECT * FROM old_credits WHERE payment_id = 'p1'",
        ("payment of closed books is still there", "credit is booked and closed"),
    ),
    "a transfer of a credit that is closed": (
        "INSERT INTO transfers SELECT * FROM old_transfers WHERE reference = 'credit:gift'",
        ("transfer of a credit that is closed", "transfer without its credit"),
    ),
    "left open": (MARK, ("books left open for deletion",)),
}


@pytest.mark.parametrize("fault", one_in(4, FAULTS))
async def test_each_fault_is_found(book, fault):
    statements, rules = FAULTS[fault]
    async with book.engine.begin() as connection:
        await connection.run_sync(forget_older, NEW_YEAR, limit=1_000, now=NEW_YEAR)
        for name in BOOKS:
            await connection.exec_driver_sql(f"CREATE TABLE old_{name} AS SELECT * FROM {name}")
    await book.close()
    await plant(book.engine, *statements.split(";"))
    found = await audit(book.engine)
    for rule in rules:
        assert [one for one in found if one.startswith(f"{rule}: ")], (rule, found)
    assert all(ADVICE[one.partition(": ")[0]] for one in found)


async def test_an_account_is_carried_once(book):
    await book.close()
    with pytest.raises(DBAPIError):
        await plant(book.engine, "INSERT INTO closed_books SELECT * FROM closed_books")
