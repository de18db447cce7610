"""Sign-outs of more than one browser: by another epoch, which is bounded."""

import pytest

from gateway.errors import TooFastError
from gateway.http.outcomes import SessionOver
from gateway.limits.velocity import Use


async def test_all_others_are_out_and_this_one_goes_on_under_another_id(world):
    world.add()
    own, other = await world.enter(), await world.enter()
    secret = await world.sign_outs.end_others(own)
    assert await world.browsers.who(other.secret) is None
    assert await world.browsers.who(own.secret) is None, "whoever has seen the old id is out"
    own = await world.browsers.who(secret)
    assert own.session.credentials_epoch == 2
    await world.sign_outs.end_everywhere(own)
    assert not world.sessions.kept
    assert world.people.holders["ada"].credentials_epoch == 3


async def test_one_that_ended_meanwhile_does_not_come_back_with_the_end_of_the_others(world):
    world.add()
    own, other = await world.enter(), await world.enter()
    await world.browsers.sign_out(own.secret)
    assert await world.sign_outs.end_others(own) == SessionOver()
    assert await world.browsers.who(other.secret) is None
    assert not world.sessions.kept


@pytest.mark.parametrize("meanwhile", [{"credentials_epoch": 2}, None])
async def test_a_session_that_is_over_ends_no_other(world, meanwhile):
    world.add()
    own, other = await world.enter(), await world.enter()
    if meanwhile is None:
        del world.people.holders["ada"]
    else:
        world.change(**meanwhile)
    assert await world.sign_outs.end_others(own) == SessionOver()
    await world.sign_outs.end_everywhere(own)
    assert set(world.sessions.kept) == {own.secret, other.secret}
    assert all(each.credentials_epoch == 2 for each in world.people.holders.values())


async def test_nobody_lets_all_nodes_ask_anew_at_will(world):
    world.add()
    own, other = await world.enter(), await world.enter()
    world.velocity.used.clear()
    world.velocity.refuses["account_epochs_hour"] = 60
    for end in (world.sign_outs.end_others, world.sign_outs.end_everywhere):
        with pytest.raises(TooFastError):
            await end(own)
    # What others do on their devices uses nothing up of it.
    assert world.velocity.used == [Use("account_epochs_hour", f"ada {own.session.device_id}")] * 2
    assert world.people.holders["ada"].credentials_epoch == 1
    assert await world.browsers.who(other.secret) is not None
