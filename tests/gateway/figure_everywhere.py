"""What `test_figures` runs in a copy of the tree that has a new figure of each unit.

Each of them is in every place, though no line there names it.
"""

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa
from build_client import Client
from rich.console import Console

from billing.stores import tables
from billing.stores.call_forgetting import forget_older
from billing.stores.sql import SqlCdrStore
from docs import generate
from gateway.calls.call_view import ended_view
from gateway.carriers.twilio.carrier import CARRIER
from gateway.cli.calls import _record
from gateway.data_map import KINDS
from gateway.openapi import document
from gateway.personal_data.rows import SqlPersonalRows
from tests.billing.outbox_entries import START, closed, closing, opened
from tests.billing.sql.conftest import store
from tests.gateway.http.site.conftest import Site
from tests.gateway.new_figures import NEW, name_of

__all__ = ["store"]

MEASURED = {name_of(unit): new.value for unit, new in NEW.items()}
AS_JSON = msgspec.to_builtins(MEASURED, builtin_types=())
(CALLS,) = next(kind.sql for kind in KINDS if kind.name == "calls")


def ending(call_id, **measured):
    """Return the outbox's entry of an ended call."""
    plain = closed(call_id, 90, 3)
    detail = msgspec.structs.replace(closing(3), **measured)
    return replace(plain, fields={**plain.fields, "m": msgspec.json.encode(detail)})


@pytest.fixture
async def book(engine, store):
    """A book with a call that was measured, and one that was not."""
    await store.apply_outbox(3, [opened("c1", 100), ending("c1", **MEASURED)])
    await store.apply_outbox(3, [opened("c2", 100), ending("c2")])
    return engine


async def test_the_book_has_what_was_measured(book):
    records = SqlCdrStore(book)
    one, other = [await records.get("alice", name) for name in ("c1", "c2")]
    assert one.closed == msgspec.structs.replace(closing(3), **MEASURED)
    assert other.closed == closing(3)
    assert {getattr(other.closed, name) for name in MEASURED} == {None}


async def test_the_api_and_the_webhook_show_it(book):
    record = await SqlCdrStore(book).get("alice", "c1")
    shown = json.loads(msgspec.json.encode(ended_view(record, record.closed)))
    names = list(shown)
    assert names[names.index("echoed_seconds") : names.index("browser")] == list(MEASURED)
    assert {name: shown[name] for name in MEASURED} == AS_JSON


def test_the_documents_have_it():
    told = json.loads(msgspec.json.encode(document()))
    shape = told["components"]["schemas"]["CallView"]["properties"]
    assert shape["echoed_seconds"] == shape["carrier_seconds"]
    assert {kind["type"] for kind in shape["echoed_time"]["anyOf"]} == {"string", "null"}
    client = Client(told).shapes()
    webhooks, privacy = generate.webhooks(), generate.privacy()
    for unit, new in NEW.items():
        assert f"    {name_of(unit)}: {new.type} | None = None" in client
        assert f'"{name_of(unit)}": {json.dumps(new.example)}' in webhooks
        assert name_of(unit) in privacy


async def test_the_pages_and_the_csv_have_it(book):
    site = Site()
    site.world.add()
    await site.enter()
    record = await SqlCdrStore(book).get("alice", "c1")
    blank = await SqlCdrStore(book).get("alice", "c2")
    mine = [
        msgspec.structs.replace(r, opened=msgspec.structs.replace(r.opened, account_id="ada"))
        for r in (record, blank)
    ]
    site.books.records.kept = mine
    text = site.read(await site.get("/account/calls/c1")).text
    none = site.read(await site.get("/account/calls/c2")).text
    for unit, new in NEW.items():
        assert f"En words {unit.name.lower()} {new.page}" in text
        assert f"words {unit.name.lower()}" not in none
    reply = await site.get("/account/calls.csv")
    head, one, other = csv.reader(io.StringIO(reply.text, newline=""))
    at = head.index("echoed_seconds")
    assert head[at:] == list(MEASURED)
    assert one[at:] == [new.csv for new in NEW.values()]
    assert other[at:] == [""] * len(NEW)


async def test_the_operator_is_shown_it(book):
    console = Console(width=200, record=True, file=io.StringIO())
    record = await SqlCdrStore(book).get("alice", "c1")
    console.print(_record(record, record.closed, CARRIER))
    said = console.export_text()
    for unit, new in NEW.items():
        assert [new.said] == [
            line.partition("│")[2].strip()
            for line in said.splitlines()
            if f"en words {unit.name.lower()}" in line
        ]


async def test_it_is_exported_and_forgotten(book):
    kind = next(kind for kind in KINDS if kind.name == "calls")
    page = await SqlPersonalRows(book).page(kind, CALLS, "alice")
    (row, _) = (dict(zip(CALLS.exported, each, strict=True)) for each in page.rows)
    assert {name: row[name] for name in MEASURED} == MEASURED
    async with book.begin() as connection:
        late = START + timedelta(days=1)
        assert await connection.run_sync(forget_older, late, limit=9, now=late) == 2
        left = (await connection.execute(sa.select(tables.calls))).mappings().first()
    assert {left[name] for name in MEASURED} == {None, ""}
