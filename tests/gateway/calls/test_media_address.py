"""Where a page opens the media socket of a node."""

from dataclasses import replace

import pytest

from gateway.calls.media_address import media_url
from tests.gateway.stage import SETTINGS


@pytest.mark.parametrize(
    ("settings", "origin", "url"),
    [
        ({"public_origin": "https://a.example"}, "", "wss://a.example"),
        ({"public_origin": "http://127.0.0.1:8080"}, "", "ws://127.0.0.1:8080"),
        (
            {"public_origin": "http://127.0.0.1:8080"},
            "http://localhost:8080",
            "ws://localhost:8080",
        ),
        (
            {"public_origin": "https://a.example", "allowed_origins": ("https://b.example",)},
            "https://b.example",
            "wss://a.example",
        ),
    ],
)
def test_the_socket_is_where_the_page_can_reach_it(settings, origin, url):
    assert media_url(replace(SETTINGS, **settings), "n7", origin) == url + "/n/n7/media/browser"
