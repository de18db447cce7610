"""Alarms of one process, composed: what it looks at, and how it tells."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest

from billing.clock import utc_now
from billing.stores.redis import RedisSpendGate
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.call.ghost import Ghost
from gateway.calls.ghosts import Ghosts
from gateway.cause import Cause
from gateway.charging.audited import Audited
from gateway.charging.node_watch import NodeWatch
from gateway.errors import CarrierError
from gateway.fleet.roster import NodeFacts
from gateway.nanoseconds import SECOND_NS
from gateway.settings_variables import from_mapping
from gateway.stores.ghosts import RedisGhostStore
from gateway.stores.leases import RedisNodeLeases
from gateway.watching.alarming import Alarming
from gateway.watching.alarms import RULES, Alarm, AlarmChange
from gateway.watching.audited_store import RedisAudited
from gateway.watching.board import Board
from gateway.watching.rows import Batch, Warned
from tests.gateway.charging.conftest import books
from tests.gateway.post.mailbox import Mailbox

__all__ = ["books"]

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
CHANGE = AlarmChange(
    Alarm(
        rule="spend",
        subject="USD",
        title="Calls cost too much.",
        value=120.0,
        unit="%",
        since_s=AT.timestamp(),
    ),
    is_over=False,
)


class Events:
    """`post.webhooks.EventPoster` that keeps what it is given."""

    def __init__(self):
        self.posted = []

    def notify(self, name, data):
        self.posted.append((name, data))


@pytest.fixture
async def mailbox(tmp_path):
    mailbox = Mailbox(tmp_path)
    await mailbox.open()
    yield mailbox
    await mailbox.close()


def settings_of(tmp_path, **values):
    return from_mapping({"CALLER_DATA_DIR": str(tmp_path), **values})


@pytest.fixture
def new(tmp_path, redis):
    def make(board=None, settings=None, gate=None, instance="one", **values):
        settings = settings or settings_of(tmp_path, **values)
        events = Events()
        alarming = Alarming(
            settings,
            SimpleNamespace(redis=redis, gate=gate or RedisSpendGate(redis)),
            instance,
            Board() if board is None else board,
            events.notify,
        )
        return alarming, events

    return make


def mailed_at(mailbox):
    return {
        "CALLER_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
        "CALLER_MAIL_FROM": "caller@calls.example.com",
        "CALLER_ALARM_EMAIL": "ops@example.com",
    }


async def test_a_reminder_says_the_figure_of_now(new):
    alarming, events = new()
    lasting = replace(CHANGE, alarm=msgspec.structs.replace(CHANGE.alarm, now=100.5))
    for change, is_reminder in (
        (CHANGE, True),
        (lasting, False),
        (lasting, True),
        (replace(lasting, is_over=True), False),
    ):
        alarming._tell(change, is_reminder=is_reminder, on_sent=None)
    told = [(data["title"], data["value"]) for _, data in events.posted]
    began = CHANGE.alarm.title, 120.0
    assert told == [
        began,
        began,
        ("Calls cost 100.5 % of the bound a minute, in USD.", 100.5),
        began,
    ]


async def test_an_event_says_all_of_an_alarm_and_a_mail_what_to_do(new, mailbox):
    alarming, events = new(**mailed_at(mailbox))
    told = []
    alarming._tell(CHANGE, is_reminder=False, on_sent=lambda: told.append(1))
    assert events.posted == [
        (
            "alarm.raised",
            {
                "account_id": "",
                "name": "spend:USD",
                "rule": "spend",
                "subject": "USD",
                "title": "Calls cost too much.",
                "value": 120.0,
                "unit": "%",
                "since": "2026-11-28T12:00:00+00:00",
            },
        )
    ]
    assert told == []
    await mailbox.wait_for_mails(1)
    await alarming.stop()
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Subject"]) == (
        "ops@example.com",
        "Caller: began: Calls cost too much.",
    )
    text = mail.get_body(["plain"]).get_content()
    assert next(rule.action for rule in RULES if rule.name == "spend") in text
    assert "2026-11-28 12:00:00 UTC" in text


async def test_each_kind_of_change_has_its_own_event(new):
    alarming, events = new()
    told = []
    alarming._tell(CHANGE, is_reminder=False, on_sent=lambda: told.append("raised"))
    alarming._tell(CHANGE, is_reminder=True, on_sent=lambda: told.append("reminder"))
    alarming._tell(replace(CHANGE, is_over=True), is_reminder=False, on_sent=None)
    assert [name for name, _ in events.posted] == ["alarm.raised", "alarm.reminder", "alarm.over"]
    # Nothing but the event is to be waited for where no mail is asked for.
    assert told == ["raised", "reminder"]
    await alarming.stop()


def facts_of(node, **values):
    usual = {"process": "p", "origin": "", "release": "1", "started_at": "", "calls": 0}
    return NodeFacts(
        node=node, **usual | {"calls_max": 10, "is_draining": False, "lag_ms": 1.0} | values
    )


async def test_what_is_on_the_board_is_looked_at_told_and_shown(new, redis, monkeypatch):
    board = Board()
    now_s = [time.time()]
    monkeypatch.setattr("gateway.watching.alarming.time.time", lambda: now_s[0])
    alarming, events = new(board, CALLER_ALARM_SPEND_PER_MINUTE="7")
    task, *_ = alarming.tasks()
    error = Warned(at=AT, node="n1", level="error", event="it broke")
    warning = Warned(at=AT, node="n1", level="warning", event="no matter")

    async def look():
        now_ns = time.monotonic_ns()
        board.apply(Batch(node="n1"), now_ns, utc_now())
        board.see_nodes([facts_of("n1", lag_ms=900.0)], now_ns)
        await task._work()

    board.apply(Batch(node="n1", warnings=[error, error, warning]), time.monotonic_ns(), AT)
    assert alarming._figures().spend_micros_max == 7_000_000
    await look()
    assert events.posted == []
    now_s[0] += 10
    await look()
    await look()
    names = [(name, data["name"]) for name, data in events.posted]
    assert names == [("alarm.raised", "loop_lag:n1"), ("alarm.raised", "errors:it broke")]
    assert {view.name for view in board.alarms} == {"loop_lag:n1", "errors:it broke"}
    assert events.posted[1][1]["title"] == "An error is logged: it broke (2 times)."
    assert await redis.exists("caller:alarms:1")
    await alarming.stop()


class Refuses:
    """A carrier at which a call cannot be ended until it says so."""

    def __init__(self):
        self.state = CarrierState.ANSWERED

    async def fetch(self, carrier_call_id):
        return CarrierStatus(carrier_call_id, self.state)

    async def hang_up(self, carrier_call_id):
        raise CarrierError("The carrier refuses.", cause=Cause.NETWORK_OUT_OF_ORDER)


@pytest.fixture
def hours(monkeypatch):
    """A clock that a test moves, the wall's and the monotonic one alike."""
    passed_s, wall_s, mono_ns = [0], time.time, time.monotonic_ns
    monkeypatch.setattr(time, "time", lambda: wall_s() + passed_s[0])
    monkeypatch.setattr(time, "monotonic_ns", lambda: mono_ns() + passed_s[0] * SECOND_NS)
    return passed_s


