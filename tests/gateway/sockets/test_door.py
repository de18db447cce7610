"""Order and bounds of connections on their way to another process."""

from __future__ import annotations

from gateway.sockets.door import Parcel, Parcels


class Sender:
    """Makes parcels, and notes what they are answered."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bool]] = []

    def parcel(self, number: int) -> Parcel:
        return Parcel(
            lambda: number, b"GET", lambda is_taken: self.answers.append((number, is_taken))
        )


def test_parcels_are_sent_in_order_within_a_window_and_answered_in_order() -> None:
    parcels, sender = Parcels(sent_max=2, waiting_max=8), Sender()
    made = [sender.parcel(number) for number in range(4)]
    assert all(parcels.enter(each) for each in made)
    for each in made[:2]:
        assert parcels.next_to_send() is each
        parcels.sent()
    assert parcels.next_to_send() is None
    assert parcels.answered() is made[0]
    assert parcels.next_to_send() is made[2]
    assert len(parcels) == 3
    assert parcels.is_any_sent()


def test_a_line_that_is_full_takes_none_but_forgets_those_that_have_ended() -> None:
    parcels, sender = Parcels(sent_max=1, waiting_max=2), Sender()
    first, second, third = (sender.parcel(number) for number in range(3))
    assert parcels.enter(first)
    assert parcels.enter(second)
    assert not parcels.enter(third)
    second.withdraw()
    assert parcels.enter(third)
    first.withdraw()
    assert parcels.next_to_send() is third


def test_a_withdrawn_parcel_is_told_nothing_and_no_parcel_anything_twice() -> None:
    sender = Sender()
    gone, there = sender.parcel(1), sender.parcel(2)
    gone.withdraw()
    gone.answer(True)
    there.answer(True)
    there.answer(False)
    assert sender.answers == [(2, True)]
    assert there.data == b""


def test_all_are_given_back_when_the_other_process_is_gone() -> None:
    parcels, sender = Parcels(), Sender()
    sent, waiting = sender.parcel(1), sender.parcel(2)
    parcels.enter(sent)
    parcels.sent()
    parcels.enter(waiting)
    assert parcels.fail() == [sent, waiting]
    assert len(parcels) == 0
    assert parcels.answered() is None
    assert not parcels.is_any_sent()
