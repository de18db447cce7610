"""`caller requests`: what came by letter is noted, seen as due, and closed with a note."""

import json

from gateway.cli import accounts, requests
from gateway.errors import EXIT_SETTINGS
from tests.gateway.cli.test_payments import desk, simulator

__all__ = ["desk", "simulator"]


def asked(desk, *arguments):
    done = desk.run(*arguments, app=requests.app)
    assert "Traceback" not in done.output
    return done.exit_code, " ".join(done.output.split())


def test_a_request_by_letter_is_noted_due_and_closed(desk):
    code, said = asked(desk, "add", "nobody", "access")
    assert code != 0
    assert "no account" in said
    for _ in range(2):
        assert asked(desk, "add", "acme", "access") == (0, "Request noted.")
    code, said = asked(desk, "due")
    assert code == 0
    assert said.count("acme") == 1
    assert "open" in said
    done = ("done", "1", "--note", "sent by mail", "--as", "kim")
    assert asked(desk, *done) == (0, "Request closed.")
    assert asked(desk, "done", "1")[0] == EXIT_SETTINGS
    assert "acme" not in asked(desk, "due")[1]
    for arguments in (("list",), ("list", "acme")):
        assert "acme" in asked(desk, *arguments)[1]
    assert "acme" not in asked(desk, "list", "other")[1]
    listed = json.loads(desk.run("log", "acme", "--json", app=accounts.app).stdout)
    *lines, key, account = listed
    assert [key["act"], account["act"]] == ["key_made", "account_made"]
    assert [(each["act"], each["reason"]) for each in lines] == [
        ("request_answered", "access: sent by mail"),
        ("request_noted", "access"),
    ]
    assert lines[0]["operator"] == "kim"


def test_a_note_that_is_too_long_changes_nothing(desk):
    code, said = asked(desk, "done", "1", "--note", "x" * 201)
    assert code == EXIT_SETTINGS
    assert "longer than 200" in said
