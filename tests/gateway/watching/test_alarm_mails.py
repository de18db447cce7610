"""Mails of alarms: over a real socket, a minute apart, and never for ever."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from gateway.post.mail import Envelope, compose, read_server
from gateway.secret import Secret
from gateway.watching import alarm_mails
from gateway.watching.alarm_mails import APART_S, DELAYS_S, LINES_MAX, AlarmLine, AlarmMails, write
from tests.gateway.post.mailbox import AT, SENDER
from tests.gateway.virtual_time import VirtualTimeLoop, virtual_loop

ORIGIN = "https://calls.example.com"
LOST = AlarmLine("Began", AT, "Node n2 is gone.", "Look whether its process runs.")
BACK = AlarmLine("Over", AT, "Node n2 is gone.", "")
EVIL = LOST._replace(title="Node x\r\nBcc: eve@evil.example\r\n\r\nHi is gone.")


def server_at(port, timeout_s=10):
    return read_server(Secret(f"smtp://127.0.0.1:{port}"), SENDER, timeout_s=timeout_s)


@pytest.fixture
async def new_mails():
    made = []

    def make(port, *, timeout_s=10, delays_s=(0.0, 0.0)):
        mails = AlarmMails(
            server_at(port, timeout_s),
            "ops@example.com",
            service="Example Calls",
            origin=ORIGIN,
            clock=lambda: AT + timedelta(minutes=1),
            delays_s=delays_s,
        )
        made.append(mails)
        return mails

    yield make
    for mails in made:
        await mails.stop()


class Told:
    """Waits until something was told."""

    def __init__(self):
        self.count = 0
        self.news = asyncio.Event()

    def __call__(self):
        self.count += 1
        self.news.set()


def envelope():
    return Envelope(SENDER, "ops@example.com", "<a@example.com>", AT, "Example Calls")


def written(*lines):
    return write(lines, service="Example Calls", origin=ORIGIN)


def test_a_mail_of_one_alarm_names_it_and_says_what_to_do():
    text = written(LOST)
    assert text.subject == "Example Calls: began: Node n2 is gone."
    assert text.text == (
        "Began: Node n2 is gone.\n2026-11-24 12:00:00 UTC\nLook whether its process runs.\n\n"
        f"Live calls and active alarms: {ORIGIN}/live\n"
    )
    assert written(BACK).subject == "Example Calls: over: Node n2 is gone."


def test_a_mail_of_several_changes_tells_all_in_order():
    text = written(LOST, BACK, LOST)
    assert text.subject == "Example Calls: 3 changes of alarms"
    assert [line.split(":")[0] for line in text.text.split("\n\n")[:-1]] == [
        "Began",
        "Over",
        "Began",
    ]


@pytest.mark.parametrize(
    "title",
    [
        "x\r\nBcc: eve@evil.example",
        "x\nBcc: eve@evil.example",
        "x\r\n\r\n<script>",
        "\x00",
        "x\x0bBcc: y",
        "x\x85Bcc: y",
        "x\u2028Bcc: y",
        "\x1bx",
        "x" * 100_000,
        "\u202egone",
        "=?utf-8?q?=0D=0ABcc:_eve=40evil.example?=",
    ],
)
def test_no_title_makes_another_header_or_keeps_a_mail_from_being_written(title):
    text = written(LOST._replace(title=title))
    message = compose(text, envelope())
    assert message["Bcc"] is None
    assert len(text.subject) <= 200
    assert text.subject.isprintable()
    raw = message.as_bytes().split(b"\r\n\r\n")[0]
    heads = [line.split(b":")[0] for line in raw.split(b"\r\n") if not line.startswith(b" ")]
    assert sorted(heads) == sorted(
        [
            b"Subject",
            b"From",
            b"To",
            b"Date",
            b"Message-ID",
            b"Auto-Submitted",
            b"MIME-Version",
            b"Content-Type",
        ]
    )


def test_what_a_title_says_is_no_markup_in_the_mail():
    text = written(LOST._replace(title="<img src=x onerror=alert(1)>"))
    assert "<img" not in text.html


async def test_an_alarm_reaches_the_operator(mailbox, new_mails):
    told = Told()
    new_mails(mailbox.port).tell(LOST, told)
    assert told.count == 0
    await mailbox.wait_for_mails(1)
    await told.news.wait()
    (mail,) = mailbox.mails
    assert (mail["To"], mail["From"]) == ("ops@example.com", f"Example Calls <{SENDER}>")
    assert mail["Subject"] == "Example Calls: began: Node n2 is gone."
    assert mail["Date"].datetime == AT + timedelta(minutes=1)
    assert told.count == 1


async def test_what_changes_together_goes_in_one_mail(mailbox, new_mails):
    told, mails = Told(), new_mails(mailbox.port)
    for line in (LOST, BACK, LOST):
        mails.tell(line, told)
    await told.news.wait()
    assert [mail["Subject"] for mail in mailbox.mails] == ["Example Calls: 3 changes of alarms"]
    assert told.count == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"HELLO": "drop"},
        {"HELLO": "421 full"},
        {"MAIL": "451 later"},
        {"RCPT": "450 later"},
        {"DATA": "drop"},
        {"END": "452 full"},
        {"MAIL": "stall"},
        {"HELLO": "stall"},
    ],
    ids=str,
)
async def test_a_mail_that_fails_once_is_tried_again(mailbox, new_mails, fault):
    mailbox.faults.append(fault)
    told, mails = Told(), new_mails(mailbox.port, timeout_s=0.3)
    with capture_logs() as logs:
        mails.tell(LOST, told)
        await told.news.wait()
    assert len(mailbox.mails) == 1
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("alarm not mailed yet", "warning")


async def test_a_mail_that_the_server_may_have_taken_is_sent_again_under_its_own_id(
    mailbox, new_mails
):
    mailbox.faults.append({"END": "drop"})
    told = Told()
    new_mails(mailbox.port).tell(LOST, told)
    await told.news.wait()
    assert len(mailbox.mails) == 2
    assert len(set(mailbox.ids)) == 1


async def test_a_server_that_refuses_for_good_is_logged_once_and_the_mail_given_up(
    mailbox, new_mails
):
    mailbox.faults.extend([{"RCPT": "550 nobody"}] * 3)
    told = Told()
    with capture_logs() as logs:
        new_mails(mailbox.port).tell(LOST, told)
        await told.news.wait()
    assert mailbox.mails == []
    assert mailbox.verbs["conversations"] == 3
    assert [line["log_level"] for line in logs] == ["warning"] * 3 + ["error"]
    assert logs[-1]["event"] == "alarm not mailed"
    assert "ops@example.com" not in str(logs)


async def test_a_hanging_server_keeps_nobody_from_stopping(mailbox, new_mails):
    mailbox.faults.extend([{"MAIL": "stall"}] * 9)
    told, mails = Told(), new_mails(mailbox.port, timeout_s=0.5, delays_s=[0.0] * 8)
    mails.tell(LOST, told)
    while not mailbox.verbs["MAIL"]:
        await asyncio.sleep(0.05)
    await mails.stop()
    # Not called: the process that takes the duty over does it.
    assert told.count == 0
    assert mailbox.mails == []


async def test_one_that_never_told_anything_can_be_stopped(new_mails):
    await new_mails(1).stop()


# On a clock of the test's: what is handed over, and when.


class Server:
    """Stands in for the conversation with a mail server; notes when what was handed over."""

    loop: asyncio.AbstractEventLoop
    begun_s: float

    def __init__(self, faults=()):
        self.faults = list(faults)
        self.at_s, self.mails, self.closed = [], [], 0
        self.loop, self.begun_s = None, 0.0

    def __call__(self, _server):
        return self

    def open(self):
        self.at_s.append(self.loop.time() - self.begun_s)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault

    def send(self, message, recipient):
        self.mails.append((message["Subject"], recipient))

    def close(self):
        self.closed += 1


@pytest.fixture
def play(monkeypatch):
    """Run a story in virtual time, with a mail server that fails as told."""

    def run(story, faults=()):
        server = Server(faults)
        monkeypatch.setattr(alarm_mails, "Conversation", server)

        async def in_time():
            server.loop = virtual_loop()
            server.begun_s = server.loop.time()
            mails = AlarmMails(
                server_at(1),
                "ops@example.com",
                service="Calls",
                origin=ORIGIN,
                clock=lambda: AT,
            )
            await story(mails, server)
            await mails.stop()

        async def at_once(work):
            # Threads have no place in virtual time.
            work()

        monkeypatch.setattr(asyncio, "to_thread", at_once)
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, capture_logs() as logs:
            runner.run(in_time())
        return server, logs

    return run


def test_a_flood_of_changes_makes_one_mail_a_minute_with_the_newest_of_them(play):
    told = []

    async def story(mails, _server):
        for second in range(300):
            for number in range(20):
                mails.tell(LOST, lambda each=(second, number): told.append(each))
            await asyncio.sleep(1)
        await asyncio.sleep(200)

    server, _ = play(story)
    assert all(late - early >= APART_S for early, late in pairwise(server.at_s))
    assert 5 <= len(server.mails) <= 7
    assert {subject for subject, _ in server.mails[1:]} == {f"Calls: {LINES_MAX} changes of alarms"}
    # Also those that found no place count as told: nothing may wait for them for ever.
    assert sorted(told) == [(second, number) for second in range(300) for number in range(20)]


def test_a_server_that_is_away_is_asked_for_ten_minutes_and_then_the_mail_is_given_up(play):
    told = Told()

    async def story(mails, _server):
        mails.tell(LOST, told)
        await asyncio.sleep(3600)

    server, logs = play(story, [ConnectionRefusedError()] * 100)
    pauses = [round(late - early) for early, late in pairwise(server.at_s)]
    assert pauses == [round(delay_s) for delay_s in DELAYS_S]
    assert (sum(DELAYS_S), told.count) == (600, 1)
    assert [line["event"] for line in logs] == ["alarm not mailed yet"] * 6 + ["alarm not mailed"]


def test_what_comes_while_a_mail_is_tried_again_goes_together_with_the_next(play):
    async def story(mails, _server):
        mails.tell(LOST)
        await asyncio.sleep(10)
        mails.tell(BACK)
        mails.tell(LOST)
        await asyncio.sleep(600)

    server, _ = play(story, [TimeoutError()] * 3)
    assert [subject for subject, _ in server.mails] == [
        "Calls: began: Node n2 is gone.",
        "Calls: 2 changes of alarms",
    ]


def test_a_bug_in_one_mail_keeps_neither_what_waits_nor_what_comes_after(play):
    told = Told()

    async def story(mails, _server):
        mails.tell(LOST, told)
        await asyncio.sleep(2)
        mails.tell(BACK, told)
        await asyncio.sleep(200)

    server, logs = play(story, [ValueError("a header with a line feed")])
    assert server.mails == [("Calls: over: Node n2 is gone.", "ops@example.com")]
    assert told.count == 2
    assert [(line["event"], line["log_level"]) for line in logs] == [("alarm not mailed", "error")]


def test_a_mail_whose_title_is_a_forgery_leaves_all_the_same(play):
    async def story(mails, _server):
        mails.tell(EVIL)
        await asyncio.sleep(100)

    server, logs = play(story)
    assert (len(server.mails), logs) == (1, [])


def test_after_a_long_rest_a_change_leaves_within_a_second(play):
    async def story(mails, _server):
        for _ in range(3):
            mails.tell(LOST)
            await asyncio.sleep(1000)

    server, _ = play(story)
    assert [round(at_s) for at_s in server.at_s] == [1, 1001, 2001]
    assert server.closed == 3
