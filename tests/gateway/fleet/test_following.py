"""How far a node's restart is, by what the node says of itself."""

from gateway.fleet.following import BACK_S_MAX, Following, Stage
from tests.gateway.fleet.mailboxes import facts_of

OLD, NEW = facts_of(process="old", calls=1), facts_of(process="new")


def test_a_node_ends_is_gone_and_comes_back_as_another_process():
    following = Following("old", due_s=150.0)
    assert following.see(OLD, 0.0) is Stage.ENDING
    assert following.see(OLD, 149.9) is Stage.ENDING
    assert following.see(None, 149.95) is Stage.STARTING
    # However long it took to end, the start has its own time.
    assert following.see(None, 149.9 + BACK_S_MAX) is Stage.STARTING
    assert following.see(NEW, 150.0 + BACK_S_MAX) is Stage.BACK


def test_a_node_may_be_back_before_it_was_missed():
    following = Following("old", due_s=150.0)
    assert following.see(OLD, 0.0) is Stage.ENDING
    assert following.see(NEW, 1.0) is Stage.BACK


def test_a_node_that_does_not_end_or_does_not_come_back_is_given_up():
    following = Following("old", due_s=150.0)
    assert following.see(OLD, 150.0) is Stage.LATE
    assert following.see(None, 151.0) is Stage.STARTING
    assert following.see(None, 151.0 + BACK_S_MAX) is Stage.MISSING


def test_a_node_that_was_silent_for_a_moment_has_not_ended():
    following = Following("old", due_s=150.0)
    assert following.see(None, 5.0) is Stage.STARTING
    assert following.see(OLD, 9.0) is Stage.ENDING
    assert following.see(None, 120.0) is Stage.STARTING
    assert following.see(None, 119.9 + BACK_S_MAX) is Stage.STARTING
    assert following.see(None, 120.0 + BACK_S_MAX) is Stage.MISSING
