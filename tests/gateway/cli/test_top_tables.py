"""What gives way where a terminal is narrow."""

import pytest
from rich.console import Console

from gateway.cli.top_tables import Fitting, Part, Row, fit

PARTS = (Part("key"), Part("state", 1), Part("name", 2, least=4), Part("more", 3, justify="right"))
WIDTHS = (10, 6, 20, 5)


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (49, {0: 10, 1: 6, 2: 20, 3: 5}),
        (48, {0: 10, 1: 6, 2: 19, 3: 5}),
        (33, {0: 10, 1: 6, 2: 4, 3: 5}),
        # What has gone makes room for what was cut.
        (32, {0: 10, 1: 6, 2: 10}),
        (26, {0: 10, 1: 6, 2: 4}),
        (25, {0: 10, 1: 6}),
        (19, {0: 10}),
        (12, {0: 10}),
        (11, {0: 9}),
        (1, {0: 1}),
    ],
)
def test_what_can_be_cut_is_cut_first_and_what_matters_least_goes_first(room, shown):
    assert fit(PARTS, WIDTHS, room) == shown


def drawn(width, rows):
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(Fitting(PARTS, rows))
    return [line.split() for line in captured.get().splitlines()]


def test_a_table_is_drawn_as_wide_as_there_is_room_and_its_keys_stay_whole():
    rows = [Row(("k" * 10, "open", "n" * 20, "5")), Row(("[red]", "lost", "", "6"), "red")]
    head = ["key", "state", "name", "more"]
    assert drawn(80, rows) == [head, ["k" * 10, "open", "n" * 20, "5"], ["[red]", "lost", "6"]]
    assert drawn(35, rows)[1] == ["k" * 10, "open", "n" * 7 + "…", "5"]
    assert drawn(20, rows) == [head[:2], ["k" * 10, "open"], ["[red]", "lost"]]
    assert drawn(8, rows) == [["key"], ["k" * 6], ["k" * 4], ["[red]"]]
    assert drawn(80, []) == [head]