@pytest.fixture
def look_at(hours):
    """Return what is told within a number of minutes, in which nodes speak."""

    async def look(alarming, events, board, minutes, work=None):
        looking, _, left, _ = alarming.tasks()
        for _ in range(minutes * 4):
            hours[0] += 15
            board.apply(Batch(node="n1"), time.monotonic_ns(), utc_now())
            if work is not None:
                await work()
            await left._work()
            await looking._work()
        return [(name, data["name"]) for name, data in events.posted]

    return look


async def test_a_call_that_the_carrier_does_not_end_rings_until_it_is_over(
    new, redis, books, look_at
):
    """Found by a node, noted in the list, tried again and again."""
    board, carrier, gate = Board(), Refuses(), books.gate
    alarming, events = new(board, gate=gate)
    leases = RedisNodeLeases(redis)
    ghosts = Ghosts(
        RedisGhostStore(redis),
        NodeWatch(leases, "n1", time.monotonic_ns),
        carrier,
        owns=lambda _call_id, _carrier_call_id: False,
        open_calls=gate.open_calls,
        lifetime_s=100_000.0,
        wall_clock_s=time.time,
    )
    ghosts.left("CA1", "c1")
    told = await look_at(alarming, events, board, 3, ghosts.round)
    assert told == [("alarm.raised", "ghost_calls:at the carrier")]
    assert events.posted[0][1]["title"] == "Calls that nobody looks after, at the carrier: 1."
    carrier.state = CarrierState.COMPLETED
    told = await look_at(alarming, events, board, 5, ghosts.round)
    assert told[1:] == [("alarm.over", "ghost_calls:at the carrier")]
    assert await RedisGhostStore(redis).all() == {}
    await ghosts.stop()
    await alarming.stop()


