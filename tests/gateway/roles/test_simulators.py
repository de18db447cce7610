"""Commands that run the simulated services, where these are not installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import EXIT_SETTINGS
from gateway.roles.demo import Demo
from gateway.roles.process import EndedError
from gateway.roles.simulators import require_simulators
from tests.thorough import first_of
from tests.valkey import free_port

WITHOUT_SIMULATORS = """
import sys
sys.modules["simulators"] = None
from gateway.cli import process
process.main()
"""
REAL = {
    "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "CALLER_TWILIO_AUTH_TOKEN": "secret",
    "CALLER_CALLER_ID": "+442079460018",
    "CALLER_STRIPE_API_KEY": "sk_live_a",
    "CALLER_SMTP_URL": "smtp://127.0.0.1:1",
    "CALLER_MAIL_FROM": "demo@caller.example",
    "CALLER_PUBLIC_ORIGIN": "https://calls.example.com",
}


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_SIMULATORS, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "command",
    first_of(["demo", "simulate", "simulate-payments", "simulate-mail"]),
)
def test_a_command_that_needs_them_says_what_to_install(command: str, tmp_path: Path) -> None:
    done = run(command, CALLER_DATA_DIR=str(tmp_path), CALLER_PORT=str(free_port()))
    assert done.returncode == EXIT_SETTINGS
    what, hint = done.stderr.splitlines()
    assert what == (
        "Error: The simulated services are not installed: install the package caller-simulators,"
        " with `pip install ./simulators` in Caller's source tree."
    )
    assert hint == "`make run` does so by itself; `caller serve` runs without them."


@pytest.mark.thorough
def test_commands_of_the_gateway_alone_go_on() -> None:
    for arguments in (["--help"], ["serve", "--help"], ["demo", "--help"], ["settings"]):
        assert run(*arguments).returncode == 0


async def test_a_demo_of_real_services_needs_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "simulators", None)
    environ = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_PORT": str(free_port())}
    assert Demo({**environ, **REAL}).settings().carrier_url == "https://api.twilio.com"
    for name in ("CALLER_TWILIO_ACCOUNT_SID", "CALLER_STRIPE_API_KEY", "CALLER_SMTP_URL"):
        some = {key: value for key, value in REAL.items() if key != name}
        with pytest.raises(EndedError):
            Demo({**environ, **some})


def test_where_they_are_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    require_simulators()
    assert capfd.readouterr() == ("", "")
