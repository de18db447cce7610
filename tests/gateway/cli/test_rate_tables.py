"""Rates as tables: what they say, on a terminal of any width."""

import pytest
from rich.console import Console

from billing.rate_changes import Margin, diff
from billing.rate_deck import COLUMNS, OPTIONAL_COLUMNS, DeckEntry, RateDeck, carrier_rate
from billing.rating import Rate
from gateway.cli import rate_tables

HEADER = ",".join((*COLUMNS, *OPTIONAL_COLUMNS)) + "\n"


def deck(*rows):
    return RateDeck.from_csv(HEADER + "\n".join(row + "," * len(OPTIONAL_COLUMNS) for row in rows))


def shown(*parts):
    console = Console(width=200)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return " ".join(capture.get().split())


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ({}, "$0.0130/min 1/1"),
        (
            {"first_s": 60, "next_s": 6, "connect_fee_micros": 10_000},
            "$0.0130/min 60/6 + $0.01",
        ),
        (
            {"free_s": 5, "minimum_micros": 50_000, "cap_micros": 1_000_000},
            "$0.0130/min 1/1, 5 s free, at least $0.05, at most $1.00",
        ),
    ],
)
def test_a_rate_in_words(rate, words):
    assert rate_tables.terms(Rate(per_minute_micros=13_000, **rate), "USD") == words


def test_a_deck_says_what_is_denied():
    shown_deck = shown(
        rate_tables.deck(deck("44,[UK],GB,0.01,0,1,1", "447,,,deny,,,"), ["44", "447"], "USD")
    )
    assert "44 │ [UK] │ GB │ $0.01/min 1/1" in shown_deck
    assert "447 │ │ │ denied" in shown_deck


def test_changes_are_counted_and_the_largest_are_listed(monkeypatch):
    before = deck("44,UK,GB,0.01,0,1,1", "49,Germany,DE,0.01,0,1,1", "33,France,FR,0.01,0,1,1")
    after = deck("44,UK,GB,0.09,0,1,1", "49,Germany,DE,0.011,0,1,1", "33,,,deny,,,")
    monkeypatch.setattr(rate_tables, "ROWS_MAX", 2)
    said = shown(*rate_tables.changes(diff(before, after), "USD"))
    assert said.startswith("1 denied, 2 dearer")
    assert "44 │ UK │ dearer │ $0.01/min 1/1 │ $0.09/min 1/1" in said
    assert "33 │ France │ denied │ $0.01/min 1/1 │ —" in said
    assert "Germany" not in said
    assert said.endswith("Smaller changes, not listed: 1.")
    assert shown(*rate_tables.changes(diff(after, after), "USD")) == "No price changes."


def margin(price, cost):
    (entry,) = deck(f"44,UK,GB,{price},0,1,1")
    return Margin("44", entry, carrier_rate(cost))


def test_the_carriers_minutes_are_told_without_costs():
    said = shown(*rate_tables.earnings([]))
    for words in ("1 min │ 1.582", "3 min │ 1.176", "5 min │ 1.104"):
        assert words in said
    assert "Warning" not in said


def test_losses_are_told_and_the_largest_come_first():
    small, large, none = margin("0.013", 10_000), margin("0.010", 10_000), margin("0.02", 10_000)
    assert rate_tables.losing([small, none, large]) == [large, small]
    said = shown(*rate_tables.earnings([small, none, large]))
    assert "1 min │ 1.582 │ -36.3 % │ 2" in said
    assert "3 min │ 1.176 │ -14.8 % │ 1" in said
    assert "Warning: prefixes sold below what they cost: 2" in said
    said = shown(*rate_tables.earnings([none, margin("0.02", 0)]))
    assert "1 min │ 1.582 │ +27.4 % │ none" in said
    assert "—" in shown(*rate_tables.earnings([margin("0.02", 0)]))


def test_a_quote_says_prices_and_how_long_a_credit_lasts():
    (entry,) = deck("44,UK,GB,0.60,0,1,1")
    said = shown(rate_tables.quote(entry, "USD", [1, 10], 1_010_000))
    for words in ("+44 UK", "1 min │ $0.60", "10 min │ $6.00", "$1.01 lasts │ 1 min 41 s"):
        assert words in said
    (free,) = deck("44,UK,GB,0,0,1,1")
    assert "$1.00 lasts │ without end" in shown(rate_tables.quote(free, "USD", [], 1_000_000))
    (cheap,) = deck("44,UK,GB,0.0001,0,1,1")
    for micros, words in ((143_999, "1439 min 59 s"), (144_000, "a day or more")):
        assert f"lasts │ {words}" in shown(rate_tables.quote(cheap, "USD", [], micros))
    capped = DeckEntry("44", "UK", "GB", Rate(per_minute_micros=100, cap_micros=200))
    assert "lasts │ without end" in shown(rate_tables.quote(capped, "USD", [], 200))
    assert "lasts │ 1 min 59 s" in shown(rate_tables.quote(capped, "USD", [], 199))


def test_prefixes_whose_shortest_calls_lose_are_told():
    found = [margin("0.02", 10_000), margin("0.02", 0)]
    assert rate_tables.losing(found) == []
    said = shown(*rate_tables.earnings(found))
    assert "sold below the minute that the carrier bills: 1 (44)." in said
    assert "Warning" not in shown(*rate_tables.earnings(found[1:]))
