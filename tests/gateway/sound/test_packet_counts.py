"""What a second brought, by counts that run on; the tests of the line prove how it is judged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.sound.packet_counts import Counts, Flow, Slack

DUE = 50
SLACK = Slack(5, 2)


def lost_of(seconds: list[tuple[int, int]], *, is_counted_later: bool = True) -> int:
    """Return all that is lost of seconds of (packets, newly counted losses)."""
    counts, packets, lost, total = Counts(), 0, 0, 0
    counts.step("a", Flow(), 0, DUE, SLACK, is_counted_later=is_counted_later)
    for came, newly in seconds:
        packets, lost = packets + came, lost + newly
        flow = counts.step(
            "a", Flow(packets, lost), packets, DUE, SLACK, is_counted_later=is_counted_later
        )
        total += flow.lost
    return total


def test_the_first_counts_are_where_counting_begins() -> None:
    flow = Counts().step("a", Flow(500, 7, 40.0), 500, DUE, SLACK, is_counted_later=True)
    assert (flow.packets, flow.lost, flow.concealed_ms) == (0, 0, 0)


def test_silence_is_lost_once_whoever_tells_it() -> None:
    assert lost_of([(50, 0), (0, 0), (0, 0), (50, 100)]) == 100
    assert lost_of([(50, 0), (0, 0), (0, 0), (50, 0)], is_counted_later=False) == 100


def test_a_packet_more_or_less_is_no_loss() -> None:
    assert lost_of([(49, 0), (51, 0), (46, 0), (54, 0)]) == 0


def test_where_nothing_is_due_nothing_is_missed() -> None:
    counts = Counts()
    for _ in range(3):
        assert counts.step("a", Flow(), 0, 0, SLACK, is_counted_later=True).lost == 0


def test_what_one_second_lacks_is_lost_unless_the_next_one_brings_it() -> None:
    assert lost_of([(47, 0), (53, 0), (50, 0)], is_counted_later=False) == 0
    assert lost_of([(47, 0), (50, 0)], is_counted_later=False) == 3
    assert lost_of([(47, 0), (47, 0), (53, 0)], is_counted_later=False) == 3


def test_what_came_too_much_for_long_hides_no_loss() -> None:
    """Of the surplus of the last second alone a loss may be made good."""
    assert lost_of([(54, 0), (46, 0)], is_counted_later=False) == 0
    assert lost_of([(54, 0)] * 3 + [(38, 0)], is_counted_later=False) == 8


def test_what_two_clocks_drift_apart_is_forgotten() -> None:
    """One packet in a minute: what lacks five then lacks no more than may come later."""
    assert lost_of([(49, 0), (45, 0)], is_counted_later=False) == 6
    assert lost_of([(49, 0)] + [(50, 0)] * 60 + [(45, 0)], is_counted_later=False) == 0


def test_a_source_that_counts_from_zero_owes_nothing_of_the_one_before() -> None:
    counts = Counts()

    def second(packets: int, lost: int, came: int) -> tuple[int, int]:
        flow = counts.step("a", Flow(packets, lost), came, DUE, SLACK, is_counted_later=True)
        return flow.packets, flow.lost

    second(500, 20, 500)
    assert second(500, 20, 500) == (0, 50), "silence, which this session would have counted later"
    assert second(45, 5, 545) == (45, 0), "where its counting begins"
    assert second(90, 10, 590) == (45, 5)


def test_a_source_that_is_used_again_goes_on_where_it_was_left() -> None:
    counts = Counts()

    def second(name: str, packets: int, lost: int, came: int) -> tuple[int, int]:
        flow = counts.step(name, Flow(packets, lost), came, 0, SLACK, is_counted_later=True)
        return flow.packets, flow.lost

    second("a", 100, 7, 100)
    assert second("b", 200, 9, 140) == (40, 2), "one that is new begins where the other one is"
    assert second("b", 240, 9, 180) == (40, 0)
    assert second("a", 130, 8, 210) == (30, 1)
    assert second("a", 170, 8, 250) == (40, 0)


@given(st.lists(st.integers(0, 60), max_size=60))
def test_a_source_that_counts_all_its_losses_is_believed(came: list[int]) -> None:
    """Whatever is missing is counted by its numbers in the second after: each is lost once."""
    seconds, missing = [], 0
    for packets in came:
        newly, missing = missing if packets else 0, missing if not packets else 0
        missing += max(0, DUE - packets)
        seconds.append((packets, newly))
    seconds.append((DUE, missing))
    lost = sum(newly for _, newly in seconds)
    # Fewer than a tenth are lost only once they are counted; never is more lost than there was.
    assert lost <= lost_of(seconds) <= lost + DUE * 0.1 * len(seconds) + DUE
