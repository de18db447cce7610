"""The waiting line of one connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.sockets.send_queue import SendQueue


def drain(queue: SendQueue) -> list[bytes]:
    frames = []
    while (frame := queue.pop()) is not None:
        frames.append(frame)
    return frames


def test_frames_leave_in_the_order_of_arrival():
    queue = SendQueue(3)
    queue.add_control(b"c1")
    queue.add_audio(b"a1")
    queue.add_control(b"c2")
    queue.add_audio(b"a2")
    assert drain(queue) == [b"c1", b"a1", b"c2", b"a2"]
    assert len(queue) == 0


def test_the_oldest_audio_makes_room_and_control_stays():
    queue = SendQueue(2)
    assert queue.add_audio(b"a1") == 0
    queue.add_control(b"c1")
    assert queue.add_audio(b"a2") == 0
    assert queue.add_audio(b"a3") == 1
    assert drain(queue) == [b"c1", b"a2", b"a3"]


def test_withheld_audio_holds_back_the_control_behind_it():
    queue = SendQueue(2)
    queue.add_control(b"c1")
    queue.add_audio(b"a1")
    queue.add_control(b"c2")
    queue.holds_audio = True
    assert drain(queue) == [b"c1"]
    queue.holds_audio = False
    assert drain(queue) == [b"a1", b"c2"]


def test_nothing_leaves_while_the_kernel_takes_no_more():
    queue = SendQueue(2)
    assert queue.is_free
    queue.stop()
    assert not queue.is_free
    queue.add_control(b"c1")
    queue.add_audio(b"a1")
    assert drain(queue) == []
    queue.go()
    assert not queue.is_free, "what waits goes first"
    assert drain(queue) == [b"c1", b"a1"]
    assert queue.is_free


def test_a_queue_that_only_holds_audio_is_free_for_the_rest():
    queue = SendQueue(2)
    queue.holds_audio = True
    assert queue.is_free
    queue.add_audio(b"a1")
    assert not queue.is_free


def test_control_bytes_are_those_that_wait():
    queue = SendQueue(2)
    queue.add_control(b"12345")
    queue.add_control(b"678")
    queue.add_audio(b"not counted")
    assert queue.control_bytes == 8
    assert queue.pop() == b"12345"
    assert queue.control_bytes == 3
    queue.clear()
    assert (len(queue), queue.control_bytes) == (0, 0)


@given(st.lists(st.sampled_from(["audio", "control", "pop"]), max_size=60), st.integers(1, 4))
def test_it_equals_a_list_that_forgets_its_oldest_audio(steps, audio_max):
    queue, model = SendQueue(audio_max), []
    for number, step in enumerate(steps):
        frame = b"%s %d" % (step.encode(), number)
        if step == "audio":
            waiting = [other for other in model if other.startswith(b"audio")]
            if len(waiting) == audio_max:
                model.remove(waiting[0])
            assert queue.add_audio(frame) == (len(waiting) == audio_max)
            model.append(frame)
        elif step == "control":
            queue.add_control(frame)
            model.append(frame)
        else:
            assert queue.pop() == (model.pop(0) if model else None)
    assert drain(queue) == model
