"""What visitors are told of refusals says nothing of the owner's money, number or account."""

import pytest

from gateway.embed.refusals import told_to_visitor
from gateway.problems import PROBLEMS


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_no_refusal_tells_of_credit_price_number_or_account(code):
    problem = PROBLEMS[told_to_visitor(code)]
    text = f"{problem.message} {problem.action}".lower()
    assert not [word for word in ("credit on", "top up", "account", "price", "+44") if word in text]
    assert told_to_visitor(told_to_visitor(code)) == told_to_visitor(code)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("insufficient_credit", "button_unavailable"),
        ("account_frozen", "button_unavailable"),
        ("country_closed", "button_unavailable"),
        ("number_high_risk", "button_unavailable"),
        ("cap_reached", "budget_reached"),
        ("too_many_calls", "button_busy"),
        ("calls_limited", "button_limited"),
        ("gateway_full", "gateway_full"),
        ("bad_token", "bad_token"),
        ("no such code", "button_unavailable"),
    ],
)
def test_each_refusal_has_its_words(code, told):
    assert told_to_visitor(code) == told
