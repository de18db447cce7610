"""A process that hands a mail over and stands still before it notes that: to be killed there.

`python -m tests.gateway.post.doomed_sender DATABASE_URL SMTP_URL SENDER` prints a line when the
server has taken the mail.
"""

import asyncio
import sys

from billing.payments import PaymentProfile
from database.engine import create_engine
from gateway.post.mail import read_server
from gateway.post.notices import MailReader, MailSender
from gateway.post.sender import MailWriter, Sender
from gateway.secret import Secret
from gateway.stores.mail_outbox import SqlMailOutbox


class DoomedOutbox(SqlMailOutbox):
    """An outbox that never notes what was sent."""

    async def sent(self, mail):
        print("taken", flush=True)
        await asyncio.Event().wait()


async def reader(account_id):
    """Return somebody."""
    return MailReader(PaymentProfile(account_id, "USD", email="alice@example.com"))


async def no_link(*_):
    """Return no link: the mail has none."""
    raise NotImplementedError


async def main(database, smtp, sender):
    """Send one batch."""
    writer = MailWriter(reader, no_link, MailSender("Caller", "https://calls.example.com"))
    outbox = DoomedOutbox(create_engine(database))
    await Sender(outbox, writer, read_server(Secret(smtp), sender)).round()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
