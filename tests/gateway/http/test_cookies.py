"""Our cookies: their names, what browsers are told of them, and values that are no secrets."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.cookies import CHALLENGES_MAX, Cookies, challenge_name

SECRET = "a1b2.Zz_-" + "x" * 20


def request(cookie):
    return Request({"type": "http", "headers": [(b"cookie", cookie.encode())]})


@pytest.mark.parametrize(
    ("origin", "name", "is_secure"),
    [
        ("https://calls.example.com", "__Host-caller", True),
        ("http://127.0.0.1:8080", "caller", False),
    ],
)
def test_a_session_is_kept_by_the_browser_as_strictly_as_it_can_be(origin, name, is_secure):
    response = Response()
    cookies = Cookies(origin)
    cookies.set_session(response, SECRET)
    pair, *attributes = response.headers["set-cookie"].split("; ")
    assert pair == f"{name}={SECRET}"
    expected = {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=2592000"}
    assert set(attributes) == expected | ({"Secure"} if is_secure else set())
    assert cookies.session(request(f"a=b; {name}={SECRET}")) == SECRET


def test_the_device_outlives_the_session():
    response, cookies = Response(), Cookies("https://calls.example.com")
    cookies.set_device(response, SECRET)
    assert response.headers["set-cookie"].startswith(f"__Host-caller-device={SECRET}; ")
    assert "Max-Age=31536000" in response.headers["set-cookie"]
    assert cookies.device(request(f"__Host-caller-device={SECRET}")) == SECRET


def test_a_sentence_is_vouched_for_by_its_name_for_a_minute():
    response, cookies = Response(), Cookies("https://calls.example.com")
    cookies.set_said(response, "sent")
    pair, *attributes = response.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "Secure", "Max-Age=60", "Path=/"} <= set(attributes)
    assert cookies.vouches(request(pair), "sent")
    assert not cookies.vouches(request(pair), "signed_out")
    assert not cookies.vouches(request("caller-said=sent"), "sent")
    assert not cookies.vouches(request("__Host-caller-said="), "")


def test_what_is_under_way_is_kept_for_minutes_and_dropped():
    response, cookies = Response(), Cookies("https://calls.example.com")
    cookies.set_ceremony(response, SECRET)
    assert response.headers["set-cookie"].startswith(f"__Host-caller-ceremony={SECRET}; ")
    assert "Max-Age=900" in response.headers["set-cookie"]
    assert cookies.ceremony(request(f"__Host-caller-ceremony={SECRET}")) == SECRET
    dropped = Response()
    cookies.drop_ceremony(dropped)
    assert "Max-Age=0" in dropped.headers["set-cookie"]


def test_a_challenge_is_answered_in_the_browser_that_was_given_it():
    cookies, response = Cookies("https://calls.example.com"), Response()
    cookies.set_challenge(request("a=b"), response, SECRET)
    name = challenge_name(SECRET)
    set_cookie = response.headers["set-cookie"]
    assert set_cookie.startswith(f"__Host-caller-passkey-{name}={SECRET}; ")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=300", "Secure"} == set(
        set_cookie.split("; ")[1:]
    )
    own = request(f"__Host-caller-passkey-{name}={SECRET}")
    assert cookies.challenge(own, name) == SECRET
    for other in ("", "0" * 16, name.upper(), f"{name}x", "../caller"):
        assert cookies.challenge(own, other) == ""
    assert cookies.challenge(request("a=b"), name) == ""


def test_a_browser_keeps_few_challenges():
    cookies = Cookies("http://127.0.0.1:8080")
    others = [f"caller-passkey-{n:016x}" for n in range(CHALLENGES_MAX)]
    for kept, dropped in ((others[1:], []), (others, others)):
        response = Response()
        brought = "; ".join(f"{name}={SECRET}" for name in [*kept, "caller-passkey-not-ours"])
        cookies.set_challenge(request(brought), response, SECRET)
        *gone, own = response.headers.getlist("set-cookie")
        assert [each.partition("=")[0] for each in gone] == dropped
        assert all("Max-Age=0" in each for each in gone)
        assert own.startswith(f"caller-passkey-{challenge_name(SECRET)}=")


def test_a_session_is_dropped():
    response = Response()
    Cookies("https://calls.example.com").drop_session(response)
    assert response.headers["set-cookie"].startswith('__Host-caller=""; ')
    assert "Max-Age=0" in response.headers["set-cookie"]


@pytest.mark.parametrize(
    "value", ["", "short", "x" * 129, "a b c d e f g h i j", "<script>alert(1)</script>", "é" * 20]
)
def test_what_we_cannot_have_made_is_none(value):
    cookies = Cookies("https://calls.example.com")
    header = [(b"cookie", f"__Host-caller={value}".encode("latin-1"))]
    assert cookies.session(Request({"type": "http", "headers": header})) == ""


def test_a_name_without_its_prefix_is_not_believed():
    assert Cookies("https://calls.example.com").session(request(f"caller={SECRET}")) == ""
