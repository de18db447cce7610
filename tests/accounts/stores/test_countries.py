"""The countries of holders on both databases."""

from accounts.stores import countries
from tests.accounts.stores.conftest import NOW


async def test_countries_are_opened_and_closed_once(change, people):
    async with change() as connection:
        assert await countries.open_country(connection, "alice", "DE", NOW)
        assert not await countries.open_country(connection, "alice", "DE", NOW)
        assert await countries.open_country(connection, "alice", "AT", NOW)
        assert await countries.open_country(connection, "bob", "FR", NOW)
        assert await countries.of_account(connection, "alice") == {"AT", "DE"}
        assert await countries.close_country(connection, "alice", "DE")
        assert not await countries.close_country(connection, "alice", "FR")
        assert await countries.of_account(connection, "alice") == {"AT"}
        assert await countries.of_account(connection, "bob") == {"FR"}
