"""Probes: the process lives although its stores are away, but takes no calls."""

import asyncio

import pytest

from database.errors import StoreFullError, StoreRightError, StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.fleet.instances import found_in, new_nonce
from gateway.heartbeat.ticker import Ticker
from gateway.http.health import HealthProbes
from tests.gateway.virtual_time import virtual_loop


class Calls:
    """What the probes read of the live calls."""

    def __init__(self):
        self.is_draining = False

    def __len__(self):
        return 3


async def answers():
    return True


async def fails():
    raise OSError("redis://secret@host")


async def hangs():
    await asyncio.Event().wait()


class Keys:
    """Judges keys as those of operators are judged: one may see details."""

    def __init__(self):
        self.judged = 0
        self.is_away = self.hangs = False

    async def __call__(self, request):
        self.judged += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise StoreUnavailableError("postgresql://secret@host")
        if request.headers["authorization"] != OPERATOR["authorization"]:
            raise RequestRefusedError("scope_missing", scope="admin")


OPERATOR = {"authorization": "Bearer ck_operator"}
OTHER = {"authorization": "Bearer ck_other"}
DETAILS = "/readyz?verbose"


class Probe:
    """Asks a process twice how it is; `again` is the second answer."""

    def __init__(self, client_of):
        self.client_of = client_of
        self.again = None
        self.keys = Keys()
        self.headers = OPERATOR

    async def __call__(self, path, calls=None, weaknesses=(), alarms=(), figures=(), **checks):
        ticker = Ticker(lambda: 0)
        ticker._lag_ns.note(12_345_678, 0)
        health = HealthProbes(
            calls or Calls(),
            ticker,
            self.keys,
            checks,
            dict(weaknesses),
            dict(alarms),
            dict(figures),
            instance="n1-of-them",
        )
        async with self.client_of(health.routes()) as client:
            first = await client.get(path, headers=self.headers)
            self.again = await client.get(path, headers=self.headers)
            return first


@pytest.fixture
def probe(client_of):
    return Probe(client_of)


async def test_a_process_lives_whatever_its_stores_do(probe):
    reply = await probe("/healthz", redis=fails, database=hangs)
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok"}
    assert probe.again.json() == reply.json(), "one who asks hides nothing from another"


async def test_a_node_is_ready_when_all_answer(probe):
    reply = await probe(DETAILS, redis=answers, database=answers)
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "redis": "ok", "database": "ok", "calls": "ok"}


async def test_a_node_says_what_is_missing_and_no_more(probe):
    reply = await probe(DETAILS, redis=fails, database=answers)
    assert reply.status_code == 503
    assert reply.json() == {
        "status": "unready",
        "redis": "unreachable",
        "database": "ok",
        "calls": "ok",
    }


@pytest.mark.parametrize("path", ["/readyz", "/readyz?verbose"])
@pytest.mark.parametrize("redis", [answers, fails])
async def test_everybody_is_told_whether_calls_are_taken_and_nothing_else(probe, path, redis):
    probe.headers = {}
    figures = {"drained_age_s": lambda: 20.26}
    reply = await probe(path, redis=redis, weaknesses={"database": fails}, figures=figures)
    is_ready = redis is answers
    assert reply.status_code == (200 if is_ready else 503)
    said = {"status": "ok" if is_ready else "unready"}
    assert reply.json() == said | ({"details": "unauthorized"} if "?" in path else {})
    assert probe.keys.judged == 0, "nothing is asked of a store for those who show no key"


async def test_details_are_given_only_where_they_are_asked_for(probe):
    reply = await probe("/readyz", redis=answers)
    assert reply.json() == {"status": "ok"}
    assert probe.keys.judged == 0


async def test_a_key_that_is_no_operators_is_told_so_and_the_probe_answers_all_the_same(probe):
    probe.headers = OTHER
    for redis, code, status in [(answers, 200, "ok"), (fails, 503, "unready")]:
        reply = await probe(DETAILS, redis=redis)
        assert reply.status_code == code
        assert reply.json() == {"status": status, "details": "scope_missing"}


@pytest.mark.parametrize("fault", ["is_away", "hangs"])
async def test_while_no_key_can_be_judged_the_plain_answer_stays(probe, fault):
    setattr(probe.keys, fault, True)
    before_ns = virtual_loop().now_ns
    reply = await probe(DETAILS, redis=answers, weaknesses={"database": fails})
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "details": "store_unavailable"}
    assert virtual_loop().now_ns - before_ns < 5e9


async def test_a_full_disk_is_named(probe):
    async def is_full():
        raise StoreFullError("its disk is full")

    reply = await probe(DETAILS, redis=is_full)
    assert (reply.status_code, reply.json()["redis"]) == (503, "disk full")


