"""Alarms of one process, composed: what it looks at, and how it tells."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from billing.clock import utc_now
from gateway.fleet.roster import NodeFacts
from gateway.monitor.alarms import RULES, Alarm, Change
from gateway.monitor.board import Board
from gateway.monitor.rows import Batch, Warned
from gateway.roles.alarms import Alarming
from gateway.settings_variables import from_mapping
from tests.gateway.post.mailbox import Mailbox

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
CHANGE = Change(
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
    def make(board=None, settings=None, **values):
        settings = settings or settings_of(tmp_path, **values)
        events = Events()
        alarming = Alarming(
            settings,
            SimpleNamespace(redis=redis),
            "one",
            Board() if board is None else board,
            events,
        )
        return alarming, events

    return make


def mailed_at(mailbox):
    return {
        "CALLER_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
        "CALLER_MAIL_FROM": "caller@calls.example.com",
        "CALLER_ALARM_EMAIL": "ops@example.com",
    }


async def test_an_event_says_all_of_an_alarm_and_a_mail_what_to_do(new, mailbox):
    alarming, events = new(**mailed_at(mailbox))
    told = []
    alarming._tell(CHANGE, is_reminder=False, on_told=lambda: told.append(1))
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
        *("ops@example.com", "Caller: began: Calls cost too much."),
    )
    text = mail.get_body(["plain"]).get_content()
    assert next(rule.action for rule in RULES if rule.name == "spend") in text
    assert "2026-11-28 12:00:00 UTC" in text


async def test_each_kind_of_change_has_its_own_event(new):
    alarming, events = new()
    told = []
    alarming._tell(CHANGE, is_reminder=False, on_told=lambda: told.append("raised"))
    alarming._tell(CHANGE, is_reminder=True, on_told=lambda: told.append("reminder"))
    alarming._tell(replace(CHANGE, is_over=True), is_reminder=False, on_told=None)
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
    monkeypatch.setattr("gateway.roles.alarms.time.time", lambda: now_s[0])
    alarming, events = new(board, CALLER_ALARM_SPEND_PER_MINUTE="7")
    task, _ = alarming.tasks()
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


async def test_without_a_bound_any_spend_is_fine_and_without_an_address_nothing_is_mailed(new):
    alarming, _ = new()
    assert alarming._figures().spend_micros_max is None
    assert alarming._mails is None
    await alarming.stop()
