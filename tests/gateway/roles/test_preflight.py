"""What is looked at before a start: the same by `check`, which reports, as by `serve`."""

import errno
import os
import re
import socket
import sqlite3
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from billing.stores.redis_client import connect, disconnect
from database import schema
from database.engine import create_engine
from database.migrations import migrate
from gateway import errors
from gateway.cli import app
from gateway.finding import Finding, away, wrong
from gateway.roles import preflight
from gateway.settings_variables import from_mapping
from gateway.stores import append_only
from gateway.stores.leases import RedisNodeLeases
from tests import mmdb
from tests.certificates import Authority
from tests.tcp_server import tcp_server
from tests.valkey import free_port

ACCOUNT = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "secret",
    "CALLER_ID": "+15005550006",
    "PUBLIC_ORIGIN": "https://calls.example.invalid",
}


class KnowsNobody(BaseHTTPRequestHandler):
    """A carrier that refuses every account."""

    def do_GET(self):
        self.send_error(401)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module", autouse=True)
def carrier():
    """Let every command ask a carrier on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), KnowsNobody)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ACCOUNT, "CARRIER_URL", f"http://127.0.0.1:{server.server_port}")
        yield
    server.shutdown()
    thread.join()
    server.server_close()


def environ(**changes):
    given = {**ACCOUNT, "PORT": free_port(), **changes}
    return {f"CALLER_{name}": str(value) for name, value in given.items() if value is not None}


def run(*arguments, **changes):
    """Run a command; return its code and what it said on one line."""
    # Wide enough that no sentence of a table is broken, whatever its other columns say.
    terminal = CliRunner(env={"COLUMNS": "1000"})
    done = terminal.invoke(app.app, list(arguments), obj=environ(**changes))
    assert "Traceback" not in done.output
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


def assert_both_say(code, words, **changes):
    """`serve` refuses, and `check` says so too."""
    refused, said = run("serve", **changes)
    assert (refused, words in said) == (code, True), said
    checked, report = run("check", **changes)
    assert checked in (errors.EXIT_SETTINGS, errors.EXIT_UNAVAILABLE)
    # A table wraps its lines; words are compared without what it puts between them.
    assert words.split()[0] in report


async def newer_book(file):
    engine = create_engine(f"sqlite:///{file}")
    await migrate(engine)
    await engine.dispose()
    with sqlite3.connect(file) as book:
        book.execute("UPDATE alembic_version SET version_num = '9999'")
    book.close()


@pytest.fixture
async def newer(tmp_path):
    """A data folder whose database a newer release has made."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    await newer_book(folder / "caller.db")
    return folder


def test_a_book_of_a_newer_release_is_a_sentence(newer, valkey_url):
    given = {"DATA_DIR": newer, "REDIS_URL": valkey_url}
    assert_both_say(3, "The database was made by another release of Caller", **given)
    code, said = run("accounts", "keys", "acme", **given)
    assert (code, "another release of Caller" in said) == (3, True)


@pytest.mark.parametrize("made", ["TABLE calls (at)", "VIEW calls AS SELECT 1"])
@pytest.mark.parametrize("names_it", [True, False])
def test_a_database_of_another_program_is_a_sentence(tmp_path, valkey_url, made, names_it):
    file = tmp_path / "caller.db"
    with sqlite3.connect(file) as book:
        book.execute("CREATE TABLE accounts (name)")
        book.execute(f"CREATE {made}")
    book.close()
    file.chmod(0o600)
    given = {"DATA_DIR": tmp_path, "REDIS_URL": valkey_url}
    if names_it:
        given["DATABASE_URL"] = f"sqlite:///{file}"
    words = "The database belongs to another program: it has tables of its own that are named like"
    assert_both_say(3, words, **given)
    code, said = run("check", **given)
    assert (code, "accounts, calls" in said, "no tables yet" in said) == (3, True, False)
    with sqlite3.connect(file) as book:
        rows = book.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    book.close()
    assert rows == [(2,)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("TLS_CERTIFICATE", "{}"), ("RATE_DECK", "{}"), ("DATABASE_URL", "sqlite:///{}")],
)
def test_a_pipe_for_a_file_is_a_sentence(tmp_path, valkey_url, name, value):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    given = {"DATA_DIR": tmp_path, "REDIS_URL": valkey_url, name: value.format(pipe)}
    if name == "TLS_CERTIFICATE":
        given["TLS_KEY"] = pipe
    assert_both_say(2, f"CALLER_{name} does not name a regular file", **given)


