"""Which node gets a new call, by what each says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.errors import StoreUnavailableError
from gateway.fleet.roster import UNEVEN, Roster, emptiest
from tests.gateway.fleet.mailboxes import MemoryDirectory, facts_of

ORIGIN = facts_of().origin


class House:
    """The roster of node n1, beside what others have written."""

    def __init__(self, *others, own="n1"):
        self.directory = MemoryDirectory()
        self.directory.kept = {each.node: each for each in others}
        self.own = facts_of(own) if own else None
        self.picked_from = []
        facts = (lambda: self.own) if own else None
        self.gone = set()
        self.roster = Roster(
            self.directory, ORIGIN, facts, self.pick, takes=lambda node: node not in self.gone
        )

    def pick(self, nodes):
        self.picked_from = [each.node for each in nodes]
        return nodes[-1]

    def chosen(self):
        facts = self.roster.choose()
        return facts.node if facts else None


async def test_a_node_says_what_it_is_and_sees_the_others():
    house = House(facts_of("n2"), facts_of("n0"))
    assert [each.node for each in house.roster.nodes()] == ["n1"]
    await house.roster.look()
    assert [each.node for each in house.roster.nodes()] == ["n0", "n1", "n2"]
    assert house.directory.kept["n1"] == house.own
    house.own = facts_of("n1", calls=7)
    assert house.roster.find("n1").calls == 7, "the own one is as it is now"
    assert house.roster.find("n9") is None


async def test_what_was_seen_last_stays_while_the_store_is_away():
    house = House(facts_of("n2"))
    await house.roster.look()
    house.directory.is_away = True
    with pytest.raises(StoreUnavailableError):
        await house.roster.look()
    assert house.roster.find("n2") is not None


async def test_a_store_that_is_back_knows_of_no_node_until_one_has_spoken():
    house = House(facts_of("n2"), own="")
    await house.roster.look()
    assert not house.roster.is_unheard
    house.directory.is_away = True
    with pytest.raises(StoreUnavailableError):
        await house.roster.look()
    # What was seen last goes on.
    assert (house.chosen(), house.roster.is_unheard) == ("n2", False)
    house.directory.is_away, house.directory.kept = False, {}
    await house.roster.look()
    assert (house.chosen(), house.roster.is_unheard) == (None, True)
    house.directory.kept = {"n2": facts_of("n2")}
    await house.roster.look()
    assert (house.chosen(), house.roster.is_unheard) == ("n2", False)
    # The same without an outage: nodes are gone.
    house.directory.kept = {}
    await house.roster.look()
    assert (house.chosen(), house.roster.is_unheard) == (None, False)


@pytest.mark.parametrize(
    ("own", "other", "chosen"),
    [
        ({}, {}, "n1"),
        ({"calls": 10}, {}, "n1"),
        ({"calls": 11}, {}, "n2"),
        ({"calls": 11}, {"calls": 11, "calls_max": 200}, "n1"),
        ({"is_draining": True}, {"calls": 99}, "n2"),
        ({"is_draining": True}, {"calls": 100}, None),
        ({"is_draining": True}, {"is_draining": True}, None),
        ({"is_draining": True}, {"origin": "https://other.example.com"}, None),
        ({"calls": 100}, {"calls": 100}, None),
        ({"calls_max": 0}, {"calls": 3}, "n2"),
    ],
)
async def test_a_call_stays_here_unless_there_is_clearly_more_room_elsewhere(own, other, chosen):
    house = House(facts_of("n2", **other))
    house.own = facts_of("n1", **own)
    await house.roster.look()
    assert house.chosen() == chosen


async def test_a_process_that_holds_no_calls_picks_one_of_the_emptiest():
    house = House(facts_of("a", calls=5), facts_of("b"), facts_of("c", calls=50), own="")
    assert house.chosen() is None
    await house.roster.look()
    assert house.chosen() == "b"
    assert house.picked_from == ["a", "b"]
    assert not house.directory.kept.keys() - {"a", "b", "c"}


async def test_a_node_that_is_known_to_be_gone_gets_no_call_though_its_facts_still_stand():
    house = House(facts_of("a"), facts_of("b"), own="")
    await house.roster.look()
    house.gone = {"b"}
    assert (house.chosen(), house.picked_from) == ("a", ["a"])
    house.gone = {"a", "b"}
    assert house.chosen() is None
    # Its calls are still asked for.
    assert [each.node for each in house.roster.nodes()] == ["a", "b"]
    house.gone = set()
    assert house.chosen() == "b"


NODES = st.lists(
    st.builds(
        facts_of,
        st.text("abc", min_size=1, max_size=3),
        calls=st.integers(0, 120),
        calls_max=st.integers(0, 100),
        is_draining=st.booleans(),
    ),
    max_size=6,
)


@given(NODES)
def test_whoever_is_chosen_has_room_and_is_no_fuller_than_allowed(nodes):
    fit, open_ones = (
        emptiest(nodes),
        [each for each in nodes if not each.is_draining and each.calls < each.calls_max],
    )
    assert bool(fit) == bool(open_ones)
    for each in fit:
        assert each in open_ones
        assert all(each.share <= other.share + UNEVEN for other in open_ones)
