"""Questions get their own answers or none, within the time, however others behave."""

import asyncio

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.fleet.exchange import (
    ANSWER_S,
    ANSWERING_MAX,
    QUEUED_MAX,
    WAITING_MAX,
    Exchange,
    NodeSilentError,
)
from gateway.fleet.messages import (
    ENCODER,
    LETTER_BYTES_MAX,
    Answered,
    Asked,
    CallsReply,
    Done,
    EndCall,
    FindCalls,
    TakeCalls,
)
from tests.gateway.fleet.mailboxes import MemoryMailboxes

ASKED = FindCalls(account_id="alice")


class House:
    """Two processes, of which the second answers as the test says."""

    def __init__(self):
        self.mailboxes = MemoryMailboxes()
        self.asked = []
        self.delay_s = 0.0
        self.fault = None
        self.here = Exchange(self.mailboxes, "here", self.answer)
        self.there = Exchange(self.mailboxes, "there", self.answer)

    async def answer(self, question):
        self.asked.append(question)
        await asyncio.sleep(self.delay_s)
        if self.fault:
            raise self.fault
        return CallsReply(more=len(self.asked)) if isinstance(question, FindCalls) else Done()

    async def silent_s(self, to="there"):
        """Ask; return after how many seconds it is clear that there is no answer."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(NodeSilentError):
            await self.here.ask(to, ASKED)
        return round(loop.time() - begun, 3)


@pytest.fixture
async def house():
    house = House()
    house.here.start()
    house.there.start()
    yield house
    await house.here.stop()
    await house.there.stop()


async def test_each_question_gets_its_own_answer(house):
    house.delay_s = 0.5
    questions = [ASKED, TakeCalls(takes=False), EndCall(call_id="c1"), ASKED]
    replies = await asyncio.gather(*(house.here.ask("there", each) for each in questions))
    assert house.asked == questions
    assert [type(reply) for reply in replies] == [CallsReply, Done, Done, CallsReply]


async def test_both_ask_at_once_and_one_asks_itself(house):
    both = (house.here.ask("there", ASKED), house.there.ask("here", ASKED))
    assert all(isinstance(reply, CallsReply) for reply in await asyncio.gather(*both))
    assert isinstance(await house.here.ask("here", TakeCalls(takes=True)), Done)


async def test_who_is_gone_or_too_slow_does_not_answer(house):
    assert await house.silent_s("nobody") == ANSWER_S
    house.delay_s = ANSWER_S + 1
    assert await house.silent_s() == ANSWER_S
    # Its answer, when it comes, is nobody's.
    house.delay_s = 0.0
    assert isinstance(await house.here.ask("there", ASKED), CallsReply)
    await asyncio.sleep(9)


@pytest.mark.parametrize("fault", [ValueError("a bug"), StoreUnavailableError("away")])
async def test_a_fault_of_who_is_asked_is_said_at_once_and_logged_there(house, fault):
    house.fault = fault
    with capture_logs() as logs:
        assert await house.silent_s() == 0
    assert [(each["event"], each["question"]) for each in logs] == [
        ("question not answered", "FindCalls")
    ]
    house.fault = None
    assert isinstance(await house.here.ask("there", ASKED), CallsReply)


async def test_letters_that_are_none_change_nothing(house):
    letters = [
        b"",
        b"{}",
        b"\xff\xff",
        b"null",
        b'{"type":"asked"}',
        b'{"type":"gossip"}',
        ENCODER.encode(Answered(number=99, reply=Done())),
        b'{"type":"answered","number":1e99,"reply":{"type":"done"}}',
        b" " * (LETTER_BYTES_MAX + 1),
        b"[" * 100_000,
        b'{"a":' * 1000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ]
    with capture_logs() as logs:
        for letter in letters:
            await house.mailboxes.send("there", letter)
        assert isinstance(await house.here.ask("there", ASKED), CallsReply)
    # One is an answer to nobody; of the others the first is logged at once.
    assert [(each["event"], each["count"]) for each in logs] == [("letters not understood", 1)]
    await asyncio.sleep(60)
    with capture_logs() as logs:
        await house.mailboxes.send("there", b"{}")
        await asyncio.sleep(1)
    assert [each["count"] for each in logs] == [len(letters) - 1]


async def test_no_more_is_answered_at_once_than_is_allowed_and_the_rest_waits(house):
    house.delay_s = 1.5
    loop = asyncio.get_running_loop()
    begun = loop.time()
    asked = [house.here.ask("there", ASKED) for _ in range(ANSWERING_MAX + 5)]
    replies = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(reply, CallsReply) for reply in replies) == ANSWERING_MAX
    assert sum(isinstance(reply, NodeSilentError) for reply in replies) == 5
    assert loop.time() - begun == ANSWER_S
    await asyncio.sleep(5)
    house.delay_s = 0.5
    asked = [house.here.ask("there", ASKED) for _ in range(3 * ANSWERING_MAX)]
    assert all(isinstance(reply, CallsReply) for reply in await asyncio.gather(*asked))


async def test_no_more_waits_to_be_answered_than_is_allowed(house):
    house.delay_s = 1.0
    letter = ENCODER.encode(Asked(number=1, sender="nobody", question=ASKED))
    for _ in range(2 * (ANSWERING_MAX + QUEUED_MAX)):
        if house.mailboxes.box("there").full():
            await asyncio.sleep(0)
        await house.mailboxes.send("there", letter)
    await asyncio.sleep(0.5)
    assert len(house.there._queued) <= QUEUED_MAX
    assert len(house.there._answering) == ANSWERING_MAX


async def test_no_more_waits_for_answers_than_is_allowed(house):
    asked = [asyncio.ensure_future(house.here.ask("nobody", ASKED)) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    assert await house.silent_s() == 0
    await asyncio.gather(*asked, return_exceptions=True)
    # The mailbox of nobody is full now, which is known at once.
    assert await house.silent_s("nobody") == 0
    assert isinstance(await house.here.ask("there", ASKED), CallsReply)


async def test_an_outage_of_the_store_is_logged_once_and_ends(house):
    await asyncio.sleep(0)
    with capture_logs() as logs:
        house.mailboxes.is_away = True
        with pytest.raises(StoreUnavailableError):
            await house.here.ask("there", ASKED)
        await asyncio.sleep(30)
        house.mailboxes.is_away = False
        await asyncio.sleep(1)
        assert isinstance(await house.here.ask("there", ASKED), CallsReply)
    # Of both processes.
    assert [each["event"] for each in logs] == [
        *["other processes cannot be asked"] * 2,
        *["other processes can be asked again"] * 2,
    ]


async def test_no_fault_in_reading_a_letter_leaves_a_process_silent(house):
    receive, faults = house.mailboxes.receive, [MemoryError("a bug")]

    async def failing(own):
        letters = await receive(own)
        if own == "there" and faults:
            raise faults.pop()
        return letters

    house.mailboxes.receive = failing
    # The look that is under way is the last one of before.
    await house.here.ask("there", ASKED)
    with capture_logs() as logs:
        assert await house.silent_s() == ANSWER_S
    assert [each["event"] for each in logs] == ["letters not taken"]
    assert isinstance(await house.here.ask("there", ASKED), CallsReply)


async def test_a_store_that_goes_before_the_answer_leaves_the_asker_its_time(house):
    house.delay_s = 0.5
    asking = asyncio.ensure_future(house.here.ask("there", ASKED))
    await asyncio.sleep(0.1)
    house.mailboxes.is_away = True
    with capture_logs() as logs, pytest.raises(NodeSilentError):
        await asking
    assert "answer not sent" in [each["event"] for each in logs]


async def test_who_stops_because_of_a_question_still_answers_it(house):
    house.delay_s = 0.5
    asking = asyncio.ensure_future(house.here.ask("there", ASKED))
    await asyncio.sleep(0.1)
    await house.there.stop()
    assert await asking == CallsReply(more=1)


async def test_who_stops_answers_no_more_and_leaves_nothing_running():
    house = House()
    before = asyncio.all_tasks()
    house.delay_s = 60.0
    house.there.start()
    house.here.start()
    assert await house.silent_s() == ANSWER_S
    await house.there.stop()
    await house.here.stop()
    assert asyncio.all_tasks() == before
    await House().here.stop()
