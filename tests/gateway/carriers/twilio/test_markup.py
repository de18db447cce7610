"""The TwiML that answered calls run, read back as XML."""

from xml.etree import ElementTree

import pytest

from gateway.carriers.twilio.hooks import NodeHooks
from gateway.carriers.twilio.markup import WEBHOOK_OVERRIDES, connect_twiml, hangup_twiml, say_twiml

HOOKS = NodeHooks(
    origin="https://calls.example.com",
    media_origin="wss://calls.example.com",
    node="n1",
    secret="0f" * 16,
)
CALL = HOOKS.of_call("c1")


@pytest.fixture
def response():
    return ElementTree.fromstring(connect_twiml(CALL))


def test_the_call_is_connected_to_its_stream(response):
    assert response.tag == "Response"
    (stream,) = response.findall("./Connect/Stream")
    status_url = CALL.stream_status_url + WEBHOOK_OVERRIDES
    assert stream.attrib == {"url": CALL.stream_url, "statusCallback": status_url}


def test_the_secret_travels_as_a_parameter(response):
    """Twilio drops the query of a stream's URL."""
    (parameter,) = response.findall("./Connect/Stream/Parameter")
    assert parameter.attrib == {"name": "token", "value": CALL.token}
    assert CALL.token not in CALL.stream_url


def test_nothing_but_the_redirect_follows(response):
    assert [child.tag for child in response] == ["Connect", "Redirect"]
    redirect = response[1]
    url = CALL.reattach_url + WEBHOOK_OVERRIDES
    assert (redirect.text, redirect.attrib) == (url, {"method": "POST"})


def test_it_fits_into_a_request():
    """Twilio takes 4,000 characters of TwiML (error 21626)."""
    assert len(connect_twiml(HOOKS.of_call("c" * 64))) < 1_000


def test_the_end_is_a_hang_up_and_nothing_else():
    response = ElementTree.fromstring(hangup_twiml())
    assert [child.tag for child in response] == ["Hangup"]


def test_a_text_is_said_in_its_language_and_the_call_ended():
    response = ElementTree.fromstring(say_twiml("Ihr Code <1> & 2", "de-DE"))
    assert [child.tag for child in response] == ["Pause", "Say", "Hangup"]
    assert (response[1].text, response[1].attrib) == ("Ihr Code <1> & 2", {"language": "de-DE"})
