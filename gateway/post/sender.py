"""Sends the mails in the mail outbox, each until a server accepts it or it is abandoned.

If this process dies before noting that a mail was accepted, it may be sent again, under the same
Message-ID.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from accounts.link import Purpose
from accounts.notice import QueuedMail
from billing.clock import Clock, utc_now
from database.errors import StoreUnavailableError
from gateway.post import notices, outbox_rules
from gateway.post.mail import Conversation, Envelope, MailServer, compose, reply_code, to_ascii
from gateway.post.notices import MailReader, MailSender, MailText
from gateway.post.threads import in_thread

INTERVAL_S: Final = 1.0
"""How soon a queued mail is found."""
TIDY_INTERVAL_S: Final = 3600.0
TIDIED_MAX: Final = 50
"""Transactions of one tidying; what is left waits for the next."""
LEAVE_S_MAX: Final = 2.0
"""How long a stop waits for the mail that is being handed over."""

log = structlog.get_logger(__name__)


class OutgoingMails(Protocol):
    """Where mails wait. Raises StoreUnavailableError."""

    async def claim(
        self, count: int, *, domain: str, until: datetime, first: Collection[str]
    ) -> Sequence[QueuedMail]:
        """Return mails that are due and that no one else will send until then.

        Those of the notices in `first` come before all others.
        """

    async def sent(self, mail: QueuedMail) -> None:
        """Note that a mail was accepted."""

    async def put_off(self, mail: QueuedMail, failure: str, next_try_at: datetime) -> None:
        """Queue a claimed mail again."""

    async def give_back(self, mails: Sequence[QueuedMail], next_try_at: datetime) -> None:
        """Queue claimed mails again that were not tried."""

    async def abandon(self, mail: QueuedMail, failure: str) -> None:
        """Abandon a claimed mail."""

    async def others_lately(
        self, mails: Sequence[QueuedMail], since: datetime
    ) -> Mapping[tuple[str, str], int]:
        """Return how many other mails the accounts of these get now, or got since then.

        By account and name of the notice.
        """

    async def expire(self, created_before: datetime) -> int:
        """Abandon mails that have waited too long; return how many, at most a bounded number."""


Readers = Callable[[str], Awaitable[MailReader]]
"""Looks an account up. Raises LookupError if there is none, and StoreUnavailableError."""
MakeLink = Callable[[Purpose, str, str, datetime], Awaitable[str]]
"""Makes a link (purpose, account, the address it is about, its reach); returns the URL of its page.
Raises StoreUnavailableError."""


class NoAddressError(Exception):
    """There is no address to send a mail to, or no one has proven that it is the reader's."""


class NotWantedError(Exception):
    """The reader has switched such mails off, or may not be written to."""


class MailWriter:
    """Writes a queued mail when it is sent: recipient, language, link."""

    def __init__(self, readers: Readers, make_link: MakeLink, service: MailSender) -> None:
        self._readers = readers
        self._make_link = make_link
        self.service = service

    async def render(self, mail: QueuedMail) -> tuple[str, MailText]:
        """Return the recipient, in the form that mail servers expect, and the mail.

        Its link is made now.

        Raises NoAddressError, NotWantedError, LookupError, StoreUnavailableError, and what
        `notices.write` does.
        """
        notice = mail.notice
        reader = await self._readers(mail.account_id)
        # Checked now: it may have been queued before the reader chose.
        if not reader.choices.wants(notice.name):
            raise NotWantedError
        kind = notices.NOTICES[notice.name]
        # Otherwise someone who signs up with another person's address could have mails sent there.
        if reader.is_unproven and kind.needs_proof:
            raise NoAddressError
        address = notice.recipient or reader.profile.email
        recipient = to_ascii(address)
        if not recipient:
            raise NoAddressError
        about, reach = notice.link_email or address, notice.reach or mail.created_at
        link = alarm = ""
        if notice.link is not None:
            link = await self._make_link(notice.link, mail.account_id, about, reach)
        if kind.has_alarm:
            alarm = await self._make_link(Purpose.NOT_ME, mail.account_id, about, reach)
        return recipient, notices.write(notice, reader, self.service, link, alarm)


