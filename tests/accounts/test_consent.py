"""What must be accepted: all of it at first, and again whatever has changed materially."""

from datetime import date
from itertools import pairwise

import pytest

from accounts.consent import (
    AGE_MIN,
    CURRENT,
    HISTORY,
    Document,
    Version,
    current,
    missing,
    with_own,
)

FIRST, SECOND, THIRD = "2026-01-01", "2026-02-01", "2026-03-01"
ADULT = {Document.ADULT: (Version(FIRST),)}


def history(*versions: Version) -> dict[Document, tuple[Version, ...]]:
    return {Document.TERMS: versions, **ADULT}


def test_who_signs_up_accepts_everything():
    assert missing({}) == (Document.TERMS, Document.PRIVACY, Document.ADULT)
    assert missing(CURRENT) == ()
    assert set(CURRENT) == set(Document) == set(HISTORY)


def test_what_is_not_declared_is_missing():
    assert missing({name: at for name, at in CURRENT.items() if name != "adult"}) == (
        Document.ADULT,
    )
    assert AGE_MIN == 18


@pytest.mark.parametrize(
    ("accepted", "is_material", "asked"),
    [
        (FIRST, True, True),
        (FIRST, False, False),
        (SECOND, True, False),
        (SECOND, False, False),
        ("", False, True),
        ("2026-01-15", False, True),  # never posted
        ("9999-12-31", False, True),
        ("yes", True, True),
    ],
)
def test_a_material_change_is_accepted_anew(accepted, is_material, asked):
    versions = history(Version(FIRST), Version(SECOND, is_material))
    answer = missing({"terms": accepted, "adult": FIRST}, versions)
    assert answer == ((Document.TERMS,) if asked else ())


def test_a_small_change_does_not_undo_a_material_one_before_it():
    versions = history(Version(FIRST), Version(SECOND), Version(THIRD, is_material=False))
    assert current(versions) == {"terms": THIRD, "adult": FIRST}
    assert missing({"terms": FIRST, "adult": FIRST}, versions) == (Document.TERMS,)
    assert missing({"terms": SECOND, "adult": FIRST}, versions) == ()
    assert missing(current(versions), versions) == ()


@pytest.mark.parametrize("document", Document)
def test_versions_are_dates_in_order_and_the_first_is_material(document):
    versions = HISTORY[document]
    dates = [date.fromisoformat(version.date) for version in versions]
    assert all(before < after for before, after in pairwise(dates))
    assert versions[0].is_material
    assert [each.isoformat() for each in dates] == [version.date for version in versions]


OURS = {
    Document.TERMS: (Version(FIRST),),
    Document.PRIVACY: (Version(FIRST), Version(THIRD)),
    **ADULT,
}


def test_without_texts_of_an_operator_nothing_changes():
    assert with_own((), (), OURS) == OURS


def test_terms_of_an_operator_are_accepted_in_place_of_ours():
    own = with_own((Version(SECOND), Version("2026-02-01.2", is_material=False)), (), OURS)
    assert current(own) == {"terms": "2026-02-01.2", "privacy": THIRD, "adult": FIRST}
    assert missing(current(OURS), own) == (Document.TERMS,)
    assert missing({**current(own), "terms": SECOND}, own) == ()
    # And ours again, once there are none.
    assert missing(current(own), OURS) == (Document.TERMS,)


@pytest.mark.parametrize(
    ("accepted", "asked"), [(FIRST, True), (SECOND, True), (THIRD, False), ("", True)]
)
def test_an_operators_text_on_privacy_is_accepted_beside_ours(accepted, asked):
    own = with_own((), (Version(SECOND),), OURS)
    assert [each.date for each in own[Document.PRIVACY]] == [FIRST, SECOND, THIRD]
    answer = missing({"terms": FIRST, "adult": FIRST, "privacy": accepted}, own)
    assert answer == ((Document.PRIVACY,) if asked else ())


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("theirs", [True, False])
def test_two_versions_of_one_day_are_one_and_material_if_either_is(ours, theirs):
    history = {**OURS, Document.PRIVACY: (Version(FIRST), Version(SECOND, ours))}
    own = with_own((), (Version(SECOND, theirs),), history)
    assert own[Document.PRIVACY] == (Version(FIRST), Version(SECOND, ours or theirs))


def test_who_accepted_the_first_policy_is_told_of_the_next_one_and_asked_nothing():
    first, newest = HISTORY[Document.PRIVACY][0].date, CURRENT[Document.PRIVACY]
    assert first < newest
    assert missing({**CURRENT, Document.PRIVACY: first}) == ()
