"""The table of rates is made once for a deck and a closed list, and anew for others."""

from types import SimpleNamespace

from billing.rate_deck import RateDeck
from gateway.call.high_risk import ClosedList
from gateway.calls.rate_table import RateTable

DECK = """prefix,description,country,rate_per_minute,connect_fee,first,next
53,Cuba,CU,0.90,0,1,1
"""


async def test_it_follows_the_deck_and_the_closed_list():
    rates = SimpleNamespace(deck=RateDeck.from_csv(DECK))
    closed = SimpleNamespace(closed=ClosedList())
    table = RateTable(rates, closed)
    first = await table.countries()
    assert first["CU"][0].is_closed
    assert await table.countries() is first
    closed.closed = ClosedList(["53"])
    assert not (await table.countries())["CU"][0].is_closed
    rates.deck = RateDeck({})
    assert await table.countries() == {}
