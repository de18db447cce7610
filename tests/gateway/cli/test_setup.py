"""`caller setup` in a terminal: against a simulated carrier, a real origin and real stores."""

import asyncio
import contextlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.roles.process import read_settings
from simulators.carrier.service import SimulatorService, SimulatorSettings
from tests.certificates import DAY, Authority
from tests.own_tests import ROOT
from tests.proxy import Proxy
from tests.tcp_server import tcp_server
from tests.terminal import Terminal
from tests.valkey import free_port

SID = "AC" + "a" * 32
TOKEN = 'it\'s #1 "quoted" $\\'
NUMBER = "+15005550111"
CTRL_C, CTRL_D = b"\x03", b"\x04"

SID_ASKED, TOKEN_ASKED, KEY_ASKED = "Account SID", "Its auth token", "SID of an API key"
REGION_ASKED = "Region of the account"
NUMBER_ASKED, PORT_ASKED, ORIGIN_ASKED = "Number that phones", "TCP port here", "Public origin,"
FOLDER_ASKED, SQL_ASKED, VALKEY_ASKED = "Folder for what", "URL of PostgreSQL", "URL of Redis"
FAILED = "leave (l)?"
WRITE = "caller.env? [Y/n]"


class Desk:
    """Everything that an operator has: a carrier, a name with a certificate, a folder."""

    def __init__(self, folder: Path, carrier: str, origin: str, port: int, trusted: Path) -> None:
        self.folder = folder
        self.file = folder / "caller.env"
        self.origin = origin
        self.port = port
        self.environ = {"CALLER_CARRIER_URL": carrier, "SSL_CERT_FILE": str(trusted)}

    @contextlib.contextmanager
    def terminal(self, *arguments, **environ):
        with Terminal(["setup", *arguments], {**self.environ, **environ}, self.folder) as terminal:
            yield terminal
            for secret in (TOKEN, "hunter2"):
                assert secret not in terminal.shown

    def account(self, token=TOKEN):
        return [(SID_ASKED, SID), (TOKEN_ASKED, token), (REGION_ASKED, ""), (KEY_ASKED, "")]

    def stores(self, sql="", valkey=""):
        return [(FOLDER_ASKED, "data"), (SQL_ASKED, sql), (VALKEY_ASKED, valkey)]

    def reach(self):
        return [(ORIGIN_ASKED, self.origin), (PORT_ASKED, str(self.port))]

    def all(self):
        return [*self.account(), (NUMBER_ASKED, NUMBER), *self.stores(), *self.reach()]


@contextlib.asynccontextmanager
async def desk_at(tmp_path, *, issue=None, passes_upgrade=True, **options):
    simulated = SimulatorSettings(
        account_sid=SID, auth_token=TOKEN, **{"own_numbers": (NUMBER,), **options}
    )
    carrier, authority, port = SimulatorService(simulated), Authority(tmp_path), free_port()
    folder = tmp_path / "here"
    folder.mkdir()
    await carrier.start()
    pair = authority.issue(tmp_path, **(issue or {}))
    try:
        async with Proxy(port, pair, passes_upgrade=passes_upgrade) as proxy:
            yield Desk(folder, carrier.url, proxy.origin, port, authority.file)
    finally:
        await carrier.stop()


async def converse(terminal, *talk):
    """Answer each prompt when it comes; the servers of the test run meanwhile."""

    def speak():
        for prompt, answer in talk:
            terminal.expect(prompt)
            if answer is not None:
                terminal.type(answer)

    await asyncio.to_thread(speak)


async def ended(terminal):
    return await asyncio.to_thread(terminal.end)


def settings_in(desk, **environ):
    return read_settings({"CALLER_SETTINGS": str(desk.file), **environ})


async def test_from_nothing_to_a_file_that_a_gateway_reads(tmp_path, valkey_url):
    async with desk_at(tmp_path) as desk:
        talk = [*desk.account(), (NUMBER_ASKED, "+1 (500) 555-0111")]
        talk += [*desk.stores(f"sqlite:///{tmp_path}/book.db", valkey_url), *desk.reach()]
        with desk.terminal() as terminal:
            await converse(terminal, *talk, (WRITE, ""))
            assert await ended(terminal) == 0
    for line in ("carrier", "number", "permissions", "database", "reach", "sockets", "certificate"):
        assert f"✓ ok  {line}: " in terminal.shown
    assert "  redis: Answers, version" in terminal.shown
    assert "✗" not in terminal.shown
    section = (ROOT / "docs/operations.md").read_text().partition("\n## First real call\n")[2]
    rows = re.findall(r"^\| ([a-z, ]+) \|", section.partition("\n## ")[0], re.MULTILINE)
    documented = {subject for row in rows for subject in row.split(", ")}
    assert set(re.findall(r"(?:ok|warning)  ([a-z ]+): ", terminal.shown)) <= documented
    assert "Next: " in terminal.shown
    assert valkey_url not in terminal.shown, "it may hold a password"
    assert stat.S_IMODE(desk.file.stat().st_mode) == 0o600
    assert os.listdir(desk.folder) == ["caller.env"], "nothing else was made"
    read = settings_in(desk)
    assert read.twilio_account_sid == SID
    assert read.twilio_auth_token.reveal() == TOKEN
    assert (read.caller_id, read.origin, read.port) == (NUMBER, desk.origin, desk.port)
    assert read.redis_url.reveal() == valkey_url
    assert read.data_dir == desk.folder / "data"


