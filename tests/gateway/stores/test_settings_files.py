"""The file of settings: found, over it the environment, replaced whole and for its owner only."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.roles.process import read_settings
from gateway.stores.settings_files import exposure, overlaid, place, read, refusal, write


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_where_it_is():
    assert str(place({})) == "caller.env"
    assert str(place({"CALLER_SETTINGS": "/etc/x.env"})) == "/etc/x.env"
    assert place({"CALLER_SETTINGS": ""}) is None


def test_the_environment_goes_before_the_file(folder):
    assert overlaid({"A": "b"}) == {"A": "b"}, "no file is no fault where none is named"
    (folder / "caller.env").write_text("CALLER_PORT=9001\nCALLER_NODE=n7\n")
    settings = read_settings({"CALLER_NODE": "n8"})
    assert (settings.port, settings.node) == (9001, "n8")
    assert read_settings({"CALLER_SETTINGS": ""}).port == 8080
    (folder / "other.env").write_text("CALLER_PORT=9002\n")
    assert read_settings({"CALLER_SETTINGS": "other.env"}).port == 9002


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda file: None, "cannot be read: No such file"),
        (lambda file: file.mkdir(), "cannot be read"),
        (os.mkfifo, "cannot be read"),
        (lambda file: file.write_bytes(b"CALLER_A=\xff"), "not written in UTF-8"),
        (lambda file: file.write_bytes(b"#" * 300_000), "longer than"),
        (lambda file: (file.touch(), file.chmod(0o666)), "written by everyone"),
    ],
)
def test_a_named_file_that_cannot_be_used_is_refused(folder, make, why):
    make(folder / "x.env")
    with pytest.raises(SettingsError, match=why):
        read(folder / "x.env", is_named=True)


def test_a_file_of_another_user_is_obeyed_only_where_it_is_named(folder, monkeypatch):
    (folder / "caller.env").write_text("CALLER_PORT=9001\n")
    os.chown(folder / "caller.env", 12345, -1) if os.getuid() == 0 else None
    monkeypatch.setattr("gateway.stores.settings_files.os.getuid", lambda: 54321)
    with pytest.raises(SettingsError, match="another user's"):
        overlaid({})
    assert overlaid({"CALLER_SETTINGS": "caller.env"})["CALLER_PORT"] == "9001"


def test_a_byte_order_mark_is_none_of_the_text(folder):
    (folder / "caller.env").write_bytes(b"\xef\xbb\xbfCALLER_PORT=9001\n")
    assert overlaid({}) == {"CALLER_PORT": "9001"}


def test_it_is_written_for_its_owner_only(folder):
    file = folder / "caller.env"
    file.write_text("old")
    file.chmod(0o644)
    write(file, "CALLER_PORT=9001\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "CALLER_PORT=9001\n"
    assert os.listdir(folder) == ["caller.env"]


def test_that_everyone_may_read_it_is_told(folder):
    file = folder / "caller.env"
    assert exposure(file) == exposure(None) == ""
    file.touch()
    for mode, is_told in ((0o644, True), (0o640, False), (0o604, True), (0o600, False)):
        file.chmod(mode)
        assert ("Set its mode to 600" in exposure(file)) is is_told
    # What is no file is read by nobody.
    os.mkfifo(folder / "queue", 0o644)
    (folder / "queue").chmod(0o644)
    assert exposure(folder / "queue") == exposure(folder) == ""


def test_a_link_stays_a_link(folder):
    (folder / "there").mkdir()
    (folder / "there/real.env").write_text("old")
    (folder / "caller.env").symlink_to("there/real.env")
    write(folder / "caller.env", "new")
    assert (folder / "caller.env").is_symlink()
    assert (folder / "there/real.env").read_text() == "new"


def test_what_cannot_be_written_leaves_the_old_one(folder, monkeypatch):
    file = folder / "caller.env"
    file.write_text("old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gateway.stores.private_files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(file, "new")
    assert (file.read_text(), os.listdir(folder)) == ("old", ["caller.env"])


KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.stores import private_files
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
setattr(private_files.os, sys.argv[1], die)
private_files.replace(Path("caller.env"), b"new")
"""


@pytest.mark.parametrize("moment", ["fchown", "fsync"])
def test_a_kill_while_writing_leaves_the_old_one_and_the_next_write_succeeds(folder, moment):
    file = folder / "caller.env"
    file.write_text("old")
    search = os.pathsep.join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", KILLED, moment], env={"PYTHONPATH": search}, check=False)
    assert file.read_text() == "old"
    left = folder / "caller.env.new"
    assert stat.S_IMODE(left.stat().st_mode) == 0o600, "from its first byte"
    write(file, "newer")
    assert (file.read_text(), os.listdir(folder)) == ("newer", ["caller.env"])


def test_where_it_cannot_be_written_is_told_before_anything_is_asked(folder):
    assert refusal(folder / "caller.env") == ""
    assert "There is no folder" in refusal(folder / "none/caller.env")
    (folder / "is-a-folder").mkdir()
    assert "is not a file" in refusal(folder / "is-a-folder")
    assert "cannot be written to" in refusal(Path("/proc/caller.env"))
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    assert "Everyone may write" in refusal(folder / "open/caller.env")
    assert sorted(os.listdir(folder)) == ["is-a-folder", "open"]
