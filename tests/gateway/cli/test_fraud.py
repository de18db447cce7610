"""`caller fraud`: rules that are lifted from an account, until when and why."""

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from gateway.cli import app as app_module
from gateway.errors import EXIT_SETTINGS

REASON = ("--reason", "a trip")


@pytest.fixture
def caller(tmp_path, valkey_url):
    environ = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": valkey_url, "USER": "kim"}

    def run(*arguments):
        done = CliRunner().invoke(app_module.app, arguments, obj=environ, terminal_width=200)
        assert "Traceback" not in done.output
        return done.exit_code, " ".join(done.output.split())

    assert run("accounts", "create", "ada")[0] == 0
    return run


def test_the_rules_are_listed_in_their_order():
    said = CliRunner().invoke(app_module.app, ["fraud", "rules"], obj={}).output
    assert said.index("premium") < said.index("countries") < said.index("new-card")


def test_a_rule_is_lifted_and_restored(caller):
    code, said = caller("fraud", "allow", "ada", "new-card", "--until", _soon(), *REASON)
    assert code == 0, said
    assert f"is lifted from ada until {_soon()} 00:00 UTC." in said
    assert f"rule lifted new-card until {_soon()} 00:00 UTC" in caller("accounts", "show", "ada")[1]
    assert caller("fraud", "disallow", "ada", "new-card", *REASON)[0] == 0
    assert "rule lifted" not in caller("accounts", "show", "ada")[1]
    log = caller("accounts", "log", "ada")[1]
    assert "rule_restored" in log
    assert "rule_allowed" in log


@pytest.mark.parametrize(
    "arguments",
    [
        ("nobody", "new-card", "--until", "SOON", *REASON),
        ("ada", "premium", "--until", "SOON", *REASON),
        ("ada", "new-card", "--until", "2020-01-01", *REASON),
        ("ada", "new-card", "--until", "2999-01-01", *REASON),
        ("ada", "new-card", "--until", "soon", *REASON),
        ("ada", "new-card", "--until", "SOON"),
        ("ada", "new-card", *REASON),
    ],
)
def test_what_cannot_be_lifted_changes_nothing(caller, arguments):
    given = [_soon() if each == "SOON" else each for each in arguments]
    assert caller("fraud", "allow", *given)[0] == EXIT_SETTINGS
    assert "rule lifted" not in caller("accounts", "show", "ada")[1]


def _soon():
    """Return a day that is to come, but not too late."""
    return f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
