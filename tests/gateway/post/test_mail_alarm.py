"""The operator is alerted when mails are not sent, and when they are again."""

from datetime import UTC, datetime, timedelta

from structlog.testing import capture_logs

from accounts.notice import MailCounts, MailState
from gateway.post.mail_alarm import MailAlarm
from gateway.post.outbox_rules import LATE

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Outbox:
    def __init__(self):
        self.waiting, self.oldest_at, self.untaken = 0, None, 0

    async def counts(self):
        states = dict.fromkeys(MailState, 0) | {MailState.QUEUED: self.waiting}
        return MailCounts(states, self.oldest_at, self.untaken)


async def test_mails_that_wait_too_long_or_were_given_up_raise_it():
    outbox = Outbox()
    alarm = MailAlarm(outbox, lambda: AT)
    said = []

    async def look(waiting, age, untaken=0):
        outbox.waiting, outbox.untaken = waiting, untaken
        outbox.oldest_at = None if age is None else AT - age
        with capture_logs() as logs:
            await alarm.look()
        said.extend((line["event"], line["log_level"]) for line in logs)
        return alarm.is_raised

    assert not await look(0, None)
    assert not await look(50, LATE)
    assert said == []
    assert await look(2, LATE + timedelta(seconds=1))
    assert alarm.waiting == 2
    assert await look(1, timedelta(days=1))
    assert said == [("mails not sent", "error")]
    assert not await look(0, None)
    assert await look(0, None, untaken=1)
    assert said == [
        ("mails not sent", "error"),
        ("mails sent again", "info"),
        ("mails not sent", "error"),
    ]
