"""The phases of a media socket: what each allows, and that each leads on to the end."""

from __future__ import annotations

import pytest

from gateway.sockets.phase import RULES, Phase, Reads

ORDER = list(Phase)


def test_every_phase_has_its_rules():
    assert list(RULES) == ORDER


@pytest.mark.parametrize("phase", ORDER)
def test_a_socket_moves_forward_only_and_may_be_lost_at_any_time(phase):
    followers = RULES[phase].followers
    assert Phase.LOST in followers
    back = {other for other in followers if ORDER.index(other) < ORDER.index(phase)}
    assert back == set()


def test_no_phase_but_the_last_two_repeats_itself():
    assert [p for p in ORDER if p in RULES[p].followers] == [Phase.DRAINING, Phase.LOST]


def test_messages_go_out_and_come_in_while_it_is_open_and_at_no_other_time():
    assert [p for p in ORDER if RULES[p].sends] == [Phase.OPEN]
    assert [p for p in ORDER if RULES[p].reads is Reads.FRAMES] == [Phase.OPEN]


def test_nothing_is_said_behind_the_end_of_the_stream():
    assert [p for p in ORDER if RULES[p].speaks] == [Phase.OPENING, Phase.OPEN, Phase.CLOSING]
    silent = [p for p in ORDER if RULES[p].reads is Reads.NOTHING]
    assert silent == [Phase.ENDING, Phase.DRAINING, Phase.LOST]


def test_every_wait_for_the_peer_has_a_deadline():
    waits = [p for p in ORDER if RULES[p].has_deadline]
    assert waits == [Phase.CLOSING, Phase.ENDING, Phase.DRAINING]


def test_the_opening_handshake_leads_to_an_open_socket_or_to_its_end():
    assert RULES[Phase.OPENING].followers == {Phase.OPEN, Phase.ENDING, Phase.DRAINING, Phase.LOST}