class Sender:
    """Sends the mails in the mail outbox to one server; several processes may do so at once."""

    def __init__(
        self,
        outbox: OutgoingMails,
        writer: MailWriter,
        server: MailServer,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._outbox = outbox
        self._writer = writer
        self._server = server
        self._clock = clock
        self._is_leaving = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._conversation: Conversation | None = None
        self._is_away = False

    async def round(self) -> None:
        """Send what is due, over one connection. Raises StoreUnavailableError."""
        rules, now = outbox_rules, self._clock()
        if self._is_leaving:
            return
        self._idle.clear()
        try:
            claimed = await self._outbox.claim(
                rules.BATCH_MAX,
                domain=self._server.domain,
                until=now + rules.SENDING_MAX,
                first=notices.URGENT,
            )
            if claimed:
                lately = await self._outbox.others_lately(claimed, now - rules.PACE_PERIOD)
                mails, later = rules.paced(claimed, lately, notices.URGENT)
                await self._outbox.give_back(later, now + rules.PACE_PERIOD)
                await self._send(mails, now + rules.BATCH_TIME_MAX)
        finally:
            self._idle.set()

    async def leave(self) -> None:
        """Begin no further mail, and wait a moment for the one that is being handed over."""
        self._is_leaving = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S_MAX):
                await self._idle.wait()
        if self._conversation is not None:
            self._conversation.interrupt()

    async def _send(self, mails: Sequence[QueuedMail], until: datetime) -> None:
        self._conversation = conversation = Conversation(self._server)
        try:
            for number, mail in enumerate(mails):
                if self._is_leaving or self._clock() > until:
                    await self._outbox.give_back(mails[number:], self._clock())
                    return
                try:
                    await in_thread(conversation.open, "mail")
                except OSError as error:
                    await self._note_away(error, mails[number:])
                    return
                self._note_back()
                await self._send_one(mail, conversation)
            await in_thread(conversation.close, "mail")
        finally:
            self._conversation = None
            conversation.drop()

    async def _send_one(self, mail: QueuedMail, conversation: Conversation) -> None:
        try:
            recipient, text = await self._writer.render(mail)
            message = compose(text, self._envelope(mail, recipient))
        except StoreUnavailableError:
            # Its claim expires, and nothing can be recorded now.
            raise
        except NoAddressError:
            await self._abandon(mail, 0, outbox_rules.NO_ADDRESS)
            return
        except NotWantedError:
            # Not a failure: no one has to look.
            await self._outbox.abandon(mail, outbox_rules.NOT_WANTED)
            return
        # A bug in a text: the mails behind it must not wait for the fix.
        except Exception as error:
            failure = type(error).__name__
            log.warning(
                "mail not written", about=mail.notice.name, account=mail.account_id, failure=failure
            )
            await self._put_off(mail, 0, failure)
            return
        try:
            await in_thread(lambda: conversation.send(message, recipient), "mail")
        except OSError as error:
            await self._not_taken(mail, reply_code(error), type(error).__name__)
        else:
            await self._outbox.sent(mail)

    async def _not_taken(self, mail: QueuedMail, code: int, kind: str) -> None:
        failure = outbox_rules.describe(code, kind)
        if outbox_rules.is_final(code):
            await self._abandon(mail, code, failure)
        else:
            await self._put_off(mail, code, failure)

    def _envelope(self, mail: QueuedMail, recipient: str) -> Envelope:
        service = self._writer.service
        return Envelope(
            sender=self._server.sender,
            recipient=recipient,
            message_id=mail.message_id,
            at=mail.created_at,
            sender_name=service.name,
            reply_to=service.contact,
        )

    async def _put_off(
        self, mail: QueuedMail, code: int, failure: str, *, is_away: bool = False
    ) -> None:
        again = outbox_rules.retry_at(mail.tries, mail.created_at, self._clock(), is_away=is_away)
        if again is None:
            await self._abandon(mail, code, failure)
        else:
            await self._outbox.put_off(mail, failure, again)

    async def _abandon(self, mail: QueuedMail, code: int, failure: str) -> None:
        await self._outbox.abandon(mail, failure)
        log.warning(
            "mail not sent",
            about=mail.notice.name,
            account=mail.account_id,
            message_id=mail.message_id,
            failure=failure,
            smtp_code=code,
        )

    async def _note_away(self, error: OSError, mails: Sequence[QueuedMail]) -> None:
        code, kind = reply_code(error), type(error).__name__
        if not self._is_away:
            # A wrong password counts too: it says nothing about any mail.
            log.warning("mail server away", failure=kind, smtp_code=code)
        self._is_away = True
        for mail in mails:
            await self._put_off(mail, code, outbox_rules.describe(code, kind), is_away=True)

    def _note_back(self) -> None:
        if self._is_away:
            log.info("mail server back")
        self._is_away = False


class MailTidying:
    """Abandons what waits for too long; the daily retention deletes what has ended."""

    def __init__(self, outbox: OutgoingMails, clock: Clock = utc_now) -> None:
        self._outbox = outbox
        self._clock = clock

    async def round(self) -> None:
        """Do it in small transactions. Raises StoreUnavailableError."""
        now = self._clock()
        # Longer than any sender takes: this is for mails that no one sends.
        limit = now - outbox_rules.LIFETIME - timedelta(hours=1)
        for _ in range(TIDIED_MAX):
            if not await self._outbox.expire(limit):
                break