async def test_a_right_that_is_missing_is_named(probe):
    async def lacks():
        raise StoreRightError("lacks rights", ["&caller/watch/*", "+publish"])

    reply = await probe(DETAILS, redis=lacks)
    said = (reply.status_code, reply.json()["redis"])
    assert said == (503, "lacks &caller/watch/* +publish")


async def test_a_check_that_hangs_is_given_up(probe):
    before_ns = virtual_loop().now_ns
    reply = await probe(DETAILS, redis=hangs)
    assert (reply.status_code, reply.json()["redis"]) == (503, "unreachable")
    assert virtual_loop().now_ns - before_ns < 5e9


async def test_a_draining_node_takes_no_calls(probe):
    calls = Calls()
    calls.is_draining = True
    reply = await probe(DETAILS, calls, redis=answers)
    assert (reply.status_code, reply.json()["calls"]) == (503, "draining")


async def test_a_node_without_its_book_takes_calls_and_says_so(probe):
    reply = await probe(DETAILS, redis=answers, weaknesses={"database": hangs})
    assert reply.status_code == 200
    assert reply.json() == {
        "status": "degraded",
        "redis": "ok",
        "calls": "ok",
        "database": "unreachable",
    }


async def test_an_alarm_is_shown_and_takes_no_node_away(probe):
    raised = [True, False]
    reply = await probe(DETAILS, redis=answers, alarms={"outbox": raised.pop})
    assert (reply.status_code, reply.json()["status"]) == (200, "ok")
    assert (probe.again.status_code, probe.again.json()["outbox"]) == (200, "alarm")
    assert probe.again.json()["status"] == "degraded"


async def test_a_node_without_credits_is_unready_whatever_else_is_wrong(probe):
    reply = await probe(
        DETAILS, redis=fails, weaknesses={"database": fails}, alarms={"outbox": lambda: True}
    )
    assert (reply.status_code, reply.json()["status"]) == (503, "unready")


class Store:
    """A store that answers when it is let, and counts how often it is asked."""

    def __init__(self):
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def check(self):
        self.asked += 1
        await self.may_answer.wait()


@pytest.fixture
async def watched(client_of):
    """Return a store, its probe's client, and a clock that the test sets."""
    store, now_ns = Store(), [0]
    health = HealthProbes(Calls(), Ticker(lambda: now_ns[0]), Keys(), {"redis": store.check})
    async with client_of(health.routes()) as client:
        client.headers.update(OPERATOR)
        yield store, client, now_ns


async def test_many_who_ask_at_once_cost_one_look(watched):
    store, client, _ = watched
    asking = [asyncio.ensure_future(client.get("/readyz")) for _ in range(500)]
    await asyncio.sleep(1)
    assert store.asked == 1
    store.may_answer.set()
    assert {reply.status_code for reply in await asyncio.gather(*asking)} == {200}
    assert store.asked == 1


async def test_what_was_found_is_told_for_a_second(watched):
    store, client, now_ns = watched
    store.may_answer.set()
    for at_ns, looks in [(0, 1), (999_999_999, 1), (10**9, 2), (10**9, 2), (10**12, 3)]:
        now_ns[0] = at_ns
        assert (await client.get(DETAILS)).json()["redis"] == "ok"
        assert store.asked == looks


async def test_one_who_asks_and_goes_takes_nobody_elses_answer_away(watched):
    store, client, _ = watched
    first = asyncio.ensure_future(client.get("/readyz"))
    await asyncio.sleep(0.1)
    second = asyncio.ensure_future(client.get("/readyz"))
    await asyncio.sleep(0.1)
    first.cancel()
    await asyncio.wait([first])
    store.may_answer.set()
    assert (await second).status_code == 200
    assert store.asked == 1


async def test_only_the_readiness_shows_figures(probe):
    figures = {"drained_age_s": lambda: 20.26}
    assert (await probe(DETAILS, figures=figures, redis=answers)).json()["drained_age_s"] == 20.3
    assert (await probe("/healthz", figures=figures, redis=answers)).json() == {"status": "ok"}


async def test_who_knows_the_name_of_a_process_can_ask_whether_it_is_the_one(probe):
    nonce = new_nonce()
    reply = await probe(f"/healthz?nonce={nonce}", redis=answers)
    assert "n1-of-them" not in reply.text
    proof = reply.json()["proof"]
    assert found_in(["n2", "n1-of-them"], nonce, proof) == "n1-of-them"
    assert found_in(["n2", ""], nonce, proof) == found_in([], nonce, proof) == ""
    assert found_in(["n1-of-them"], new_nonce(), proof) == ""
    for nonce in ("", "x" * 32, "a" * 33):
        reply = await probe(f"/healthz?nonce={nonce}", redis=answers)
        assert reply.json() == {"status": "ok"}
