"""Queues what programs and account holders are told of a credit, in the transaction that books it.

A process that dies right after has told of it, and one that books it again tells nothing.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.news import News
from billing.stores import payment_profiles, tables
from gateway.post.mail_queue import notice_of
from gateway.stores.mail_outbox import queue_notice
from gateway.webhooks.spool import queue_news


async def tell_of_credit(connection: AsyncConnection, news: News, at: datetime) -> None:
    """Queue the event, and the mail unless that has a link: links lock the holder before."""
    await connection.run_sync(queue_news, news, at)
    account_id = str(news.data["account_id"])
    accounts = tables.accounts.c
    # The account is locked by its booking: this is what the credit has made of it.
    balance = sa.select(accounts.balance_micros).where(accounts.id == account_id)
    told = {**news.data, "balance_micros": await connection.scalar(balance)}
    notice = notice_of(news.name, told, at)
    # Of a notice that has no word of its own each telling would be another mail.
    if notice is None or notice.link is not None or not notice.once:
        return
    # No address is normal: account holders need not give one.
    if (await payment_profiles.find(connection, account_id)).email:
        await queue_notice(connection, account_id, notice, at)