@pytest.mark.thorough
async def test_what_fails_is_corrected_or_kept(tmp_path):
    """A wrong token, a foreign number, no country at all: each says what to do."""
    async with desk_at(tmp_path, countries_off=("*",)) as desk:
        talk = [
            *desk.account("hunter2"),
            ("✗ failed  carrier: ", None),
            ("credentials (HTTP 401)", None),
            (FAILED, ""),
            (SID_ASKED, ""),
            (TOKEN_ASKED, TOKEN),
            (REGION_ASKED, ""),
            (KEY_ASKED, ""),
            ("✓ ok  carrier", None),
            (NUMBER_ASKED, "5550111"),
            ("CALLER_CALLER_ID must", None),
            (NUMBER_ASKED, "+15005550999"),
            ("✗ failed  number: CALLER_CALLER_ID is not a number of the account", None),
            ("✗ failed  permissions: No country may be called. Switch some on", None),
            (FAILED, "x"),
            (FAILED, "k"),
            *desk.stores(),
            *desk.reach(),
            (WRITE, ""),
            ("Kept although they failed: number, permissions.", None),
        ]
        with desk.terminal() as terminal:
            await converse(terminal, *talk)
            assert await ended(terminal) == 0
    assert settings_in(desk).caller_id == "+15005550999"


@pytest.mark.thorough
async def test_a_trial_account_is_told_and_no_reason_to_stop(tmp_path):
    async with desk_at(tmp_path, account_type="Trial", high_risk_on=("GB",)) as desk:
        with desk.terminal() as terminal:
            await converse(terminal, *desk.all(), (WRITE, ""))
            assert await ended(terminal) == 0
    assert "! warning  carrier: Answers; the account is active, on trial" in terminal.shown
    assert "! warning  permissions: " in terminal.shown
    assert "are open in GB: switch them off" in terminal.shown


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("issue", "passes_upgrade", "origin", "words"),
    [
        ({"age": 3 * DAY, "life": -DAY}, True, "", "reach: The certificate of https://localhost"),
        (None, False, "", "sockets: A WebSocket to https://localhost"),
        (None, True, "https://127.0.0.1:9", "reach: Nothing listens at https://127.0.0.1:9. Open"),
        (None, True, "https://calls.example.invalid", "reach: The name calls.example.invalid is"),
    ],
)
async def test_an_origin_that_does_not_lead_here(tmp_path, issue, passes_upgrade, origin, words):
    async with desk_at(tmp_path, issue=issue, passes_upgrade=passes_upgrade) as desk:
        desk.origin = origin or desk.origin
        with desk.terminal() as terminal:
            await converse(terminal, *desk.all(), (f"✗ failed  {words}", None), (FAILED, "l"))
            assert await ended(terminal) == 1
    assert "Nothing was written: " in terminal.shown
    assert os.listdir(desk.folder) == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("answers", "prompt", "key", "code"),
    [
        (0, SID_ASKED, CTRL_C, 130),
        (1, TOKEN_ASKED, CTRL_C, 130),
        (1, TOKEN_ASKED, CTRL_D, 1),
        (5, FOLDER_ASKED, CTRL_C, 130),
        (10, WRITE, CTRL_C, 130),
        (10, WRITE, CTRL_D, 1),
    ],
)
async def test_leaving_midway_leaves_nothing(tmp_path, answers, prompt, key, code):
    async with desk_at(tmp_path) as desk:
        with desk.terminal() as terminal:
            await converse(terminal, *desk.all()[:answers], (prompt, None))
            await asyncio.to_thread(terminal.press, key)
            assert await ended(terminal) == code
            assert terminal.echoes()
    assert "Nothing was written: " in terminal.shown
    assert "Traceback" not in terminal.shown
    assert os.listdir(desk.folder) == []


@pytest.mark.thorough
async def test_ctrl_c_while_something_is_checked(tmp_path):
    async def say_nothing(reader, _writer):
        await reader.read()

    async with tcp_server(say_nothing) as port, desk_at(tmp_path) as desk:
        desk.environ["CALLER_CARRIER_URL"] = f"http://127.0.0.1:{port}"
        with desk.terminal() as terminal:
            await converse(terminal, *desk.account(), ("Checking", None))
            await asyncio.to_thread(terminal.press, CTRL_C)
            assert await ended(terminal) == 130
    assert "Nothing was written: " in terminal.shown
    assert "Traceback" not in terminal.shown


