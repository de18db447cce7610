"""What an operator says of an act is kept for years: it must say something."""

import pytest

from gateway.operators import OPERATOR_MAX, REASON_MAX, Order


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("", "r"),
        ("kim", " "),
        ("k" * (OPERATOR_MAX + 1), "r"),
        ("kim", "r" * (REASON_MAX + 1)),
        ("kim", "two\nlines"),
    ],
)
def test_an_order_needs_an_operator_and_a_reason(operator, reason):
    with pytest.raises(ValueError, match="are needed"):
        Order(operator, reason)


def test_the_longest_of_both_is_accepted():
    assert Order("k" * OPERATOR_MAX, "ü" * REASON_MAX).reason[0] == "ü"
