"""`caller accounts supervision`: shown of every account, set where no person decides."""

import pytest

from gateway.errors import EXIT_SETTINGS
from tests.gateway.cli.test_administration import Desk, desk

__all__ = ["desk"]

SHOW = ("supervision", "acme")
WHY = ("--reason", "the shop asked for it")


def rule(desk: Desk):
    return desk.read(*SHOW)


def test_it_is_off_until_an_operator_allows_it(desk):
    assert desk.run(*SHOW) == (0, "supervision off decided by operators")
    code, said = desk.run(*SHOW, "--allow", "whisper", "--as", "lee", *WHY)
    assert (code, said) == (
        0,
        "supervision up to whisper tone tells both parties decided by operators",
    )
    no_tone = ("--no-tone", "[bold]by  contract[/bold]")
    assert desk.run(*SHOW, "--allow", "take-over", *no_tone, *WHY)[0] == 0
    assert "tone none: [bold]by contract[/bold]" in desk.run(*SHOW)[1]
    assert rule(desk) == {
        "most": "take-over",
        "announced": False,
        "silent_reason": "[bold]by contract[/bold]",
        "has_holder": False,
    }
    assert desk.run(*SHOW, "--allow", "off", *WHY)[0] == 0
    assert rule(desk)["most"] == "off"
    *lines, address, key, account = desk.read("log", "acme")
    made = [each["act"] for each in (account, key, address)]
    assert made == ["account_made", "key_made", "notice_address_set"]
    assert [(each["act"], each["operator"], each["reason"]) for each in lines] == [
        ("supervision_set", "kim", "off: the shop asked for it"),
        ("supervision_set", "kim", "up to take-over, without a tone: the shop asked for it"),
        ("supervision_set", "lee", "up to whisper: the shop asked for it"),
    ]


def test_where_a_person_decides_it_is_refused_and_shown(desk):
    code, said = desk.run("supervision", "ada", "--allow", "listen", *WHY)
    assert code == EXIT_SETTINGS
    assert "This account belongs to a person, who decides about supervision." in said
    assert "decided by its holder, at /account/supervision" in desk.run("supervision", "ada")[1]
    acts = [each["act"] for each in desk.read("log", "ada")]
    assert acts == ["key_made", "account_made"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nobody",),
        ("nobody", "--allow", "listen", *WHY),
        ("acme", "--allow", "listen"),
        ("acme", "--allow", "listen", "--reason", " "),
        ("acme", "--allow", "spy", *WHY),
        ("acme", "--allow", "listen", "--no-tone", " ", *WHY),
        ("acme", "--allow", "listen", "--no-tone", "x" * 301, *WHY),
        ("acme", "--allow", "listen", "--no-tone", "a\u202eb", *WHY),
        ("acme", "--allow", "off", "--no-tone", "why", *WHY),
        ("acme", "--no-tone", "why"),
        ("acme", *WHY),
        ("acme", "--as", "lee"),
    ],
)
def test_what_cannot_be_set_changes_nothing(desk, arguments):
    before = desk.read("log", "acme")
    assert desk.run("supervision", *arguments)[0] == EXIT_SETTINGS
    assert rule(desk)["most"] == "off"
    assert desk.read("log", "acme") == before
