"""Each kind says all that must be said of it; what is promised to people is what it says."""

import re

import pytest

from accounts.not_personal import NOT_PERSONAL
from accounts.personal_data import DataPurpose, DataViewer, Fate, KeptSpan, Via
from gateway.data_map import CALL_MONTHS_MAX, HOSTS, KINDS

BY_NAME = {kind.name: kind for kind in KINDS}


def test_each_kind_has_a_name_of_its_own():
    assert len(BY_NAME) == len(KINDS)


@pytest.mark.parametrize("name", BY_NAME)
def test_each_kind_says_what_for_how_long_and_what_becomes_of_it(name):
    kind = BY_NAME[name]
    assert kind.purposes
    assert len(set(kind.purposes)) == len(kind.purposes)
    assert kind.period.reason
    assert bool(kind.period.count) == (kind.period.span not in (KeptSpan.ACCOUNT, KeptSpan.LOGS))
    assert kind.sql or kind.valkey or kind.logs
    # What stays when somebody goes needs a reason.
    assert bool(kind.erasure.reason) == (kind.erasure.fate is not Fate.DELETED)
    if kind.erasure.fate is Fate.EXPIRES:
        assert kind.period.longest is not None or kind.period.span is KeptSpan.LOGS
    for columns in kind.sql:
        assert set(columns.withheld) <= set(columns.names)
        assert kind.not_exported or columns.via is Via.ACCOUNT


def test_what_is_promised_of_calls():
    calls = BY_NAME["calls"]
    assert (calls.period.span, calls.period.count) == (KeptSpan.MONTHS, 12)
    assert CALL_MONTHS_MAX == 12
    assert DataViewer.CARRIER in calls.seen_by
    assert all("audio" not in name for columns in calls.sql for name in columns.names)


def test_nothing_is_kept_for_a_purpose_or_shown_to_somebody_not_promised():
    assert {each for kind in KINDS for each in kind.purposes} == set(DataPurpose)
    sharing = {each for kind in KINDS for each in kind.seen_by}
    assert sharing <= set(DataViewer)
    assert {host.viewer for host in HOSTS} <= set(DataViewer)


def test_secrets_are_in_no_export():
    for kind in KINDS:
        for columns in kind.sql:
            if kind.is_exported:
                named = [n for n in columns.exported if re.search("hash|digest|secret", n)]
                assert not named, (kind.name, named)


def test_what_tells_of_no_person_says_why_once():
    names = [name for entry in NOT_PERSONAL for name in entry.names]
    assert len(names) == len(set(names))
    assert all(entry.reason for entry in NOT_PERSONAL)