def test_a_parameter_of_the_database_that_is_not_known_is_named(tmp_path, valkey_url):
    url = "postgresql://u:p@127.0.0.1:1/db?application_name=a&foo=hunter2"
    given = {"DATA_DIR": tmp_path, "REDIS_URL": valkey_url, "DATABASE_URL": url}
    assert_both_say(2, "CALLER_DATABASE_URL has the parameter foo, which Caller", **given)
    assert "hunter2" not in run("check", **given)[1] + run("serve", **given)[1]


async def test_the_names_of_all_tables_are_known(tmp_path):
    file = tmp_path / "caller.db"
    engine = create_engine(f"sqlite:///{file}")
    await migrate(engine)
    await engine.dispose()
    with sqlite3.connect(file) as book:
        names = book.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    book.close()
    made = {name for (name,) in names if not name.startswith("sqlite_")}
    assert made == schema.TABLES | {"alembic_version"}


def test_a_file_that_is_no_database_is_a_setting_to_be_corrected(tmp_path, valkey_url):
    (tmp_path / "caller.db").write_bytes(b"no database at all, but long enough to be one" * 90)
    (tmp_path / "caller.db").chmod(0o600)
    given = {"DATA_DIR": tmp_path, "REDIS_URL": valkey_url}
    assert_both_say(2, "The file of the database is no SQLite database: name another", **given)
    code, said = run("accounts", "keys", "acme", **given)
    assert (code, "move it away" in said) == (2, True)


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_both_say(
            3, f"CALLER_PORT: TCP port {port} of 127.0.0.1 is in use", DATA_DIR=tmp_path, PORT=port
        )
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert_both_say(
            3,
            f"CALLER_UDP_PORT: UDP port {port} of 127.0.0.1 is in use",
            DATA_DIR=tmp_path,
            UDP_PORT=port,
        )


@pytest.mark.parametrize("host", ["203.0.113.7", "not-a-host.invalid"])
def test_a_host_of_another_machine_is_named(tmp_path, host):
    assert_both_say(
        2, "CALLER_HOST is not an address of this machine", DATA_DIR=tmp_path, HOST=host
    )
    assert run("serve", DATA_DIR=tmp_path, HOST=host)[1].count("CALLER_HOST is not an address") == 1


