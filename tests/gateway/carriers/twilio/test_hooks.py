"""What Twilio is given for a call: addresses of this node, and a token that names the call."""

import pytest

from gateway.carriers.twilio.hooks import NodeHooks, unreachable

HOOKS = NodeHooks(
    origin="https://calls.example.com",
    media_origin="wss://calls.example.com",
    node="n1",
    secret="0f" * 16,
)


def test_each_call_has_addresses_of_its_own_on_this_node():
    call = HOOKS.of_call("c1")
    base = "https://calls.example.com/n/n1/twilio"
    assert call.status_url == f"{base}/status/c1"
    assert call.stream_status_url == f"{base}/stream/c1"
    assert call.reattach_url == f"{base}/reattach/c1"
    assert call.stream_url == "wss://calls.example.com/n/n1/media/carrier"
    assert call.stream_url.endswith(HOOKS.stream_path)


def test_a_calls_token_names_it_and_no_other_text_does():
    token = HOOKS.of_call("c1").token
    assert token.startswith("c1.")
    assert len(token) > len("c1") + 30
    assert HOOKS.call_of(token) == "c1"
    assert HOOKS.call_of(token + "x") == HOOKS.call_of("c1") == HOOKS.call_of("") == ""
    assert HOOKS.of_call("c2").token != token


def test_a_name_that_is_no_word_leaves_the_path_as_it_is():
    assert HOOKS.of_call("a/b?c").status_url.endswith("/status/a/b%3Fc")


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("https://calls.example.com:8443", "port 8443, and Twilio opens media sockets on port 443"),
        ("https://my_calls.example.com", "no host with an underscore"),
        ("https://calls.example.com", ""),
        ("https://[2001:db8::1]", ""),
    ],
)
def test_where_twilio_does_not_come_is_told(origin, words):
    assert words in unreachable(origin)
    assert bool(unreachable(origin)) == bool(words)
