"""Answers over the environment over the file, and what of them is written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio.carrier import ACCOUNT, CARRIER, NUMBER
from gateway.errors import SettingsError
from gateway.roles.answers import Answers
from gateway.roles.setup import questions
from gateway.settings import PREFIX
from gateway.settings_file import parse, updated

QUESTIONS = questions(CARRIER)
ASKED = {question.field: question for question in QUESTIONS}
SID, TOKEN, REGION, KEY, KEY_SECRET = ACCOUNT
FOLDER = Path("/srv/gateway")
ACCOUNT_SID = "AC" + "0" * 32


def answers(written=None, environ=None):
    return Answers(QUESTIONS, written or {}, environ or {}, FOLDER)


def test_the_environment_goes_before_the_file_and_an_answer_before_both():
    mixed = answers({"CALLER_PORT": "1", "CALLER_CALLER_ID": "+15550000001"}, {"CALLER_PORT": "2"})
    assert mixed.known(ASKED["port"]) == "2"
    assert mixed.known(NUMBER[0]) == "+15550000001"
    assert mixed.give(ASKED["port"], "3") == ""
    assert (mixed.known(ASKED["port"]), mixed.settings().port) == ("3", 3)
    assert mixed.overruled() == ["CALLER_PORT"]
    assert mixed.changes() == {"CALLER_PORT": "3"}


def test_enter_keeps_and_a_dash_clears():
    some = answers({"CALLER_TWILIO_AUTH_TOKEN": "t", "CALLER_DATABASE_URL": "postgresql://x/y"})
    assert some.give(TOKEN, "") == ""
    assert some.give(ASKED["database_url"], "-") == ""
    assert some.changes() == {"CALLER_TWILIO_AUTH_TOKEN": "t", "CALLER_DATABASE_URL": ""}
    assert some.give(TOKEN, "-") == "This is needed for calls."
    assert answers().give(SID, "  ") == "This is needed for calls."


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("twilio_account_sid", "hunter2"),
        ("caller_id", "hunter2"),
        ("port", "hunter2"),
        ("public_origin", "hunter2"),
        ("redis_url", "hunter2"),
        ("database_url", "postgresql://user:hunter2@@host/db"),
    ],
)
def test_what_is_no_answer_is_refused_by_its_name_and_never_quoted(field, typed):
    some = answers()
    complaint = some.give(ASKED[field], typed)
    assert complaint.startswith(f"CALLER_{field.upper()} must ")
    assert "hunter2" not in complaint
    assert some.changes() == {}


def test_bytes_that_are_no_text_are_refused_at_once():
    """As a terminal types them; at the end all other answers would be lost with this one."""
    assert "no file of settings can hold" in answers().give(TOKEN, "hunter\udcff2")


def test_a_secret_of_no_key_is_neither_asked_for_nor_kept():
    some = answers({"CALLER_TWILIO_API_KEY_SID": "SK" + "0" * 32, KEY_SECRET.name: "s"})
    assert some.is_asked(KEY_SECRET)
    assert some.settings().twilio_api_key_secret
    assert some.give(KEY, "-") == ""
    assert not some.is_asked(KEY_SECRET)
    assert some.changes() == {KEY.name: "", KEY_SECRET.name: ""}
    assert not some.settings().twilio_api_key_secret


def test_numbers_are_taken_as_people_write_them():
    some = answers()
    assert some.give(NUMBER[0], " +1 (555) 123-4567 ") == ""
    assert some.settings().caller_id == "+15551234567"


def test_a_folder_means_the_same_wherever_the_gateway_starts():
    some = answers(environ={"CALLER_DATA_DIR": "data"})
    assert some.give(ASKED["data_dir"], "") == ""
    assert some.changes() == {"CALLER_DATA_DIR": "/srv/gateway/data"}
    assert some.overruled() == []
    assert "without ~" in some.give(ASKED["data_dir"], "~/data")
    plain = answers()
    assert plain.give(ASKED["data_dir"], "") == ""
    assert plain.settings().data_dir == FOLDER / ".caller"


def test_defaults_that_nobody_wrote_are_not_written():
    some = answers()
    for field in ("port", "database_url", "redis_url"):
        assert some.give(ASKED[field], "") == ""
    assert some.changes() == {}


def test_settings_that_no_question_mends_are_told_at_once():
    with pytest.raises(SettingsError, match="CALLER_TYPO"):
        answers({"CALLER_TYPO": "1"}).unasked()
    with pytest.raises(SettingsError, match="CALLER_NODE"):
        answers(environ={"CALLER_NODE": "?"}).unasked()
    answers({SID.name: "nonsense"}).unasked()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60))
def test_an_odd_token_comes_back_from_the_file(typed):
    some = answers()
    if some.give(TOKEN, typed):
        assert typed.strip() in ("", "-")
        return
    read = parse(updated("", some.changes()))
    assert (
        Answers(QUESTIONS, read, {}, FOLDER).settings().twilio_auth_token.reveal() == typed.strip()
    )
    assert set(read) == {f"{PREFIX}TWILIO_AUTH_TOKEN"}


def test_a_secret_that_stands_in_a_file_is_not_asked_for(tmp_path):
    (tmp_path / "token").write_text("t\n")
    some = answers({"CALLER_TWILIO_AUTH_TOKEN_FILE": str(tmp_path / "token")})
    assert not some.is_asked(TOKEN)
    assert some.unasked()
    assert some.settings().twilio_auth_token.reveal() == "t"
    assert some.changes() == {}
    (tmp_path / "token").unlink()
    with pytest.raises(SettingsError, match="TOKEN_FILE"):
        some.unasked()
