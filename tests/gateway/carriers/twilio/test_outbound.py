"""Media Streams messages to Twilio are exact, byte for byte what its schema asks for."""

import base64
import json
from pathlib import Path

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio.outbound import Outbound

SID = "MZ" + "0" * 32
SCHEMA = json.loads((Path(__file__).parent / "data/outbound_frames.schema.json").read_text())


@given(st.binary(min_size=1, max_size=4000), st.text(min_size=1, max_size=50))
def test_what_we_send_is_exact(audio, name):
    outbound = Outbound(SID)
    for message in (outbound.media(audio), outbound.mark(name), outbound.clear()):
        jsonschema.validate(json.loads(message), SCHEMA)
    assert base64.b64decode(json.loads(outbound.media(audio))["media"]["payload"]) == audio
    assert json.loads(outbound.mark(name))["mark"]["name"] == name
