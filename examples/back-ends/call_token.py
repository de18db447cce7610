"""Answers `POST /call-token` of your pages: SECRET_KEY=… python3 call_token.py."""

import json
import logging
import os
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from wsgiref.simple_server import make_server

URL = "https://calls.example.com/v1/call-tokens"
HEADERS = {
    "Authorization": f"Bearer {os.environ['SECRET_KEY']}",
    "Content-Type": "application/json",
}


def call_token(visitor: str, destination: str) -> tuple[int, bytes]:
    """Return status and body for the page."""
    call = {"button": "pk_live_KEY", "visitor": visitor, "destination": destination}
    try:
        try:
            reply = urlopen(Request(URL, json.dumps(call).encode(), HEADERS), timeout=5)
        except HTTPError as refusal:
            reply = refusal
        return reply.status, reply.read()
    except (OSError, HTTPException) as error:
        logging.warning("No token: %s", error)
        return 503, b'{"code": "gateway_unreachable"}'


def answer(request, start_response):
    """Answer one request (WSGI)."""
    if (request["REQUEST_METHOD"], request["PATH_INFO"]) != ("POST", "/call-token"):
        start_response("404 Not Found", [])
        return []
    # Both out of your own session and books, never out of what the page says.
    status, body = call_token(visitor="customer-4711", destination="+15005551000")
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    start_response(f"{status} ", headers)
    return [body]


make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), answer).serve_forever()
