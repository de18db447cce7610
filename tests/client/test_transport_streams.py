"""Streams by HTTP: gone on with where they broke off, and ended where that would not help."""

import asyncio
from contextlib import aclosing, closing

import httpx
import msgspec
import pytest
from caller_client import AsyncCaller, Caller, ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.watching import RETRIES, SILENCE_S_MAX

PROBLEM = {"type": "t", "title": "T.", "code": "x", "action": "A.", "retry": True}
END = b'event: end\ndata: {"code": "unauthorized"}\n\n'
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def delta(number):
    data = f'{{"at": "2026-11-28T12:00:00Z", "gone": ["c{number}"]}}'
    return f"id: e1:{number}\nevent: delta\ndata: {data}\n\n".encode()


def gone_in(event):
    (call_id,) = event.gone
    return call_id


class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Bytes as they come, or how the connection breaks."""

    def __init__(self, *parts):
        self.parts, self.is_closed = parts, False

    def __iter__(self):
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            yield part

    async def __aiter__(self):
        for part in self:
            yield part

    def close(self):
        self.is_closed = True

    async def aclose(self):
        self.is_closed = True


class World:
    """Answers with what the test says, one after the other, and notes each request and wait."""

    def __init__(self, *answers):
        self.left, self.asked, self.waits = [*answers], [], []

    def handle(self, request):
        self.asked.append(request)
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            wait = {"retry-after": "7"} if answer in (429, 503) else {}
            body = Parts(msgspec.json.encode(PROBLEM | {"status": answer}))
            return httpx.Response(answer, headers=wait, stream=body)
        return httpx.Response(200, headers=STREAM, stream=answer)

    async def wait(self, seconds):
        self.waits.append(seconds)

    async def watch(self, *, is_async, most=100, **options):
        """Return what is seen by one of the two clients, up to the error if there is one."""
        seen, options = [], options | {"transport": httpx.MockTransport(self.handle)}
        try:
            if is_async:
                async with (
                    AsyncCaller("http://gateway.test", "ck", sleep=self.wait, **options) as c,
                    aclosing(c.watch_live_calls(call="c1")) as events,
                ):
                    async for each in events:
                        seen.append(gone_in(each))
                        if len(seen) == most:
                            break
            else:
                with (
                    Caller(
                        "http://gateway.test", "ck", sleep=self.waits.append, **options
                    ) as caller,
                    closing(caller.watch_live_calls(call="c1")) as events,
                ):
                    for each in events:
                        seen.append(gone_in(each))
                        if len(seen) == most:
                            break
        except Exception as error:
            seen.append(error)
        return seen


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request):
    return request.param


@pytest.mark.parametrize(
    "broken",
    [
        (),
        (delta(3)[:-1],),
        (httpx.ReadError("reset"),),
        (delta(3)[:9], httpx.ReadTimeout("silent")),
    ],
    ids=["closed", "in-an-event", "reset", "silent"],
)
async def test_a_stream_that_breaks_off_is_gone_on_with(is_async, broken):
    world = World(Parts(delta(1), delta(2), *broken), httpx.ConnectError("away"), Parts(delta(3)))
    assert await world.watch(is_async=is_async, most=3) == ["c1", "c2", "c3"]
    assert [each.headers.get("last-event-id") for each in world.asked] == [None, "e1:2", "e1:2"]
    first = world.asked[0]
    assert str(first.url) == "http://gateway.test/v1/live-feed?call=c1"
    assert (first.headers["accept"], first.headers["authorization"]) == (
        "text/event-stream",
        "Bearer ck",
    )
    assert first.headers["accept-encoding"] == "identity"
    assert first.extensions["timeout"] | {"read": SILENCE_S_MAX} == first.extensions["timeout"]
    assert (len(world.waits), 0.5 <= world.waits[0] < 1 <= world.waits[1]) == (2, True)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_ends_it_at_once(is_async, status):
    (error,) = await World(status).watch(is_async=is_async)
    assert isinstance(error, ProblemError)
    world = World(Parts(delta(1)), status)
    _, error = await world.watch(is_async=is_async)
    assert (error.status, len(world.waits)) == (status, 1)


async def test_whoever_may_watch_no_more_is_told_why_without_a_wait(is_async):
    world = World(Parts(delta(1), END, delta(2)), 401)
    seen, error = await world.watch(is_async=is_async)
    assert (seen, error.status, world.waits) == ("c1", 401, [0])


async def test_a_gateway_that_is_full_is_asked_again_when_it_says(is_async):
    world = World(503, 429, Parts(delta(1)))
    assert await world.watch(is_async=is_async, most=1) == ["c1"]
    assert all(7 <= wait < 9 for wait in world.waits)


async def test_it_is_given_up_after_so_many_failures_in_a_row(is_async):
    away = [httpx.ConnectError("away")] * (RETRIES + 1)
    world = World(Parts(delta(1)), *away)
    _, error = await world.watch(is_async=is_async)
    assert isinstance(error, UnreachableError)
    assert len(world.waits) == RETRIES
    # Sooner where it never was there.
    world = World(*away)
    (error,) = await world.watch(is_async=is_async, retries=1)
    assert (str(error), len(world.waits)) == ("ConnectError", 1)


@pytest.mark.parametrize(
    "answer", [Parts(b"event: delta\ndata: {}\n\n"), 302, 500], ids=["event", "moved", "failed"]
)
async def test_what_is_no_stream_of_events_ends_it(is_async, answer):
    world = World(answer)
    (error,) = await world.watch(is_async=is_async)
    assert isinstance(error, UnexpectedAnswerError | ProblemError)
    assert (len(world.asked), world.waits) == (1, [])


async def test_a_page_is_no_stream(is_async):
    world = World()
    world.handle = lambda _: httpx.Response(200, stream=Parts(b"<p>Welcome"))
    (error,) = await world.watch(is_async=is_async)
    assert isinstance(error, UnexpectedAnswerError)


async def test_who_has_seen_enough_closes_the_connection(is_async):
    parts = Parts(delta(1), delta(2))
    assert await World(parts).watch(is_async=is_async, most=1) == ["c1"]
    assert parts.is_closed


async def test_who_is_cancelled_closes_it_too():
    class Endless(Parts):
        async def __aiter__(self):
            yield delta(1)
            await asyncio.Event().wait()

    parts, seen = Endless(), asyncio.Event()
    transport = httpx.MockTransport(World(parts).handle)

    async def watch():
        async with AsyncCaller("http://gateway.test", transport=transport) as caller:
            async for _ in caller.watch_live_calls():
                seen.set()

    task = asyncio.create_task(watch())
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert parts.is_closed
