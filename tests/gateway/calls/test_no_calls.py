"""A process without calls has none, and says when it stops."""

from gateway.calls.no_calls import NoCalls


async def test_there_are_no_calls():
    calls = NoCalls()
    assert len(calls) == 0
    assert list(await calls.of_account("alice")) == []
    assert await calls.show("alice", "c1") is None
    assert await calls.end("alice", "c1") is None
    assert not calls.is_draining
    await calls.drain(30.0, notice_s=3.0)
    assert calls.is_draining
