"""Calls of buttons whose owners have ended them: which a node ends, and when it asks."""

import pytest

from database.errors import StoreUnavailableError
from gateway.buttons.ended_buttons import EndedButtons
from gateway.embed.terms import VisitorTerms


class Eras:
    """`buttons.ports.ButtonEras` in memory."""

    def __init__(self):
        self.kept, self.asked, self.ended, self.is_away = {}, [], [], False

    async def current(self, button_ids):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.asked.append(sorted(button_ids))
        return {name: era for name, era in self.kept.items() if name in button_ids}

    async def end(self, button_id):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.ended.append(button_id)
        self.kept[button_id] = f"era {len(self.ended)}"


class Calls:
    """The visitors' calls of a node."""

    def __init__(self):
        self.running = []

    def begins(self, button_id, era=""):
        terms = VisitorTerms(button_id=button_id, key="pk", seconds_max=60, calls_max=2, era=era)
        self.running.append(terms)
        return terms

    def visitors(self):
        return self.running

    def end_visitors(self, is_over):
        self.running = [terms for terms in self.running if not is_over(terms)]


@pytest.fixture
def node():
    eras, calls = Eras(), Calls()
    return eras, calls, EndedButtons(eras, calls)


async def test_calls_of_an_era_that_is_over_end_and_others_go_on(node):
    eras, calls, ended = node
    first, other = calls.begins("b1"), calls.begins("b2")
    await ended.look()
    assert calls.running == [first, other]
    await eras.end("b1")
    later = calls.begins("b1", eras.kept["b1"])
    await ended.look()
    assert calls.running == [other, later]
    await eras.end("b1")
    await ended.look()
    assert calls.running == [other]


async def test_a_store_that_has_lost_its_eras_ends_nobody(node):
    eras, calls, ended = node
    calls.begins("b1", "era of before")
    await ended.look()
    assert len(calls.running) == 1
    await eras.end("b1")
    eras.is_away = True
    with pytest.raises(StoreUnavailableError):
        await ended.look()
    eras.is_away = False
    await ended.look()
    assert calls.running == []


async def test_a_node_without_visitors_asks_nothing(node):
    eras, calls, ended = node
    await ended.look()
    calls.begins("b1")
    calls.begins("b1")
    await ended.look()
    assert eras.asked == [["b1"]]
