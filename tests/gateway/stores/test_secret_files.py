"""Secrets that are files: which variables may name one, and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.secret import Secret
from gateway.settings import KNOBS, PREFIX, SECRET_FILES, Settings
from gateway.settings_variables import from_mapping
from gateway.stores.secret_files import BYTES_MAX, filled

TOKEN = "CALLER_TWILIO_AUTH_TOKEN"
PLANTED = "5ec4e7"


def test_every_secret_may_be_a_file_and_nothing_else() -> None:
    hidden = {f"{PREFIX}{f.name.upper()}" for f in fields(Settings) if "Secret" in str(f.type)}
    assert hidden == set(SECRET_FILES)
    assert all(variable == f"{name}_FILE" for name, variable in SECRET_FILES.items())
    # CALLER_TERMS_FILE is no secret's.
    assert not set(SECRET_FILES.values()) & set(KNOBS)


@pytest.mark.parametrize("content", ["abc", "abc\n", "abc\r\n", "  abc \n\n", "\ufeffabc\n"])
def test_the_line_of_a_file_is_the_secret(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content.encode())
    read = filled({f"{TOKEN}_FILE": f" {file} ", "PATH": "/bin"})
    assert read == {TOKEN: "abc", "PATH": "/bin"}
    assert from_mapping(read).twilio_auth_token == Secret("abc")


def test_several_webhook_keys_stand_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("new, old\n")
    read = from_mapping(filled({"CALLER_TWILIO_WEBHOOK_KEYS_FILE": str(tmp_path / "keys")}))
    assert read.twilio_webhook_keys == (Secret("new"), Secret("old"))


def test_what_is_empty_is_as_if_it_were_not_set(tmp_path: Path) -> None:
    assert filled({f"{TOKEN}_FILE": "", TOKEN: "abc"}) == {TOKEN: "abc"}
    (tmp_path / "real").write_text("abc")
    # As in a file of settings whose other lines were left empty.
    assert filled({f"{TOKEN}_FILE": str(tmp_path / "real"), TOKEN: ""}) == {TOKEN: "abc"}
    # Kubernetes mounts links.
    (tmp_path / "link").symlink_to("real")
    assert filled({f"{TOKEN}_FILE": str(tmp_path / "link")}) == {TOKEN: "abc"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b" \n\n", "an empty file"),
        (PLANTED.encode() * BYTES_MAX, f"more than {BYTES_MAX} bytes"),
        (f"{PLANTED}\n{PLANTED}\n".encode(), "in one line"),
        (f"{PLANTED}\0".encode(), "in one line"),
        (PLANTED.encode() + b"\xff", "UTF-8"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_without_being_shown(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=said) as caught:
        filled({f"{TOKEN}_FILE": str(file)})
    assert f"{TOKEN}_FILE " in str(caught.value)
    assert PLANTED not in str(caught.value)
    # Nothing of it travels with the error either.
    assert caught.value.__cause__ is None


def test_the_longest_secret_is_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x" * BYTES_MAX)
    assert filled({f"{TOKEN}_FILE": str(tmp_path / "token")})[TOKEN] == "x" * BYTES_MAX


def test_both_ways_at_once_are_refused_also_where_they_agree(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(PLANTED)
    with pytest.raises(SettingsError, match=rf"{TOKEN} and {TOKEN}_FILE are both set"):
        filled({TOKEN: PLANTED, f"{TOKEN}_FILE": str(tmp_path / "token")})


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, said in (
        ("missing", "No such file"),
        (".", "Is a directory"),
        ("pipe", "does not name a file"),
        ("a\0b", "not a valid file name"),
        ("x" * 5000, "too long"),
    ):
        with pytest.raises(SettingsError, match=said):
            filled({f"{TOKEN}_FILE": f"{tmp_path}/{place}"})


def test_a_secret_in_the_place_of_its_file_s_name_is_not_shown() -> None:
    for value in (PLANTED, f"redis://caller:{PLANTED}@host/0", PLANTED * 1000):
        with pytest.raises(SettingsError, match="cannot be read") as caught:
            filled({"CALLER_REDIS_URL_FILE": value})
        assert PLANTED not in str(caught.value)


def test_a_file_of_what_is_no_secret_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("+15005550006")
    with pytest.raises(SettingsError, match="CALLER_CALLER_ID_FILE is not a setting"):
        from_mapping(filled({"CALLER_CALLER_ID_FILE": str(tmp_path / "id")}))


@pytest.mark.thorough
def test_a_command_reads_them_and_its_error_says_which(tmp_path: Path) -> None:
    url = tmp_path / "database_url"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        "CALLER_DATA_DIR": str(tmp_path / "data"),
        "CALLER_DATABASE_URL_FILE": str(url),
    }
    command = [sys.executable, "-m", "gateway", "accounts", "find", "nobody"]

    def said() -> tuple[int, str]:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, re.sub(r"\s+", " ", done.stderr)

    code, text = said()
    assert (code, "CALLER_DATABASE_URL_FILE names a file that cannot" in text) == (2, True)
    url.write_text(f"mysql://{PLANTED}\n")
    code, text = said()
    assert (
        code,
        "CALLER_DATABASE_URL must be an address such as postgresql://" in text,
        PLANTED in text,
    ) == (2, True, False)
