"""A button as a visitor finds it: whether it takes calls now, and why not."""

from datetime import UTC, datetime

import pytest

from gateway.embed.found_button import FoundButton
from gateway.embed.hours import OpeningHours
from gateway.embed.keys import KeyMode
from gateway.embed.rules import ButtonRules

NEVER = OpeningHours(week=((),) * 7)


@pytest.mark.parametrize(
    ("is_paused", "hours", "code"),
    [
        (False, OpeningHours(), ""),
        (False, NEVER, "button_closed"),
        (True, OpeningHours(), "button_paused"),
        # Which its owner has to end, whatever the hour.
        (True, NEVER, "button_paused"),
    ],
)
def test_a_button_takes_calls_while_it_is_open_and_not_paused(is_paused, hours, code):
    rules = ButtonRules(title="Sales", destination="+15005551000", hours=hours)
    button = FoundButton(
        "b1", "alice", "k1", KeyMode.LIVE, rules, is_paused=is_paused, key="ck", ends_at=None
    )
    assert button.refusal(datetime(2026, 11, 27, 12, tzinfo=UTC)) == code
