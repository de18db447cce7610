"""What a request undertakes: what goes along with its first change, and what may have happened."""

import asyncio

import pytest
import sqlalchemy as sa

from database.engine import TIMEOUT_S, Transactions, reading, writing
from database.undertaking import note_change, undertaken

PUT = sa.text("INSERT INTO event_forgetting (id) VALUES (:id)")


async def ids(engine):
    async with engine.connect() as connection:
        found = await connection.scalars(sa.text("SELECT id FROM event_forgetting ORDER BY id"))
        return found.all()


async def along(connection):
    await connection.execute(PUT, {"id": 1})


async def put(engine, number):
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.execute(PUT, {"id": number})


async def test_what_goes_along_is_written_with_the_first_change_and_no_other(engine):
    with undertaken() as work:
        work.along = along
        async with reading(engine, TIMEOUT_S):
            pass
        assert not work.may_be_done
        await put(engine, 2)
        assert work.may_be_done
        await put(engine, 3)
    assert await ids(engine) == [1, 2, 3]


async def test_what_was_rolled_back_took_nothing_along_and_the_next_change_does(engine):
    with undertaken() as work:
        work.along = along
        with pytest.raises(sa.exc.IntegrityError):
            # What goes along is there already, within this transaction.
            await put(engine, 1)
        assert (await ids(engine), work.may_be_done) == ([], False)
        await put(engine, 2)
    assert await ids(engine) == [1, 2]


async def test_what_goes_along_may_refuse_the_change(engine):
    async def refuse(_connection):
        raise LookupError

    with undertaken() as work:
        work.along = refuse
        with pytest.raises(LookupError):
            await put(engine, 2)
    assert (await ids(engine), work.may_be_done) == ([], False)


async def test_a_change_in_a_thread_or_elsewhere_may_have_happened_too(engine):
    with undertaken() as work:
        await Transactions(engine, TIMEOUT_S).run(lambda _connection: None)
        assert work.may_be_done
    with undertaken() as work:
        note_change()
        assert work.may_be_done


async def test_a_task_that_outlives_it_is_no_part_of_it(engine):
    may_go_on = asyncio.Event()

    async def later():
        await may_go_on.wait()
        await put(engine, 2)

    with undertaken() as work:
        work.along = along
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    may_go_on.set()
    await task
    assert (await ids(engine), work.may_be_done) == ([2], False)
    note_change()
