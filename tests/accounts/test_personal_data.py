"""The shapes of the data map: what can be asked of them."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.personal_data import (
    Columns,
    DataPurpose,
    DataViewer,
    Fate,
    KeptFor,
    KeptSpan,
    KindErasure,
    KindOfData,
    months_before,
    years_before,
)
from tests.accounts.mapped import columns_of, unmapped

PETS = KindOfData(
    "pets",
    (DataPurpose.PROVIDE,),
    (DataViewer.PERSON,),
    KeptFor(KeptSpan.ACCOUNT, "they stay"),
    KindErasure(Fate.DELETED),
    sql=(
        Columns(
            "pets",
            ("account_id", "name", "tag_hash"),
            beside=("id",),
            withheld=("tag_hash",),
        ),
        Columns("owners", ("pet",)),
    ),
)


@pytest.mark.parametrize(
    ("period", "longest"),
    [
        (KeptFor(KeptSpan.MONTHS, "", 12), timedelta(days=372)),
        (KeptFor(KeptSpan.DAYS, "", 30), timedelta(days=30)),
        (KeptFor(KeptSpan.MINUTES, "", 10), timedelta(minutes=10)),
        (KeptFor(KeptSpan.ACCOUNT, ""), None),
        (KeptFor(KeptSpan.BOOKS, "", 10), None),
        (KeptFor(KeptSpan.LOGS, ""), None),
    ],
)
def test_the_most_that_a_period_comes_to(period, longest):
    assert period.longest == longest


def test_columns_are_named_with_their_table_and_exported_without_secrets():
    pets, owners = PETS.sql
    assert list(pets) == ["pets.account_id", "pets.name", "pets.tag_hash"]
    assert pets.exported == ("id", "account_id", "name")
    assert owners.exported == ("pet",)
    assert PETS.tables() == {"pets", "owners"}


def test_a_kind_is_exported_unless_it_says_why_not():
    assert PETS.is_exported
    assert not replace(PETS, not_exported="they bite").is_exported


def test_a_column_is_of_one_kind_but_for_the_one_that_leads_to_the_person():
    food = replace(PETS, name="food", sql=(Columns("pets", ("account_id", "food")),))
    assert columns_of((PETS, food)) == {
        "pets.account_id": "pets",
        "pets.name": "pets",
        "pets.tag_hash": "pets",
        "owners.pet": "pets",
        "pets.food": "food",
    }
    twice = replace(PETS, name="twice", sql=(Columns("pets", ("name",)),))
    with pytest.raises(ValueError, match=r"pets\.name is of two kinds: pets, twice"):
        columns_of((PETS, twice))


def test_what_is_present_and_not_mapped_is_named_in_order():
    assert unmapped(["c", "a", "b"], ["b"]) == ("a", "c")
    assert unmapped([], ["b"]) == ()


@pytest.mark.parametrize(
    ("at", "months", "expected"),
    [
        ((2026, 11, 27), 12, (2025, 11, 27)),
        ((2026, 1, 31), 1, (2025, 12, 31)),
        ((2026, 3, 31), 1, (2026, 2, 28)),
        ((2028, 3, 31), 1, (2028, 2, 29)),
        ((2028, 2, 29), 12, (2027, 2, 28)),
        ((2026, 12, 1), 0, (2026, 12, 1)),
    ],
)
def test_the_same_day_some_months_earlier(at, months, expected):
    moment, earlier = (datetime.combine(date(*day), time(13, 5), UTC) for day in (at, expected))
    assert months_before(moment, months) == earlier


@given(
    st.integers(0, 10**6).map(
        lambda hours: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    ),
    st.integers(1, 12),
)
def test_a_month_is_never_shorter_or_longer_than_one(at, months):
    passed = at - months_before(at, months)
    assert timedelta(days=28 * months) <= passed <= timedelta(days=31 * months)


@pytest.mark.parametrize(
    ("at", "years", "since"),
    [
        (datetime(2026, 11, 27, 12, 30, 1, 5, tzinfo=UTC), 10, 2016),
        (datetime(2026, 1, 1, tzinfo=UTC), 10, 2016),
        (datetime(2028, 2, 29, 23, tzinfo=UTC), 1, 2027),
    ],
)
def test_a_year_counts_from_its_end(at, years, since):
    assert years_before(at, years) == datetime(since, 1, 1, tzinfo=UTC)
