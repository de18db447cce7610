"""Two people in a book, of whom one owns what a test is about."""

import sqlalchemy as sa

from accounts.notice import Notice
from accounts.ports import NewHolder
from accounts.stores import audit_log
from database.errors import StoreUnavailableError
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.stores.mail_outbox import mail_outbox, queue_notice


class TwoPeople:
    """Ada and Bob, and how often other nodes were told of a change."""

    def __init__(self, engine, now):
        self.engine = engine
        self.now, self.told, self.is_untold = now, 0, False

    async def tell(self):
        if self.is_untold:
            raise StoreUnavailableError("away")
        self.told += 1

    async def entries(self, account_id):
        """Return an account's lines in the audit log, the newest first."""
        async with self.engine.connect() as connection:
            return await audit_log.of_account(connection, account_id, limit=50)

    async def mails(self, notice):
        """Return the mails of one notice."""
        query = sa.select(mail_outbox.c.notice).where(mail_outbox.c.notice == notice)
        async with self.engine.connect() as connection:
            return list(await connection.scalars(query))

    async def sign_up(self):
        people = SqlPeople(
            self.engine, queue_notice, clock=lambda: self.now, taking_back=TAKING_BACK
        )
        for name in ("ada", "bob"):
            email = f"{name}@example.com"
            holder = NewHolder(name, "USD", email, email, "hash", "en", {})
            await people.sign_up(holder, Notice("locked", email))
