"""`caller demo`: what it fills in, what it keeps, and that a newcomer's first command works."""

import contextlib
import io
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from accounts.link import digest
from billing.clock import utc_now
from gateway.cli import app
from gateway.errors import EXIT_SETTINGS, SettingsError
from gateway.http.bearer import key_hash
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.roles import demo
from gateway.roles.demo import PHONEBOOK, Demo
from gateway.stores.mail_outbox import queue_notice
from simulators.carrier.scripts import SCRIPTS
from tests.valkey import free_port, valkey_server, valkey_url

__all__ = ["valkey_server", "valkey_url"]

REAL = {
    "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "CALLER_TWILIO_AUTH_TOKEN": "secret",
    "CALLER_CALLER_ID": "+442079460018",
    "CALLER_PUBLIC_ORIGIN": "https://calls.example.com",
}


@pytest.fixture
def environ(tmp_path):
    return {"CALLER_DATA_DIR": str(tmp_path / "data"), "CALLER_PORT": str(free_port())}


def explained(show):
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    show.explain(console)
    console.file.close()
    return console.export_text()


async def test_a_newcomer_needs_no_setting(environ):
    settings = Demo(environ).settings()
    assert settings.twilio_account_sid.startswith("AC")
    assert settings.carrier_url.startswith("http://127.0.0.1:")
    assert settings.caller_id == "+15005550006"
    assert len(settings.phonebook) == len(PHONEBOOK)


def test_everything_in_the_phonebook_answers_as_it_says():
    assert PHONEBOOK.keys() <= SCRIPTS.keys()


async def test_secrets_are_made_once_and_kept_from_others(environ, tmp_path):
    first, second = Demo(environ).settings(), Demo(environ).settings()
    assert first.twilio_auth_token == second.twilio_auth_token
    kept = tmp_path / "data" / "demo.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    names = {"account_sid", "auth_token", "api_key", "stripe_api_key", "stripe_webhook_secret"}
    names.add("password")
    assert set(json.loads(kept.read_text())) == names


async def test_secrets_of_an_earlier_version_are_kept_and_completed(environ, tmp_path):
    first = Demo(environ).settings()
    kept = tmp_path / "data" / "demo.json"
    older = json.loads(kept.read_text())
    del older["stripe_api_key"], older["stripe_webhook_secret"]
    kept.write_text(json.dumps(older))
    second = Demo(environ).settings()
    assert second.twilio_auth_token == first.twilio_auth_token
    assert second.stripe_api_key != first.stripe_api_key
    assert json.loads(kept.read_text()).items() >= older.items()


@pytest.mark.parametrize(
    "damage", [b"", b'{"account_sid": "AC', b"[1]", b'{"api_key": 1}', b"\xff"]
)
def test_damaged_secrets_are_named_and_kept(damage, environ, tmp_path):
    kept = tmp_path / "data" / "demo.json"
    kept.parent.mkdir()
    kept.write_bytes(damage)
    done = CliRunner().invoke(app.app, ["demo"], obj=environ)
    assert done.exit_code == 2
    assert f"{kept} is damaged. Remove it" in done.output
    assert kept.read_bytes() == damage


async def test_with_a_key_of_its_own_real_payments_are_taken(environ):
    show = Demo(environ | {"CALLER_STRIPE_API_KEY": "sk_live_a"})
    assert show.settings().stripe_url == "https://api.stripe.com"
    assert "no money moves" not in explained(show)
    assert "no money moves" in explained(Demo(environ))


async def test_mails_are_kept_here_unless_a_mail_server_is_set(environ):
    show = Demo(environ)
    assert re.fullmatch(r"smtp://127\.0\.0\.1:\d+", show.settings().smtp_url.reveal())
    assert show.settings().mail_from == "demo@caller.example"
    assert re.search(r"Mails of this demo: http://127\.0\.0\.1:\d+/", explained(show))
    ours = {"CALLER_SMTP_URL": "smtps://mail.example.com:465", "CALLER_MAIL_FROM": "a@example.com"}
    show = Demo(environ | ours)
    assert show.settings().smtp_url.reveal() == ours["CALLER_SMTP_URL"]
    assert "Mails of this demo" not in explained(show)
    assert Demo(environ | {"CALLER_MAIL_FROM": "a@example.com"}).settings().mail_from == (
        "a@example.com"
    )


async def test_the_page_of_the_mails_and_their_server_are_two_ports(environ):
    show = Demo(environ)
    page = re.search(r"Mails of this demo: http://127\.0\.0\.1:(\d+)/", explained(show))[1]
    assert not show.settings().smtp_url.reveal().endswith(f":{page}")


async def test_with_twilios_credentials_it_calls_real_phones(environ):
    show = Demo(environ | REAL)
    assert show.settings().carrier_url == "https://api.twilio.com"
    assert show.settings().phonebook == ()
    assert "Real phones" in explained(show)


async def test_ones_own_settings_win(environ):
    show = Demo(environ | {"CALLER_PHONEBOOK": "+15005551000=Echo"})
    assert show.settings().phonebook == ("+15005551000=Echo",)
    with pytest.raises(SettingsError):
        Demo(environ | {"CALLER_NONSENSE": "1"})


