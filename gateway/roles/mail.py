"""Composes the way mails reach people: into the mail outbox, and from there to the server.

The drainer's process sends; every other process queues.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.link import Purpose
from accounts.stores import holders
from accounts.stores.links import make_link
from billing.clock import utc_now
from billing.stores.payments import SqlPaymentStore
from database.engine import TIMEOUT_S, reading, writing
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.post import sender
from gateway.post.mail import mail_server
from gateway.post.mail_queue import MailQueue
from gateway.post.notices import MailReader, MailSender
from gateway.post.sender import MailTidying, MailWriter, Sender
from gateway.settings import Settings
from gateway.stores.mail_outbox import SqlMailOutbox
from gateway.words.data_map import Kept
from gateway.words.languages import DEFAULT_LANGUAGE

LINK_SECRET_BYTES = 32


def open_queue(engine: AsyncEngine) -> MailQueue:
    """Return what queues mails about events."""
    return MailQueue(SqlMailOutbox(engine), SqlPaymentStore(engine))


def build_writer(settings: Settings, engine: AsyncEngine) -> MailWriter:
    """Return what writes mails when they are sent."""
    profiles = SqlPaymentStore(engine)

    async def reader(account_id: str) -> MailReader:
        profile = await profiles.profile(account_id)
        async with reading(engine, TIMEOUT_S) as connection:
            holder = await holders.find(connection, account_id)
        # Accounts that an operator made for a program have no holder.
        if holder is None:
            return MailReader(profile, DEFAULT_LANGUAGE)
        return MailReader(
            profile, holder.language, holder.choices, is_unproven=not holder.is_proven
        )

    async def new_link(purpose: Purpose, account_id: str, email: str, reach: datetime) -> str:
        # Created here and stored nowhere except in the mail.
        secret = secrets.token_urlsafe(LINK_SECRET_BYTES)
        async with writing(engine, TIMEOUT_S) as connection:
            await make_link(
                connection,
                purpose,
                account_id,
                email,
                at=utc_now(),
                secret=secret,
                reach=reach,
            )
        return f"{settings.origin}/l/{secret}"

    operator = ", ".join(filter(None, (settings.operator, settings.operator_address)))
    kept = Kept(settings.calls_kept_months, settings.books_kept_years)
    named = (settings.service_name, settings.origin, settings.contact_email, operator)
    service = MailSender(*named, kept)
    return MailWriter(reader, new_link, service)


class MailDuty:
    """The mail tasks of the drainer's process, beside draining."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        on_forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what is called once the last mail to a person is gone.

        Raises SettingsError for an unusable mail server.
        """
        outbox = SqlMailOutbox(engine, on_forgotten=on_forgotten)
        tidying = PeriodicTask(
            "tidy the mail outbox", MailTidying(outbox).round, sender.TIDY_INTERVAL_S
        )
        self._tasks = [tidying]
        self._sender: Sender | None = None
        if server := mail_server(settings):
            self._sender = Sender(outbox, build_writer(settings, engine), server)
            self._tasks.append(PeriodicTask("send mails", self._sender.round, sender.INTERVAL_S))

    def start(self) -> None:
        """Start on the running loop."""
        for task in self._tasks:
            task.start()

    async def stop(self) -> None:
        """Stop; what has not been sent stays in the outbox."""
        if self._sender is not None:
            await self._sender.leave()
        for task in self._tasks:
            await task.stop()
