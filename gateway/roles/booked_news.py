"""Queues notices of a credit to programs and account holders, in the transaction that books it.

So a process that dies right afterwards has sent the notice, and booking it again sends none.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ports import BookedEvent
from billing.stores import saved_cards, tables
from gateway.post.mail_queue import notice_of
from gateway.stores.mail_outbox import queue_notice
from gateway.webhooks.spool import queue_news


async def tell_of_credit(connection: AsyncConnection, news: BookedEvent, at: datetime) -> None:
    """Queue the event, and the mail unless it has a link: links lock the holder first."""
    await connection.run_sync(queue_news, news, at)
    account_id = str(news.data["account_id"])
    accounts = tables.accounts.c
    # Booking locks the account, so this is the balance after this credit.
    balance = sa.select(accounts.balance_micros).where(accounts.id == account_id)
    data = {**news.data, "balance_micros": await connection.scalar(balance)}
    notice = notice_of(news.name, data, at)
    # Without a `once`, every repeat would be another mail.
    if notice is None or notice.link is not None or not notice.once:
        return
    # No address is normal: account holders need not give one.
    if (await saved_cards.find_profile(connection, account_id)).email:
        await queue_notice(connection, account_id, notice, at)
