"""What the live page takes a feed to say, against what a gateway says: field by field."""

import re

import pytest

from gateway.watching.alarm_view import AlarmView
from gateway.watching.feed_events import FeedDelta, FeedSnapshot
from gateway.watching.rows import CallRow, NodeRow, Warned
from gateway.watching.samples import Sample
from gateway.watching.totals import CountryRow, Health, PrefixRow, Totals
from tests.web.conftest import WEB

CONTRACT = (WEB / "src" / "live" / "contract.ts").read_text()
INTERFACES = {
    "Row": CallRow,
    "Sample": Sample,
    "Health": Health,
    "Prefix": PrefixRow,
    "Country": CountryRow,
    "Totals": Totals,
    "FleetNode": NodeRow,
    "Warning": Warned,
    "Alarm": AlarmView,
}


def fields_of(name):
    """Return the fields of an interface, with those of the one that it extends."""
    found = re.search(
        rf"^export interface {name}(?: extends (\w+))? \{{$(.*?)^\}}$", CONTRACT, re.M | re.S
    )
    assert found is not None, name
    own = set(re.findall(r"^  (\w+)\??:", found[2], re.M))
    return own | (fields_of(found[1]) if found[1] else set())


@pytest.mark.parametrize("name", INTERFACES)
def test_the_page_knows_each_field_that_a_gateway_sends_and_none_besides(name):
    assert fields_of(name) == set(INTERFACES[name].__struct_fields__)


def test_the_page_knows_all_that_a_snapshot_and_a_delta_have():
    sent = {*FeedSnapshot.__struct_fields__, *FeedDelta.__struct_fields__}
    assert fields_of("News") == sent