async def test_a_ghost_that_ends_at_once_rings_not_at_all(new, redis, books, look_at):
    board = Board()
    alarming, events = new(board, gate=books.gate)
    store = RedisGhostStore(redis)

    async def comes_and_goes():
        now_s = time.time()
        await store.forget("CA1")
        await store.note("CA1", Ghost(call_id="c", node="n1", noted_s=now_s, due_s=now_s))

    assert await look_at(alarming, events, board, 5, comes_and_goes) == []
    await store.forget("CA1")
    await alarming.stop()


async def test_a_call_of_a_lost_node_that_nobody_settles_rings_until_it_is_settled(
    new, redis, books, look_at
):
    """Two nodes, of which one has died, and no other settles its calls."""
    board, gate = Board(), books.gate
    alarming, events = new(board, gate=gate)
    leases = RedisNodeLeases(redis)
    for call_id, node in (("c1", "n1"), ("c2", "n2")):
        await books.open(call_id, node)

    async def lives():
        await leases.renew("n1")

    told = await look_at(alarming, events, board, 4, lives)
    assert told == [("alarm.raised", "ghost_calls:of lost nodes")]
    assert events.posted[0][1]["value"] == 1
    await alarming.stop()
    # Another process takes over, which has yet to see for how long the call has been left.
    await redis.delete("caller:alarm-holder:1")
    alarming, events = new(board, gate=gate, instance="two")
    assert await look_at(alarming, events, board, 8, lives) == []
    await books.close(0, "c2")
    told = await look_at(alarming, events, board, 5, lives)
    assert told == [("alarm.over", "ghost_calls:of lost nodes")]
    await alarming.stop()


async def test_a_process_that_takes_over_the_duty_knows_the_last_audit_already(
    new, redis, books, look_at
):
    first, events = new(heard := Board(), gate=books.gate)
    asked = []

    async def open_calls():
        asked.append(1)
        return []

    lists = SimpleNamespace(open_calls=open_calls)
    second, later = new(board := Board(), gate=lists, instance="two")
    found = Audited(at_s=time.time(), findings={"credit sequence has gaps": 1})
    await RedisAudited(redis).write(found)
    name = "audit_failure:credit sequence has gaps"
    assert await look_at(first, events, heard, 1) == [("alarm.raised", name)]
    await second.tasks()[2]._work()
    # That every partition is asked for its calls once is enough.
    assert asked == []
    await redis.delete("caller:alarm-holder:1")
    assert await look_at(second, later, board, 2) == []
    assert [view.name for view in board.alarms] == [name]
    await first.stop()
    await second.stop()


async def test_without_a_bound_any_spend_is_fine_and_without_an_address_nothing_is_mailed(new):
    alarming, _ = new()
    assert alarming._figures().spend_micros_max is None
    assert alarming._mails is None
    await alarming.stop()
