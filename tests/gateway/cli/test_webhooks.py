"""`caller webhooks` as an operator types it, beside the worker that sends."""

import asyncio
import json

import pytest
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from gateway.cli import app as app_module
from gateway.cli import webhooks
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS
from gateway.problems import PROBLEMS
from gateway.roles import storage
from gateway.settings_variables import from_mapping
from gateway.stores import private_files
from gateway.webhooks.ports import ENDPOINTS_MAX, LABEL_MAX
from gateway.webhooks.work import WebhookWork
from tests.gateway.cli.test_administration import Desk, desk
from tests.gateway.webhooks.world import HOST, receiving, services_of

__all__ = ["desk"]

URL = "https://hooks.example.com/caller"
ACME = ("--account", "acme")
WHY = ("--reason", "asked by phone")
BY = (*ACME, *WHY)
NOWHERE = "wh_none"


class Line:
    """An operator who types `caller webhooks …`."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.lines_before = len(desk.read("log", "acme"))

    def run(self, *arguments, said=""):
        """Return exit code and what is said, on one line."""
        done = CliRunner().invoke(
            app_module.app,
            ["webhooks", *arguments],
            obj=self.desk.environ,
            input=said,
            terminal_width=250,
        )
        assert "Traceback" not in done.output
        return done.exit_code, " ".join(done.output.split())

    def read(self, *arguments):
        code, said = self.run(*arguments, "--json")
        assert code == 0, said
        return json.loads(said)

    def add(self, *arguments):
        return self.read("create", URL, *BY, *arguments)

    def log(self):
        """Return what was written since the account was made, the oldest first."""
        lines = [
            (each["act"], each["operator"], each["reason"])
            for each in reversed(self.desk.read("log", "acme"))
        ]
        return lines[self.lines_before :]


@pytest.fixture
def line(desk):
    return Line(desk)


def test_a_webhook_is_made_shown_changed_and_deleted(line):
    assert line.run("list", *ACME) == (0, "No webhook.")
    code, said = line.run("create", URL, *BY, "--label", "[bold]shop", "--type", "call.ended")
    (made,) = line.read("list", *ACME)
    assert (code, said) == (0, f"Webhook {made['id']} added.")
    assert (made["url"], made["label"], made["types"]) == (URL, "[bold]shop", ["call.ended"])
    shown = line.run("list", *ACME)[1]
    assert all(text in shown for text in (made["id"], URL, "[bold]shop", "call.ended", "enabled"))
    change = ("change", made["id"], *BY)
    assert "disabled since" in line.run(*change, "--disable")[1]
    assert line.read("list", *ACME)[0]["disabled_why"] == "by_operator"
    code, said = line.run("test", made["id"], *BY)
    assert code == EXIT_SETTINGS
    assert PROBLEMS["webhook_disabled"].message in said
    assert "`caller webhooks change --enable`" in said
    changed = line.read(*change, "--enable", "--all-types", "--label", "", "--url", f"{URL}/2")
    assert changed == made | {"types": [], "label": "", "url": f"{URL}/2"}
    assert line.run("delete", made["id"], *BY, said="n\n")[0] == EXIT_FINDINGS
    code, said = line.run("delete", made["id"], *BY)
    assert (code, "Repeat it with --yes" in said) == (EXIT_FINDINGS, True)
    # Nobody is asked about what is not there.
    assert "for good?" not in line.run("delete", NOWHERE, *BY, said="y\n")[1]
    assert line.run("delete", made["id"], *BY, "--yes") == (0, "Webhook deleted.")
    assert line.read("list", *ACME) == []
    why = f"{made['id']}: asked by phone"
    assert line.log() == [
        ("webhook_added", "kim", why),
        *[("webhook_changed", "kim", why)] * 2,
        ("webhook_removed", "kim", why),
    ]


def test_the_secret_is_printed_when_it_is_asked_for_and_at_no_other_time(line):
    made = line.add("--show-secret")
    secret = made.pop("secret")
    again = line.add("--idempotency-key", "k1")
    assert "secret" not in again
    code, said = line.run("rotate", made["id"], *BY, "--show-secret", "--as", "lee")
    assert code == 0
    assert "The old one keeps signing until" in said
    turned = said.split()[-1]
    assert turned.startswith("whsec_")
    assert turned != secret
    for command in (
        ("rotate", made["id"], *BY),
        ("list", *ACME),
        ("list", *ACME, "--json"),
        ("change", made["id"], *BY, "--label", "x", "--json"),
        ("test", made["id"], *BY),
        ("deliveries", made["id"], *ACME, "--json"),
    ):
        code, said = line.run(*command)
        assert (code, "whsec_" in said) == (0, False), command
    # Whoever has lost an answer asks again, by the same name.
    once = ("create", URL, *BY, "--idempotency-key", "k1", "--show-secret")
    assert line.read(*once) == line.read(*once)
    assert len(line.read("list", *ACME)) == 2
    assert [(act, who) for act, who, _ in line.log()].count(("webhook_turned", "lee")) == 1


def test_a_name_is_of_one_act_alone(line):
    named = ("--idempotency-key", "k1")
    made = line.add(*named)
    for other in ((f"{URL}/2",), (URL, "--label", "x"), (URL, "--type", "call.ended")):
        code, said = line.run("create", *other, *BY, *named)
        assert (code, "idempotency key" in said) == (EXIT_SETTINGS, True), said
    for name in ("", "two words", "n" * 256, "é"):
        for command in (("create", URL), ("rotate", made["id"])):
            code, said = line.run(*command, *BY, "--idempotency-key", name)
            assert (code, "cannot be used" in said) == (EXIT_SETTINGS, True), said
    assert [each["id"] for each in line.read("list", *ACME)] == [made["id"]]


def test_what_only_looks_makes_no_key(line, tmp_path):
    line.run("list", *ACME)
    line.run("test", NOWHERE, *BY)
    assert not (tmp_path / private_files.SECOND_FACTOR_KEY).exists()
    line.add()
    assert (tmp_path / private_files.SECOND_FACTOR_KEY).exists()


@pytest.mark.parametrize(
    "said", [b"\xff\xfe", "https://bücher.example/".encode(), b"https://x.example/\n" * 200, b""]
)
def test_what_is_no_address_is_refused(line, said):
    assert line.run("create", "-", *BY, said=said)[0] == EXIT_SETTINGS
    two = f"{URL}\n{URL}/2\n".encode()
    assert line.run("create", "-", *BY, said=two)[0] == EXIT_SETTINGS
    assert line.read("list", *ACME) == []


def test_an_address_with_a_token_is_read_from_the_input(line):
    token = f"{URL}?token=1"
    assert line.run("create", "-", *BY, said=f"{token}\n")[0] == 0
    (made,) = line.read("list", *ACME)
    assert made["url"] == token
    assert line.run("change", made["id"], *BY, "--url", "-", said="")[0] == EXIT_SETTINGS
    assert line.read("list", *ACME) == [made]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("list", "--account", "nobody"), "no account with this id"),
        (("create", URL, "--account", "nobody", *WHY), "no account with this id"),
        (("list",), "--account"),
        (("create", URL, *ACME), "--reason"),
        (("create", URL, *ACME, "--reason", " "), "--reason"),
        (("create", "https://10.0.0.1/", *BY), "to this address: private."),
        (("create", "ftp://x", *BY), "to this address: form."),
        (("create", URL, *BY, "--type", "call.begun"), "There are: call.ended,"),
        (("create", URL, *BY, "--label", "a\u202eb"), "cannot be read"),
        (("create", URL, *BY, "--label", "x" * (LABEL_MAX + 1)), f"length <= {LABEL_MAX}"),
        (("create", f"{URL}/{'x' * 2000}", *BY), "The url is not right."),
        (("create", URL, "--account", "ada", *WHY), "by the link that was mailed"),
        (("change", NOWHERE, *BY), "Nothing to change."),
        (("change", NOWHERE, *BY, "--type", "call.ended", "--all-types"), "not both"),
        (("change", NOWHERE, *BY, "--disable"), "`caller webhooks list`"),
        (("rotate", NOWHERE, *BY), "`caller webhooks list`"),
        (("delete", NOWHERE, *BY, "--yes"), "`caller webhooks list`"),
        (("test", NOWHERE, *BY), "`caller webhooks list`"),
        (("deliveries", NOWHERE, *ACME), "`caller webhooks list`"),
        (("deliveries", NOWHERE, *ACME, "--limit", "0"), "--limit"),
        (("replay", NOWHERE, *BY), "not both"),
        (("replay", NOWHERE, "d1", *BY, "--since", "2026-01-01"), "not both"),
        (("replay", NOWHERE, "d1", *BY), "`caller webhooks list`"),
        (("replay", NOWHERE, *BY, "--since", "2026-01-01"), "`caller webhooks list`"),
        (("replay", NOWHERE, *BY, "--since", "monday"), "not a date"),
    ],
)
def test_what_cannot_be_done_says_what_to_do_and_changes_nothing(line, arguments, hint):
    code, said = line.run(*arguments)
    assert (code, hint in said) == (EXIT_SETTINGS, True), said
    assert line.read("list", *ACME) == []
    assert line.log() == []


def test_another_account_s_webhook_is_not_found(line):
    made = line.add()
    assert line.desk.run("create", "bob")[0] == 0
    bob = ("--account", "bob")
    for arguments in (
        ("change", made["id"], *bob, *WHY, "--disable"),
        ("delete", made["id"], *bob, *WHY, "--yes"),
        ("deliveries", made["id"], *bob),
    ):
        code, said = line.run(*arguments)
        assert (code, PROBLEMS["webhook_not_found"].message in said) == (EXIT_SETTINGS, True)
    assert line.read("list", *ACME) == [made]


def test_an_account_has_as_many_as_by_the_api(line):
    for _ in range(ENDPOINTS_MAX):
        line.add()
    code, said = line.run("create", URL, *BY)
    assert (code, PROBLEMS["webhooks_too_many"].message in said) == (EXIT_SETTINGS, True)


async def test_the_worker_sends_what_a_command_has_queued(line, monkeypatch):
    monkeypatch.setattr("gateway.webhooks.sender.INTERVAL_S", 0.05)
    environ = line.desk.environ | {"CALLER_WEBHOOK_PRIVATE_HOSTS": HOST}
    line.desk.environ = environ
    settings = from_mapping({k: v for k, v in environ.items() if k.startswith("CALLER_")})
    engine = storage.open_database(settings)
    duty = WebhookWork(services_of(settings, engine))
    duty.start()
    try:
        async with receiving() as receiver, asyncio.timeout(30):
            create = ("create", receiver.url, *BY, "--show-secret")
            made = await asyncio.to_thread(line.read, *create)
            one = (made["id"], *ACME)
            queued = await asyncio.to_thread(line.read, "test", *one, *WHY)
            await _arrived(receiver, 1)
            await _until_sent(line, one)
            again = await asyncio.to_thread(line.read, "replay", one[0], queued["id"], *BY)
            await _arrived(receiver, 2)
            shown = await _until_sent(line, one)
            since = ("replay", *one, *WHY, "--since", "2026-01-01")
            assert (await asyncio.to_thread(line.run, *since))[1] == "Queued again: 0."
    finally:
        await duty.stop()
        await engine.dispose()
    assert receiver.ids == [queued["message_id"], again["message_id"]]
    assert receiver.ids[0] == receiver.ids[1]
    for headers, body in receiver.taken:
        assert Webhook(made["secret"]).verify(body, headers)["type"] == "webhook.test"
    assert (shown["deliveries"][0]["id"], len(shown["deliveries"][0]["attempts"])) == (
        queued["id"],
        2,
    )
    listing = ("deliveries", *one, "--limit", "1")
    code, table = await asyncio.to_thread(line.run, *listing)
    assert code == 0
    assert all(text in table for text in (queued["id"], "webhook.test", "sent", "204", "--before"))
    acts = [act for act, *_ in await asyncio.to_thread(line.log)]
    assert acts == ["webhook_added", "webhook_tested", "webhook_replayed"]


async def _arrived(receiver, count):
    while len(receiver.taken) < count:
        receiver.arrived.clear()
        await receiver.arrived.wait()


async def _until_sent(line, one):
    while True:
        page = await asyncio.to_thread(line.read, "deliveries", *one)
        if {each["state"] for each in page["deliveries"]} == {"sent"}:
            return page


def test_it_is_a_command():
    assert app_module.COMMANDS["webhooks"].module == webhooks.__name__