async def test_the_ports_of_a_node_that_runs_are_its_own(tmp_path, valkey_url):
    redis = connect(valkey_url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = from_mapping(environ(DATA_DIR=tmp_path, REDIS_URL=valkey_url, PORT=port))
        assert [f.is_fatal for f in await preflight.ports(settings, is_starting=False)] == [True]
        await RedisNodeLeases(redis).renew("n1")
        assert [f.is_fatal for f in await preflight.ports(settings, is_starting=False)] == [False]
        assert [f.is_fatal for f in await preflight.ports(settings, is_starting=True)] == [True]
    await disconnect(redis)


@pytest.mark.parametrize("store", ["full", "gone"])
@pytest.mark.parametrize(
    ("body", "is_own"), [(b'{"status":"ok","proof":"ab"}', True), (b'{"status":"ok"}', False)]
)
async def test_a_node_whose_lease_cannot_be_renewed_is_known_by_its_answer(
    store, body, is_own, tmp_path, valkey_url
):
    """On a full disk Valkey takes no write, so that the lease of a node that lives ends."""
    redis = connect(valkey_url)
    await RedisNodeLeases(redis).renew("n1")
    await redis.delete("caller:lease:n1")

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    url = valkey_url if store == "full" else f"redis://127.0.0.1:{free_port()}/0"
    async with tcp_server(serve) as port:
        told = {"DATA_DIR": tmp_path, "REDIS_URL": url, "PORT": port, "WEBRTC": "off"}
        settings = from_mapping(environ(**told, HOST="0.0.0.0"))
        (found,) = await preflight.ports(settings, is_starting=False)
        (starting,) = await preflight.ports(settings, is_starting=True)
    await disconnect(redis)
    assert found.is_fatal is not is_own
    assert ("by this node itself (n1)" in found.text) is is_own
    assert "in use by another process" in starting.text


def test_a_data_folder_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert_both_say(2, f"CALLER_DATA_DIR: {folder} cannot be used", DATA_DIR=folder)
        code, said = run("accounts", "create", "acme", DATA_DIR=folder)
        assert code == 2
        assert "CALLER_PORT" not in said


def outside(tmp_path, valkey_url):
    """Settings with both stores outside the data folder."""
    return {"REDIS_URL": valkey_url, "DATABASE_URL": f"sqlite:///{tmp_path}/elsewhere.db"}


@pytest.mark.parametrize("folder", ["/proc/nope", "{}/file/below"])
def test_a_data_folder_that_cannot_be_one_is_named_also_where_no_store_is_in_it(
    tmp_path, valkey_url, folder
):
    (tmp_path / "file").write_text("")
    folder = folder.format(tmp_path)
    given = outside(tmp_path, valkey_url) | {"DATA_DIR": folder}
    assert_both_say(2, f"CALLER_DATA_DIR: {folder} cannot be used", **given)


def test_only_who_was_erased_needs_no_room_for_a_store(tmp_path, valkey_url, monkeypatch):
    """A volume of a few MiB is enough where both stores are elsewhere; a full one is not."""
    monkeypatch.setattr("os.statvfs", lambda _path: SimpleNamespace(f_bavail=256, f_frsize=4096))
    given = environ(DATA_DIR=tmp_path / "data", **outside(tmp_path, valkey_url))
    assert preflight.files(from_mapping(given)) == []

    def full(_folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gateway.stores.private_files.try_to_write", full)
    (found,) = preflight.files(from_mapping(given))
    assert found.is_away
    assert "its disk is full" in found.text


def test_a_data_folder_of_a_file_system_that_holds_no_files_is_named():
    assert_both_say(2, "CALLER_DATA_DIR: /proc/nope cannot be used", DATA_DIR="/proc/nope")


def test_append_only_files_that_are_damaged_are_told_by_both(tmp_path):
    folder = tmp_path / "valkey" / append_only.FOLDER
    folder.mkdir(parents=True)
    (folder / append_only.MANIFEST).write_text("garbage\n")
    words = f"Valkey's file {folder / append_only.MANIFEST} is damaged"
    assert_both_say(3, words, DATA_DIR=tmp_path)
    code, said = run("accounts", "create", "acme", "--credit", "1", DATA_DIR=tmp_path)
    assert (code, str(folder / append_only.MANIFEST) in said) == (3, True)
    assert f"the folder of CALLER_DATA_DIR, {tmp_path}" in said
    assert "CALLER_REDIS_URL" not in said


@pytest.mark.parametrize(("free_mib", "marks"), [(15, [True]), (400, [False]), (600, [])])
def test_a_disk_that_is_full_is_told_before_a_start(tmp_path, monkeypatch, free_mib, marks):
    free = SimpleNamespace(f_bavail=free_mib * 256, f_frsize=4096)
    monkeypatch.setattr("os.statvfs", lambda _path: free)
    found = preflight.disk("files", tmp_path, "CALLER_DATA_DIR")
    assert [finding.is_fatal for finding in found] == marks
    assert all(f"{free_mib} MiB" in finding.text for finding in found)
    assert not list(tmp_path.iterdir())


def test_an_account_that_is_not_named_is_told_by_both(tmp_path):
    assert_both_say(2, "CALLER_CALLER_ID is missing", DATA_DIR=tmp_path, CALLER_ID=None)


def test_countries_that_are_not_named_or_not_there_are_told(tmp_path):
    def marks(**given):
        found = preflight.home_countries(from_mapping(environ(**given)))
        return [(finding.is_weak, finding.is_fatal) for finding in found]

    assert marks() == marks(SIGN_UP="open", HOME_COUNTRIES="us,GB") == []
    assert marks(SIGN_UP="open") == [(True, False)]
    assert marks(HOME_COUNTRIES="US,UK") == [(False, True)]
    _, report = run("check", DATA_DIR=tmp_path, HOME_COUNTRIES="UK")
    assert "CALLER_HOME_COUNTRIES names UK" in report


def test_a_file_of_countries_that_cannot_be_used_is_told(tmp_path):
    file = mmdb.write(tmp_path / "countries.mmdb", {"203.0.113.0/24": "DE"})
    for given in ({}, {"ADDRESS_COUNTRIES": str(file)}):
        assert preflight.countries_of_addresses(from_mapping(environ(**given))) == []
    file.write_bytes(b"broken")
    (found,) = preflight.countries_of_addresses(from_mapping(environ(ADDRESS_COUNTRIES=str(file))))
    assert found.is_fatal
    assert f"CALLER_ADDRESS_COUNTRIES names {file}, which cannot be used" in found.text


def test_traces_without_their_package_are_refused_before_a_start(monkeypatch):
    settings = from_mapping(environ(OTLP_URL="http://127.0.0.1:4318"))
    assert preflight.traces(settings) == []
    monkeypatch.setitem(sys.modules, "gateway.telemetry.otlp", None)
    (found,) = preflight.traces(settings)
    assert found.is_fatal
    assert "pip install 'caller[otel]'" in found.text


def test_whoever_names_no_address_for_questions_is_told_where_that_is_said():
    (found,) = preflight.contact(from_mapping(environ()))
    assert (found.verdict, "CALLER_CONTACT_EMAIL is empty" in found.text) == ("warning", True)
    assert preflight.contact(from_mapping(environ(CONTACT_EMAIL="help@example.com"))) == []


def test_a_sign_up_without_mail_is_a_weakness(tmp_path):
    mail = {"SMTP_URL": "smtp://127.0.0.1:25", "MAIL_FROM": "a@example.com"}
    for given in ({}, mail, mail | {"SIGN_UP": "open"}):
        assert preflight.sign_up(from_mapping(environ(**given))) == []
    found = preflight.sign_up(from_mapping(environ(SIGN_UP="open")))
    assert [(finding.is_weak, finding.is_fatal) for finding in found] == [(True, False)]
    _, report = run("check", DATA_DIR=tmp_path, SIGN_UP="open")
    assert "without mail no one can prove an address" in report


def test_nodes_that_share_a_database_without_the_key_of_second_factors_are_a_weakness():
    shared = {"SIGN_UP": "open", "DATABASE_URL": "postgresql://u:p@h/d"}
    (found,) = preflight.second_factors(from_mapping(environ(**shared)))
    assert found.is_weak
    assert "CALLER_SECOND_FACTOR_KEYS" in found.text
    for given in (
        {**shared, "SIGN_UP": "closed"},
        {**shared, "SECOND_FACTOR_KEYS": "k" * 32},
        {"SIGN_UP": "open"},
    ):
        assert preflight.second_factors(from_mapping(environ(**given))) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TWILIO_API_KEY_SID": "SK" + "0" * 32}, "need each other"),
        ({"TWILIO_API_KEY_SECRET": "s"}, "need each other"),
        ({"TOP_UP_MIN": "50", "TOP_UP_MAX": "10"}, "CALLER_TOP_UP_MIN is above"),
        ({"SMTP_URL": "smtps://mail.example.com:465"}, "CALLER_MAIL_FROM must be"),
        ({"MAIL_FROM": "caller@example.com"}, "CALLER_MAIL_FROM needs CALLER_SMTP_URL"),
        ({"TOP_UP_MIN": "0"}, "CALLER_TOP_UP_MIN must be more than 0"),
        ({"TOP_UP_AMOUNTS": "10,1000"}, "CALLER_TOP_UP_AMOUNTS offers 1000"),
        ({"EVENTS_URL": "https://example.com/e"}, "CALLER_EVENTS_SECRET need each other"),
        ({"EVENTS_SECRET": "whsec_" + "a" * 32}, "CALLER_EVENTS_URL and"),
        ({"EVENTS_SECRET": "hush"}, "CALLER_EVENTS_SECRET must be whsec_"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_a"}, "needs CALLER_STRIPE_API_KEY"),
        ({"TRUSTED_PROXIES": "0.0.0.0/1,128.0.0.0/1"}, "trusts everyone (0.0.0.0/0)"),
        ({"TRUSTED_PROXIES": "::/2,4000::/2,8000::/1"}, "trusts everyone (::/0)"),
        ({"TRUSTED_PROXIES": "127.0.0.1,64.0.0.0/2"}, "trusts everyone (64.0.0.0/2)"),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "trusts everyone (0.0.0.0/0)"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,::/0"}, "trusts everyone (::/0)"),
        ({"REDIS_URL": "redis://:pa@ss@host/0"}, "percent-encoded"),
        ({"REDIS_URL": "redis://:pa/hunter2@host/0"}, "percent-encoded"),
        ({"REDIS_URL": "redis://:hunter2#2@host/0"}, "percent-encoded"),
        ({"DATABASE_URL": "postgresql://u:hun?ter2@host/db"}, "percent-encoded"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, changes, words):
    for name in ("serve", "check"):
        code, said = run(name, DATA_DIR=tmp_path, **changes)
        assert (code, words in said) == (2, True), said
        assert "hunter2" not in said
        assert "ss@host" not in said


def test_addresses_with_encoded_passwords_are_taken():
    for url in ("redis://:p%40ss%2F@host/0", "redis://u:p@host", "unix:///run/@valkey.sock"):
        assert from_mapping({"CALLER_REDIS_URL": url}).redis_url.reveal() == url
    for url in ("sqlite:////srv/a@b/c.db", "postgresql://u:p%23@host:5432/db?sslmode=require"):
        assert from_mapping({"CALLER_DATABASE_URL": url}).database_url.reveal() == url


@pytest.mark.parametrize(
    ("node", "folder"), [("N1", "data"), ("[bold]", "data"), ("n1", "[/x]"), ("n1", "[red]a")]
)
def test_what_an_operator_typed_is_no_markup(tmp_path, node, folder):
    """What is in brackets was lost, and a folder named as a closing tag was a traceback."""
    (tmp_path / folder).mkdir(mode=0o755, parents=True)
    (tmp_path / folder).chmod(0o777)
    code, said = run("serve", DATA_DIR=tmp_path / folder, NODE=node)
    assert code == 2
    if node == "n1":
        assert folder in said.replace(" ", "")
    else:
        assert "must be 1 to 32 small letters, digits and -, such as n1." in said
    run("check", DATA_DIR=tmp_path / folder, NODE=node)


def test_a_self_signed_certificate_is_called_so(tmp_path):
    authority = Authority(tmp_path)
    given = {"tls_certificate": "TLS_CERTIFICATE", "key": "TLS_KEY"}
    for is_own, words in ((True, "is self-signed"), (False, "is valid until")):
        pair = authority.issue(tmp_path, f"own{is_own}", self_signed=is_own)
        settings = from_mapping(
            environ(
                **{given["tls_certificate"]: pair.certificate, given["key"]: pair.key},
                PUBLIC_ORIGIN="https://localhost",
            )
        )
        (finding,) = preflight.certificate(settings, datetime.now(UTC))
        assert words in finding.text
        assert (finding.is_weak, finding.is_fatal) == (is_own, False)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], 0),
        ([Finding("a", "b", is_weak=True)], 0),
        ([away("a", "b")], 3),
        ([wrong("a", "b")], 2),
        ([away("a", "b"), wrong("a", "b")], 2),
    ],
)
def test_the_code_says_what_is_to_be_done(found, code):
    assert preflight.exit_code(found) == code