@pytest.mark.thorough
async def test_a_file_that_is_there_gives_the_defaults_and_keeps_the_rest(tmp_path):
    async with desk_at(tmp_path) as desk:
        desk.file.write_text(
            f'# mine\nCALLER_OPERATOR="Example, Inc."\nCALLER_TWILIO_ACCOUNT_SID={SID}\n'
            "CALLER_TWILIO_AUTH_TOKEN=hunter2\n"
        )
        desk.file.chmod(0o644)
        before = desk.file.read_text()
        talk = [(SID_ASKED, ""), (f"{TOKEN_ASKED} [the one that is set]", TOKEN)]
        talk += [(REGION_ASKED, ""), (KEY_ASKED, "")]
        talk += desk.all()[4:]
        replace = ("Its comments and other settings stay. [Y/n]", "n")
        with desk.terminal() as terminal:
            told = [(f"{desk.file} provides the defaults", None)]
            told.append((f"Everyone on this machine may read {desk.file}", None))
            await converse(terminal, *told, *talk, replace)
            assert await ended(terminal) == 1
        assert desk.file.read_text() == before
        with desk.terminal(CALLER_PORT="1") as terminal:
            await converse(terminal, *talk, (replace[0], "y"))
            assert await ended(terminal) == 0
    assert "The environment overrides the file: CALLER_PORT." in terminal.shown
    assert desk.file.read_text().startswith('# mine\nCALLER_OPERATOR="Example, Inc."\n')
    assert stat.S_IMODE(desk.file.stat().st_mode) == 0o600
    assert settings_in(desk).twilio_auth_token.reveal() == TOKEN
    assert settings_in(desk, CALLER_PORT="7").port == 7


@pytest.mark.thorough
async def test_an_api_key_is_proved_beside_the_token(tmp_path):
    key = "SK" + "b" * 32
    async with desk_at(tmp_path, api_key_sid=key, api_key_secret="hunter2") as desk:
        talk = [*desk.account()[:3], (KEY_ASKED, key), ("Secret of that API key", "hunter2")]
        with desk.terminal() as terminal:
            await converse(terminal, *talk, *desk.all()[4:], (WRITE, ""))
            assert await ended(terminal) == 0
    assert "✓ ok  auth token: Valid." in terminal.shown
    assert settings_in(desk).twilio_api_key_secret.reveal() == "hunter2"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["--file", "none/caller.env"], {}, "There is no folder"),
        (["--file", "/proc/caller.env"], {}, "cannot be written to"),
        ([], {"CALLER_TYPO": "1"}, "CALLER_TYPO is not a setting"),
        (["--json"], {}, "--json goes with --check"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_asked(tmp_path, arguments, environ, words):
    with Terminal(["setup", *arguments], environ, tmp_path) as terminal:
        assert terminal.end() == 2
    assert words in terminal.shown
    assert "Twilio's Account SID" not in terminal.shown
    assert os.listdir(tmp_path) == []


def run(folder, *arguments, **environ):
    """Run it without a terminal."""
    plain = {name: v for name, v in os.environ.items() if not name.startswith("CALLER_")}
    search = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "gateway", "setup", *arguments],
        env={**plain, "PYTHONPATH": search, "COLUMNS": "400", **environ},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.thorough
def test_without_a_terminal_it_says_what_to_do(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 2
    assert "needs a terminal. Write the file by hand" in " ".join(done.stderr.split())
    assert os.listdir(tmp_path) == []


@pytest.mark.thorough
async def test_check_asks_nothing_and_judges_the_file(tmp_path):
    async with desk_at(tmp_path) as desk:
        desk.file.write_text(
            f"CALLER_TWILIO_ACCOUNT_SID={SID}\nCALLER_TWILIO_AUTH_TOKEN=hunter2\n"
            f"CALLER_CALLER_ID={NUMBER}\nCALLER_PORT={desk.port}\n"
            f"CALLER_PUBLIC_ORIGIN={desk.origin}\nCALLER_WEBRTC=off\n"
        )
        wrong = await asyncio.to_thread(run, desk.folder, "--check", "--json", **desk.environ)
        desk.environ["CALLER_TWILIO_AUTH_TOKEN"] = TOKEN
        right = await asyncio.to_thread(run, desk.folder, "--check", **desk.environ)
    verdicts = {each["subject"]: each["verdict"] for each in json.loads(wrong.stdout)}
    assert wrong.returncode == 3
    assert (verdicts["carrier"], verdicts["reach"]) == ("failed", "ok")
    assert (right.returncode, "✓ ok" in right.stdout, "✗" in right.stdout) == (0, True, False)
    assert "hunter2" not in wrong.stdout + wrong.stderr + right.stdout
    assert os.listdir(desk.folder) == ["caller.env"]
