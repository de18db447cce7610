"""The shapes of the data map: what can be asked of them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.personal_data import (
    Columns,
    Erasure,
    Fate,
    Kind,
    Period,
    Purpose,
    Span,
    Viewer,
)
from tests.accounts.mapped import columns_of, unmapped

PETS = Kind(
    "pets",
    (Purpose.PROVIDE,),
    (Viewer.PERSON,),
    Period(Span.ACCOUNT, "they stay"),
    Erasure(Fate.DELETED),
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
        (Period(Span.MONTHS, "", 12), timedelta(days=372)),
        (Period(Span.DAYS, "", 30), timedelta(days=30)),
        (Period(Span.MINUTES, "", 10), timedelta(minutes=10)),
        (Period(Span.ACCOUNT, ""), None),
        (Period(Span.BOOKS, "", 10), None),
        (Period(Span.LOGS, ""), None),
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