def test_the_documentation_lists_the_exit_codes():
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert listed == {0, *codes}


def test_a_new_store_is_not_begun_unsaid(tmp_path, valkey_url, monkeypatch):
    folder, unit_folder = tmp_path / "elsewhere", tmp_path / "units"
    unit_folder.mkdir()
    monkeypatch.setattr("gateway.cli.command.UNIT_FOLDER", unit_folder)
    code, said = run("accounts", "keys", "acme", DATA_DIR=folder, REDIS_URL=valkey_url)
    assert (code, f"There is no store in {folder}" in said) == (2, True)
    assert not folder.exists()
    code, said = run("accounts", "create", "acme", DATA_DIR=folder, REDIS_URL=valkey_url)
    assert code == 0
    assert f"Creating a new store in {folder}" in said
    assert f"systemd units has another one, in {unit_folder}:" in said
    code, said = run("accounts", "create", "other", DATA_DIR=folder, REDIS_URL=valkey_url)
    assert (code, "A new store" in said) == (0, False)


def test_services_that_are_dead_are_reported_in_words_and_not_by_the_log_too(tmp_path):
    dead = f"http://127.0.0.1:{free_port()}"
    _, said = run(
        "check", DATA_DIR=tmp_path, CARRIER_URL=dead, STRIPE_URL=dead,
        STRIPE_API_KEY="sk_test_a", PUBLIC_ORIGIN=dead,
    )  # fmt: skip
    assert "The payment service could not be reached." in said
    assert "HTTP 0" not in said
    assert "[warning" not in said
