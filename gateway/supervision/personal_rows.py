"""Declares what supervision stores of people, for whatever acts on all of it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act
from gateway.app import PersonalRows
from gateway.stores.people_transactions import Change
from gateway.supervision.store import erase_rule, erase_rule_since, supervision_rules


async def _active(_connection: AsyncConnection, _account_id: str, _limit: int) -> Sequence[str]:
    # A rule uses nothing by itself: mails name its mode apart.
    return ()


async def _take_back(change: Change, begin: datetime) -> Mapping[str, Sequence[str]]:
    if await erase_rule_since(change.connection, change.holder.account_id, begin):
        await change.record(Act.SUPERVISION_SET, reason="off")
    return {}


PERSONAL_ROWS: Final = PersonalRows(
    tables=(supervision_rules,),
    order={},
    outdated={},
    erase=erase_rule,
    active=_active,
    take_back=_take_back,
)
