"""The check of persons that docs/buttons.md shows, run against a service on this machine."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from gateway.buttons.human_check import load
from tests.gateway.buttons.on_stage.test_human_check import ASKED, refusal


class Service(BaseHTTPRequestHandler):
    """Answers as Turnstile does: with success for one response, once."""

    asked: ClassVar[list[dict]] = []

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        asked = {name: values[0] for name, values in form.items()}
        is_right = (
            asked["secret"] == "s" and asked["response"] == "good" and asked not in self.asked
        )
        self.asked.append(asked)
        body = json.dumps({"success": is_right}).encode()
        self.send_response(500 if asked["response"] == "broken" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_what):
        """Write nothing."""


@pytest.fixture
def service(monkeypatch):
    """A service on this machine, and the module of an operator that asks it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TURNSTILE_SECRET", "s")
    monkeypatch.setenv("TURNSTILE_URL", f"http://127.0.0.1:{server.server_port}/siteverify")
    text = Path("docs/buttons.md").read_text().partition("```python\n")[2].partition("```")[0]
    module = ModuleType("my_checks")
    exec(text, module.__dict__)
    monkeypatch.setitem(sys.modules, "my_checks", module)
    Service.asked.clear()
    yield Service
    server.shutdown()
    server.server_close()


async def test_the_documented_check_lets_in_whom_the_service_confirms_and_once(service):
    documented = load("my_checks:verify_human")
    await documented.require("good", ASKED)
    assert service.asked == [{"secret": "s", "response": "good", "remoteip": "192.0.2.1"}]
    assert await refusal(documented.require("good", ASKED)) == "human_check_failed"
    assert await refusal(documented.require("bad", ASKED)) == "human_check_failed"
    assert await refusal(documented.require("broken", ASKED)) == "human_check_unavailable"