async def test_a_port_in_use_is_avoided_and_that_is_said(environ):
    del environ["CALLER_PORT"]
    with socket.socket() as taken:
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        show = Demo(environ)
    assert show.settings().port != 8080
    assert "Port 8080 is in use" in explained(show)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_free_port_is_the_wanted_one_where_that_is_free(kind):
    wanted = free_port()
    assert demo._free_port("127.0.0.1", wanted) == wanted
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", wanted))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        assert demo._free_port("127.0.0.1", wanted) != wanted


async def test_it_says_where_the_phone_is(environ):
    show = Demo(environ)
    text = explained(show)
    assert f"http://127.0.0.1:{environ['CALLER_PORT']}/#key=ck_" in text
    assert all(number in text for number in PHONEBOOK)


async def test_what_a_year_would_be_made_up_in_is_said(environ):
    assert "No history: this data folder has an account" in explained(
        Demo(environ, with_history=True)
    )
    assert "history" not in explained(Demo(environ))


@pytest.fixture
async def started(environ, valkey_url):
    """A demo in this process; its simulated services are processes of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLER_")}
    show = Demo(kept | environ | {"CALLER_REDIS_URL": valkey_url, "CALLER_WEBRTC": "off"})
    await show.start()
    yield show
    await show.stop()


async def test_it_gives_an_account_credit_a_holder_and_a_button_once(started):
    text, stores = explained(started), started._node.stores
    assert await stores.gate.balance("demo") == demo.CREDIT_MICROS
    key = re.search(r"/#key=(ck_\S+)", text)[1]
    assert (await stores.accounts.account_by_key_hash(key_hash(key))).id == "demo"
    live, test = re.search(
        r"(pk_live_\S+)  calls the echo\s+(pk_test_\S+)  calls no one", text
    ).groups()
    assert started.settings().landing_button == test
    assert f"/c/{live}" in text
    first = re.search(r"works once, for 60 minutes.*?/l/(\S+)", text, re.DOTALL)[1]
    # A start on the same folder gives nothing twice, but another way in.
    await started._fill()
    assert await stores.gate.balance("demo") == demo.CREDIT_MICROS
    again = explained(started)
    assert (live in again, key in again, first in again) == (True, True, False)
    people = SqlPeople(stores.engine, queue_notice, taking_back=TAKING_BACK)
    assert not (await people.look_at_link(digest(first))).works(utc_now())
    second = re.search(r"/l/(\S+)", again)[1]
    assert (await people.look_at_link(digest(second))).works(utc_now())


@contextlib.contextmanager
def running_demo(environ, log, *options):
    """Run the command; give its address and the client of its account."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CALLER_")}
    with (
        open(log, "w+b") as output,
        subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", *options],
            env=clean | environ | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            key = printed_key(log, process)
            base = f"http://127.0.0.1:{environ['CALLER_PORT']}"
            with httpx.Client(headers={"authorization": f"Bearer {key}"}, base_url=base) as client:
                yield base, client
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()


@pytest.mark.thorough
def test_the_first_command_works_and_ends_properly(environ, tmp_path):
    with running_demo(environ, tmp_path / "log") as (base, client):
        account = client.get("/v1/account").json()
        assert (account["id"], account["balance"]["text"]) == ("demo", "$10.00")
        assert httpx.get(f"{base}/readyz").json() == {"status": "ok"}
        made = subprocess.run(
            [
                sys.executable,
                "-m",
                "gateway",
                "accounts",
                "create",
                "operators",
                "--scope",
                "admin",
            ],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=True,
        )
        operator = {"authorization": f"Bearer {made.stdout.split()[-1]}"}
        ready = httpx.get(f"{base}/readyz?verbose", headers=operator).json()
        assert (ready["status"], ready["database"]) == ("ok", "ok")
        proves_an_address(base, (tmp_path / "log").read_text())
        signs_in(base, (tmp_path / "log").read_text())


@pytest.mark.thorough
def test_a_year_is_made_up_at_wish_and_all_books_agree(environ, tmp_path):
    log = tmp_path / "log"
    with running_demo(environ, log, "--with-history") as (_, client):
        wrote = int(re.search(r"(\d+) calls of the last year", log.read_text())[1])
        calls = client.get("/v1/calls?limit=50").json()["calls"]
        assert calls[0]["id"] == f"history{wrote:05}"
        assert {call["state"] for call in calls} == {"ended"}
        audit = subprocess.run(
            [sys.executable, "-m", "gateway", "ledger", "audit"],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "All agree." in audit.stdout, audit.stdout + audit.stderr


def proves_an_address(base, printed):
    """Sign up, and use the link of the mail that the demo shows."""
    mails = re.search(r"Mails of this demo: (\S+)/", printed)[1]
    fields = {"email": "ann@example.com", "password": "quiet otters paint", "adult": "true"}
    origin = {"Origin": base}
    reply = httpx.post(f"{base}/sign-up", data={**fields, "terms": "true"}, headers=origin)
    assert reply.status_code == 303, reply.text
    deadline = time.monotonic() + 40
    while not (listed := httpx.get(f"{mails}/mails").json()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert listed[0]["to"] == [fields["email"]]
    mail = httpx.get(f"{mails}/mails/{listed[0]['id']}").json()
    link = re.search(rf"{base}/l/\S+", mail["text"])[0]
    assert link in mail["html"]
    assert httpx.get(link).status_code == 200
    reply = httpx.post(link, data={"password": fields["password"]}, headers=origin)
    assert reply.headers["location"].endswith("said=address_proven")


def signs_in(base, printed):
    """Sign in as the demo says, and see that the account is that of its phone."""
    link = re.search(rf"{base}/l/\S+", printed)[0]
    with httpx.Client(base_url=base, headers={"Origin": base}) as browser:
        assert "newcomer@caller.example" in browser.get(link).text
        assert browser.get("/account").status_code == 303
        assert browser.post(link).headers["location"] == "/"
        assert browser.get("/v1/account").json()["id"] == "demo"
        assert browser.post(link).status_code == 410
    email, password = re.search(r"Sign in as (\S+) with the password (\S+)", printed).groups()
    with httpx.Client(base_url=base, headers={"Origin": base}, follow_redirects=True) as browser:
        browser.post("/sign-in", data={"email": email, "password": password})
        assert "demo" in browser.get("/account").text
        assert browser.get("/v1/account").json()["id"] == "demo"


def printed_key(log, process):
    """Return the API key once it is printed."""
    deadline = time.monotonic() + 40
    while not (found := re.search(r"/#key=(ck_\S+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found.group(1)


def test_a_port_that_is_taken_is_told_before_anything_is_started(environ, tmp_path):
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        given = environ | {"CALLER_UDP_PORT": str(taken.getsockname()[1])}
        done = CliRunner().invoke(app.app, ["demo"], obj=given)
    assert done.exit_code == 3
    assert "is in use by another process" in done.output
    assert not (tmp_path / "data" / "valkey").exists()


@pytest.mark.thorough
def test_a_simulated_service_that_cannot_serve_ends_the_demo(environ, monkeypatch, capfd):
    class NoSocket(io.FileIO):
        def getsockname(self):
            return "127.0.0.1", 1

    with NoSocket(os.devnull) as no_socket:
        monkeypatch.setattr(demo, "_listen_from", lambda *_: no_socket)
        done = CliRunner().invoke(app.app, ["demo"], obj=os.environ | environ)
    assert done.exit_code == EXIT_SETTINGS
    said = capfd.readouterr().err
    assert "cannot be listened on" in said
    assert "starting it again" not in said


def ports_of(settings):
    """Return the ports of the simulated services that settings name."""
    urls = (settings.carrier_url, settings.stripe_url, settings.smtp_url.reveal())
    return [int(url.rpartition(":")[2]) for url in urls]


async def test_demos_that_start_at_once_take_ports_of_their_own(environ, tmp_path):
    shows = [
        Demo({"CALLER_DATA_DIR": str(tmp_path / str(number)), "CALLER_PORT": str(free_port())})
        for number in range(3)
    ]
    ports = [port for show in shows for port in ports_of(show.settings())]
    assert len(set(ports)) == len(ports)
    assert max(ports) < 8101 + 20, "near the usual ones, for they can be guessed then"
    for port in ports:
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
    assert "services are in use, perhaps by another demo: " in explained(shows[-1])
    mails = re.search(r"Mails of this demo: http://127.0.0.1:(\d+)/", explained(shows[-1]))[1]
    assert int(mails) not in ports
    shows.clear()
    # A demo that is given up keeps none.
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


async def test_no_simulated_service_takes_the_port_of_the_gateway(environ):
    for port in (8090, 8095, 8100, 8101):
        settings = Demo(environ | {"CALLER_PORT": str(port)}).settings()
        assert port not in ports_of(settings)


@pytest.mark.thorough
def test_two_demos_run_beside_each_other(tmp_path):
    """Started in the same moment, with nothing of their own but port and folder."""
    processes, logs = [], []
    with contextlib.ExitStack() as stack:
        for number in range(2):
            own = {
                "CALLER_DATA_DIR": str(tmp_path / f"data{number}"),
                "CALLER_PORT": str(free_port()),
            }
            logs.append(tmp_path / f"log{number}")
            output = stack.enter_context(logs[-1].open("w"))
            command = [sys.executable, "-m", "gateway", "demo"]
            processes.append(
                subprocess.Popen(command, env=os.environ | own, stdout=output, stderr=output)
            )
            stack.callback(processes[-1].kill)
        for process, log in zip(processes, logs, strict=True):
            printed_key(log, process)
        mails = {re.search(r"Mails of this demo: (\S+)/", log.read_text())[1] for log in logs}
        assert len(mails) == 2
        for page in mails:
            assert httpx.get(f"{page}/mails").json() == []
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(40) for process in processes] == [0, 0]
