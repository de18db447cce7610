"""Figures are written by their units."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from billing.cdr import MEASURED
from billing.figures import Figure, Unit
from gateway.calls.shown_figures import cell_of, measured, text_of, time_cell
from tests.billing.outbox_entries import closing

AT = datetime(2026, 11, 24, 12, 0, 3, tzinfo=UTC)
ENDED = msgspec.structs.replace(closing(3), carrier_seconds=0, carrier_code=31, answered_at=None)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.SECONDS, 75, "75 s"),
        (Unit.COUNT, 0, "0"),
        (Unit.MICROS, 2_500_000, "€2.50"),
        (Unit.RATIO, 0.125, "12.5%"),
        (Unit.TEXT, "west", "west"),
        (Unit.TIME, AT, "2026-11-24 12:00:03 UTC"),
    ],
)
def test_people_read_a_value_with_its_unit(unit, value, text):
    assert text_of(Figure(unit), value, "EUR") == text


def test_only_what_was_measured_is_shown():
    found = {figure.name: value for figure, value in measured(ENDED, MEASURED)}
    assert found == {"ringing_at": ENDED.ringing_at, "carrier_seconds": 0, "carrier_code": 31}
    assert list(measured(None, MEASURED)) == []


@pytest.mark.parametrize(
    ("figure", "cell"),
    [
        (Figure(Unit.SECONDS, name="carrier_seconds"), 0),
        (Figure(Unit.MICROS, name="carrier_code"), Decimal("0.000031")),
        (Figure(Unit.TEXT, name="carrier_text"), ""),
        (Figure(Unit.TIME, name="ended_at"), "2026-11-24T12:00:08Z"),
    ],
)
def test_a_cell_is_empty_where_nothing_was_measured(figure, cell):
    assert cell_of(figure, ENDED) == cell
    assert cell_of(figure, None) == ""


def test_a_moment_in_a_spreadsheet():
    assert (time_cell(AT), time_cell(None)) == ("2026-11-24T12:00:03Z", "")
