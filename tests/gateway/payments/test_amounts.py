"""Which amounts can be charged: within the operator's bounds, in whole minor units."""

import pytest

from gateway.errors import RequestRefusedError
from gateway.payments.amounts import chargeable
from gateway.settings import Settings

UNIT = 1_000_000


@pytest.mark.parametrize(
    ("micros", "currency", "minor"),
    [(5 * UNIT, "USD", 500), (500 * UNIT, "USD", 50_000), (12_340_000, "EUR", 1_234)],
)
def test_an_amount_within_the_bounds_is_told_in_minor_units(micros, currency, minor):
    assert chargeable(Settings(), micros, currency) == minor


@pytest.mark.parametrize("micros", [0, 5 * UNIT - 1, 500 * UNIT + 1, 12_345_000])
def test_what_cannot_be_charged_is_refused(micros):
    with pytest.raises(RequestRefusedError) as refused:
        chargeable(Settings(), micros, "USD")
    assert (refused.value.code, refused.value.field) == ("amount_out_of_range", "amount")
