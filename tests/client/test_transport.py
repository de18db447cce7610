"""Wishes by HTTP: sent once, sent again, and page after page."""

import httpx
import msgspec
import pytest
from caller_client.errors import ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.exchange import Wish
from caller_client.shapes import LedgerPage, Money
from caller_client.transport import ANSWER_BYTES_MAX, AsyncTransport, Transport

MONEY = Money(micros=5, currency="USD", text="$0.01")
WISH = Wish("GET", "/v1/x", (Money,))
AWAY = httpx.ConnectError("away")
PROBLEM = {"type": "t", "title": "T.", "status": 503, "code": "x", "action": "A.", "retry": True}


class World:
    """Answers with what the test says, one after the other, and notes each request and wait."""

    def __init__(self, *answers):
        self.left, self.asked, self.waits = [*answers], [], []

    def handle(self, request):
        self.asked.append(request)
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status = answer.get("status", 200) if isinstance(answer, dict) else 200
        return httpx.Response(status, stream=httpx.ByteStream(msgspec.json.encode(answer)))

    async def wait(self, seconds):
        self.waits.append(seconds)

    def options(self, sleep):
        return {"sleep": sleep, "transport": httpx.MockTransport(self.handle)}

    async def ask(self, wish, *, is_async, **options):
        """Ask by one of the two."""
        if is_async:
            options |= self.options(self.wait)
            async with AsyncTransport("http://gateway.test", "ck_secret", **options) as caller:
                return await caller.ask(wish)
        options |= self.options(self.waits.append)
        with Transport("http://gateway.test", "ck_secret", **options) as caller:
            return caller.ask(wish)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request):
    return request.param


async def test_a_wish_is_sent_with_the_key(is_async):
    world = World(MONEY)
    assert await world.ask(WISH, is_async=is_async) == MONEY
    (request,) = world.asked
    assert str(request.url) == "http://gateway.test/v1/x"
    assert request.headers["authorization"] == "Bearer ck_secret"


async def test_it_is_sent_again_a_few_times_and_then_fails(is_async):
    world = World(AWAY, PROBLEM, MONEY)
    assert await world.ask(WISH, is_async=is_async) == MONEY
    assert world.waits == [0.5, 1.0]
    world = World(AWAY, AWAY, AWAY)
    with pytest.raises(UnreachableError, match="ConnectError"):
        await world.ask(WISH, is_async=is_async)
    world = World(PROBLEM)
    with pytest.raises(ProblemError):
        await world.ask(WISH, is_async=is_async, retries=0)
    assert world.waits == []


async def test_what_makes_something_is_sent_once_without_a_key_and_again_with_the_same(is_async):
    with pytest.raises(UnreachableError):
        await World(AWAY).ask(Wish("POST", "/v1/x"), is_async=is_async)
    world = World(AWAY, MONEY)
    await world.ask(Wish("POST", "/v1/x", (Money,), idempotency_key="k"), is_async=is_async)
    assert [each.headers["idempotency-key"] for each in world.asked] == ["k", "k"]


def page_wish(before):
    return Wish("GET", "/v1/ledger", (LedgerPage,), query={"before": before})


PAGES = [LedgerPage(lines=[], next="a"), LedgerPage(lines=[], next=None)]


async def test_pages_follow_one_another_until_the_last():
    world = World(*PAGES)
    with Transport("http://gateway.test", **world.options(world.waits.append)) as caller:
        assert list(caller.pages(page_wish, "lines")) == []
    assert [each.url.query for each in world.asked] == [b"", b"before=a"]
    assert "authorization" not in world.asked[0].headers
    world = World(*PAGES)
    async with AsyncTransport("http://gateway.test", **world.options(world.wait)) as caller:
        assert [each async for each in caller.pages(page_wish, "lines")] == []
    assert len(world.asked) == 2


async def test_what_is_too_much_is_read_no_further_and_not_asked_for_again(is_async):
    world = World("x" * ANSWER_BYTES_MAX, MONEY)
    with pytest.raises(UnexpectedAnswerError):
        await world.ask(WISH, is_async=is_async)
    assert len(world.asked) == 1
    assert world.asked[0].headers["accept-encoding"] == "identity"


async def test_pages_that_lead_to_themselves_end(is_async):
    page = {"lines": [], "next": "r1"}
    world = World(page, page, page)

    def wish_of(before):
        return Wish("GET", "/v1/ledger", (LedgerPage,), query={"before": before})

    async def read():
        if is_async:
            async with AsyncTransport("http://h", **world.options(world.wait)) as caller:
                async for _ in caller.pages(wish_of, "lines"):
                    pass
        else:
            with Transport("http://h", **world.options(world.waits.append)) as caller:
                for _ in caller.pages(wish_of, "lines"):
                    pass

    with pytest.raises(UnexpectedAnswerError):
        await read()
    assert len(world.asked) == 2


@pytest.mark.parametrize("key", ["ck_é", "a b", "a\nb"])
def test_a_text_that_no_key_can_be_is_refused_at_once_and_not_shown(key):
    with pytest.raises(ValueError, match="API key") as refused:
        Transport("https://calls.example.com", key)
    assert key not in str(refused.value)
