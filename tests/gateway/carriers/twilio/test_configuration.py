"""Where Twilio's API is, by region and edge."""

import pytest

from gateway.carriers.twilio.configuration import api_origin, is_genuine
from gateway.settings_variables import from_mapping


@pytest.mark.parametrize(
    ("region", "edge", "origin"),
    [
        ("", "", "https://api.twilio.com"),
        ("us1", "", "https://api.ashburn.us1.twilio.com"),
        ("ie1", "", "https://api.dublin.ie1.twilio.com"),
        ("au1", "", "https://api.sydney.au1.twilio.com"),
        ("ie1", "frankfurt", "https://api.frankfurt.ie1.twilio.com"),
        ("", "frankfurt", "https://api.frankfurt.us1.twilio.com"),
    ],
)
def test_a_region_and_its_edge_name_twilios_host(region, edge, origin):
    given = {"CALLER_TWILIO_REGION": region, "CALLER_TWILIO_EDGE": edge}
    settings = from_mapping(given)
    assert (api_origin(settings), is_genuine(settings)) == (origin, True)
