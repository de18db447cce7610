"""Lets the user of a demo sign in: its account gets a holder, a password, a link and a button.

The holder looks as if they had signed up, read their mail and proven the address, because the demo
belongs to the person who starts it.
"""

from __future__ import annotations

import hashlib
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.address import parse_address
from accounts.audit_log import Act, Actor
from accounts.consent import HISTORY, History, current
from accounts.holder import Holder
from accounts.link import Purpose
from accounts.password import normalise
from accounts.stores import audit_log, consents, holders, links, second_factors
from billing.clock import utc_now
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, writing
from gateway.buttons.ports import NewButton
from gateway.buttons.store import SqlButtons
from gateway.embed.keys import KeyMode, publishable_key
from gateway.embed.origins import LOOPBACK
from gateway.embed.rules import ButtonRules, CallAllowance
from gateway.people.password_hashes import Argon2Hashes
from gateway.stores.people_transactions import locked

HOST_ORIGINS: Final = tuple(f"http://{host}:8000" for host in sorted(LOOPBACK))
"""Of pages on this machine that may show the demo's button, as `python -m http.server` has them."""
_AMOUNTS: Final = CallAllowance(visitor_hour=60, visitor_day=300, network_hour=60, network_day=300)
"""A person who builds a page calls again and again."""
_DAY_MICROS: Final = 1_000_000
_MONTH_MICROS: Final = 10_000_000
EMAIL: Final = "newcomer@caller.example"
"""In a domain that cannot exist (RFC 2606)."""


async def make_holder(
    engine: AsyncEngine, account_id: str, password: str, language: str, history: History = HISTORY
) -> None:
    """Create the holder of an existing account; nothing changes if it has one.

    Raises StoreUnavailableError.
    """
    async with reading(engine, TIMEOUT_S) as connection:
        if await holders.find(connection, account_id) is not None:
            return
    at, address = utc_now(), parse_address(EMAIL)
    # In this process and at once: there are no calls yet.
    password_hash = Argon2Hashes().hash(normalise(password).encode())
    if password_hash is None:
        raise MemoryError
    holder = Holder(
        account_id=account_id,
        email=address.text,
        email_proven_at=at,
        password_hash=password_hash,
        credentials_epoch=1,
        language=language,
        created_at=at,
    )
    accepted = {str(each): version for each, version in current(history).items()}
    async with writing(engine, TIMEOUT_S) as connection:
        if await holders.insert(connection, holder, address.key):
            await consents.accept(connection, account_id, accepted, at)
            await connection.execute(
                sa.update(tables.accounts)
                .where(tables.accounts.c.id == account_id)
                .values(email=address.text)
            )
            await audit_log.record(connection, account_id, Act.SIGNED_UP, at, Actor.SERVICE)


async def make_link(engine: AsyncEngine, account_id: str, secret: str) -> bool:
    """Create a one-use sign-in link for the holder, replacing earlier ones.

    Return whether it works: a holder who has a second factor, or has locked the account, signs in
    without it. Raises StoreUnavailableError.
    """
    at = utc_now()
    async with writing(engine, TIMEOUT_S) as connection:
        holder = await locked(connection, account_id)
        if holder is None or holder.locked_at is not None:
            return False
        if await second_factors.find(connection, account_id) is not None:
            return False
        await links.end(connection, account_id, {Purpose.SIGN_IN}, at)
        await links.expect(connection, account_id, Purpose.SIGN_IN, holder.email, at)
        return await links.make_link(
            connection, Purpose.SIGN_IN, account_id, holder.email, at, secret
        )


def button_key(mode: KeyMode, seed: str) -> str:
    """Return the key of the demo's button for a mode; always the same for a seed."""
    return publishable_key(mode, hashlib.sha256(f"{mode} key of {seed}".encode()).digest())


async def make_button(buttons: SqlButtons, account_id: str, seed: str, number: str) -> NewButton:
    """Return the demo's button, which calls this number; made once for a seed.

    Raises StoreUnavailableError.
    """
    keys = (button_key(mode, seed) for mode in KeyMode)
    rules = ButtonRules(
        title="The demo",
        origins=HOST_ORIGINS,
        destination=number,
        amounts=_AMOUNTS,
        day_cap_micros=_DAY_MICROS,
        month_cap_micros=_MONTH_MICROS,
    )
    button = NewButton("demo", "demo", rules, *keys)
    # The number belongs to the simulated network.
    await buttons.note_proven(account_id, None, number)
    await buttons.make(account_id, None, button)
    return button
