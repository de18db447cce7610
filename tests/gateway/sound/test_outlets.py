"""What audio passes on its way out: a mix in place of a leg or a session."""

from gateway.sound.outlets import NOWHERE, MixedCarrier, MixedPackets


class Leg:
    def __init__(self):
        self.calls = []

    def send_audio(self, payload, *timestamp):
        self.calls.append(("audio", payload, *timestamp))

    def send_mark(self, name):
        self.calls.append(("mark", name))

    def clear(self):
        self.calls.append(("clear",))


def test_what_goes_to_the_phone_is_mixed_and_all_else_passes():
    leg = Leg()
    mixed = MixedCarrier(leg, lambda payload: payload[::-1])
    mixed.send_audio(b"ab")
    mixed.send_mark("m1")
    mixed.clear()
    assert leg.calls == [("audio", b"ba"), ("mark", "m1"), ("clear",)]


def test_packets_keep_their_time():
    leg = Leg()
    mixed = MixedPackets(leg, lambda payload: payload[::-1])
    mixed.send_audio(b"ab", 40)
    mixed.send_audio(b"cd")
    assert leg.calls == [("audio", b"ba", 40), ("audio", b"dc", None)]


def test_nowhere_takes_everything():
    NOWHERE.send_audio(b"a")
    NOWHERE.send_audio_binary(b"a")
    NOWHERE.send_mark("m")
    NOWHERE.clear()
