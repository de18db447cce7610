"""The TwiML that answered calls run, read back as XML."""

from xml.etree import ElementTree

import pytest

from gateway.twilio.markup import WEBHOOK_OVERRIDES, connect_twiml, hangup_twiml
from tests.gateway.stage import dial_order, order

ORDER = dial_order("c1", order())


@pytest.fixture
def response():
    return ElementTree.fromstring(connect_twiml(ORDER))


def test_the_call_is_connected_to_its_stream(response):
    assert response.tag == "Response"
    (stream,) = response.findall("./Connect/Stream")
    status_url = ORDER.stream_status_url + WEBHOOK_OVERRIDES
    assert stream.attrib == {"url": ORDER.stream_url, "statusCallback": status_url}


def test_the_secret_travels_as_a_parameter(response):
    """Twilio drops the query of a stream's URL."""
    (parameter,) = response.findall("./Connect/Stream/Parameter")
    assert parameter.attrib == {"name": "token", "value": ORDER.token}
    assert ORDER.token not in ORDER.stream_url


def test_nothing_but_the_redirect_follows(response):
    assert [child.tag for child in response] == ["Connect", "Redirect"]
    redirect = response[1]
    url = ORDER.reattach_url + WEBHOOK_OVERRIDES
    assert (redirect.text, redirect.attrib) == (url, {"method": "POST"})


def test_it_fits_into_a_request():
    """Twilio takes 4,000 characters of TwiML (error 21626)."""
    assert len(connect_twiml(dial_order("c" * 64, order()))) < 1_000


def test_the_end_is_a_hang_up_and_nothing_else():
    response = ElementTree.fromstring(hangup_twiml())
    assert [child.tag for child in response] == ["Hangup"]
