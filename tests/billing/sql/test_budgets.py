"""Spending limits as the book keeps them."""

import pytest

from billing.spend_limits import UNLIMITED, Budget, Period, SpendLimits
from billing.stores import tables
from billing.stores.budgets import (
    BUDGETS,
    CALL_LIMIT,
    calls_with_holders,
    limit_columns,
    limits_of,
)
from billing.stores.tick_batch import CAPS_PER_CALL_MAX

ACCOUNT_DAY = Budget("account:alice", Period.DAY, 2)
ACCOUNT_MONTH = Budget("account:alice", Period.MONTH, 3)
KEY_DAY = Budget("key:k1", Period.DAY, 0)
KEY_MONTH = Budget("key:k1", Period.MONTH, 4)


def row(*micros):
    columns = (CALL_LIMIT, *limit_columns("account", "key"))
    return {column.name: limit for column, limit in zip(columns, micros, strict=True)}


@pytest.mark.parametrize(
    ("micros", "limits"),
    [
        ((1, 2, 3, 0, 4), SpendLimits(1, (ACCOUNT_DAY, ACCOUNT_MONTH, KEY_DAY, KEY_MONTH))),
        ((None, None, 3, None, None), SpendLimits(None, (ACCOUNT_MONTH,))),
        ((None,) * 5, UNLIMITED),
    ],
)
def test_what_is_null_is_no_limit(micros, limits):
    assert limits_of(row(*micros), account="alice", key="k1") == limits


def test_a_row_without_a_key_has_the_limits_of_its_account():
    names = {column.name for column in limit_columns("account")}
    found = {name: micros for name, micros in row(1, 2, 3, 4, 5).items() if name in names}
    assert limits_of(found, account="alice") == SpendLimits(None, (ACCOUNT_DAY, ACCOUNT_MONTH))


def test_a_tick_has_room_for_every_kind():
    assert len(BUDGETS) <= CAPS_PER_CALL_MAX


def tables_of(joined):
    return {table.name for table in joined._from_objects if hasattr(table, "name")}


def test_calls_are_joined_with_each_holder_once():
    holders = {kind.table.name for kind in BUDGETS}
    assert tables_of(calls_with_holders()) == {tables.calls.name, *holders}
    for kind in BUDGETS:
        assert tables_of(kind.calls) == {"calls", "accounts", kind.table.name}
