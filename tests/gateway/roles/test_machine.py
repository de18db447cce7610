"""A machine's processes: what they are called, given and told; with children that are stand-ins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app as app_module
from gateway.cli import serve as serve_command
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE, SettingsError
from gateway.roles import machine
from gateway.roles.machine import Machine, environ_of, node_ids, refuse_unfit
from gateway.roles.process import EndedError
from gateway.settings_variables import from_mapping
from tests.valkey import free_port


def test_nodes_are_numbered_and_the_same_at_each_start() -> None:
    assert node_ids("n1", 3) == ("n1-1", "n1-2", "n1-3")
    for node in node_ids("a" * 30, 9):
        assert from_mapping({"CALLER_NODE": node}).node == node
    with pytest.raises(SettingsError, match="CALLER_NODE is too long"):
        node_ids("a" * 30, 10)


def test_each_node_has_an_id_and_a_udp_port_of_its_own() -> None:
    settings = from_mapping({"CALLER_PORT": "9000"})
    made = [environ_of({"A": "b"}, settings, i, f"n1-{i + 1}") for i in range(2)]
    assert made[0] == {"A": "b", "CALLER_NODE": "n1-1", "CALLER_UDP_PORT": "9000"}
    assert made[1]["CALLER_UDP_PORT"] == "9001"
    settings = from_mapping({"CALLER_UDP_PORT": "65535"})
    assert environ_of({}, settings, 0, "n1-1")["CALLER_UDP_PORT"] == "65535"
    with pytest.raises(SettingsError, match="CALLER_UDP_PORT is too high"):
        environ_of({}, settings, 1, "n1-2")


def test_tls_cannot_be_handed_over_and_linux_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_unfit(from_mapping({}), 2)
    settings = from_mapping({"CALLER_TLS_CERTIFICATE": "a", "CALLER_TLS_KEY": "b"})
    with pytest.raises(SettingsError, match="proxy"):
        refuse_unfit(settings, 2)
    monkeypatch.setattr(machine.sys, "platform", "darwin")  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="Linux"):
        refuse_unfit(from_mapping({}), 2)


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--media", "2", "--role", "web"], {}, "exclude each other"),
        (["--media", "0"], {}, "--media"),
        (["--media", "33"], {}, "--media"),
        (
            ["--media", "2"],
            {"CALLER_TLS_CERTIFICATE": "a", "CALLER_TLS_KEY": "b"},
            "Put a proxy with TLS in front",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_made(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], said: str
) -> None:
    environ |= {"CALLER_DATA_DIR": str(tmp_path / "data")}
    done = CliRunner().invoke(app_module.app, ["serve", *arguments], obj=environ)
    assert done.exit_code == EXIT_SETTINGS
    assert said in done.output.replace("\n", " ")
    assert not (tmp_path / "data").exists()


def test_the_command_replaces_itself_by_a_supervisor_and_shows_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[Any] = []

    async def pass_all(_settings: Any) -> None:
        pass

    monkeypatch.setattr(serve_command, "require_preflight", pass_all)
    monkeypatch.setattr("os.execve", lambda *given: ran.extend(given))
    environ = {"CALLER_TWILIO_AUTH_TOKEN": "hidden", "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32}
    CliRunner().invoke(app_module.app, ["serve", "--media", "2"], obj=environ)
    _, arguments, given = ran[:3]
    assert arguments[1:] == ["-P", "-m", "gateway", "supervise", "--media", "2"]
    assert given.items() >= environ.items()


class StandIn:
    """A child that is no process, and notes what becomes of it."""

    made: list[StandIn]
    code: int | None = None

    def __init__(self, arguments: list[str], environ: dict[str, str], **options: Any) -> None:
        self.role, self.arguments, self.environ, self.options = (
            arguments[0],
            arguments,
            environ,
            options,
        )
        self.past: list[str] = []
        StandIn.made.append(self)

    async def start(self) -> None:
        self.past.append("started")

    async def start_serving(self) -> int | None:
        self.past.append("started")
        return StandIn.code if self.role == "media" else None

    async def finish(self, end_now: asyncio.Event, patience_s: float) -> None:
        assert all("stopped" not in each.past for each in StandIn.made if each.role != "media")
        assert patience_s > 30
        await end_now.wait()
        self.past.append("finished")

    async def stop(self) -> None:
        self.past.append("stopped")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    StandIn.made, StandIn.code = [], None
    monkeypatch.setattr(machine, "Child", StandIn)
    return StandIn.made


def new_machine(tmp_path: Path, **more: str) -> Machine:
    environ = {
        "CALLER_PORT": str(free_port()),
        "CALLER_REDIS_URL": "redis://127.0.0.1:1",
        "CALLER_DATA_DIR": str(tmp_path / "data"),
        **more,
    }
    return Machine(from_mapping(environ), environ, 2)


async def test_nodes_drain_with_the_pages_up(tmp_path: Path, children: list[StandIn]) -> None:
    running, end_now = new_machine(tmp_path), asyncio.Event()
    await running.start()
    assert [each.role for each in children] == ["drain", "web", "media", "media"]
    web = children[1]
    assert web.arguments[-1] == "n1-1,n1-2"
    listener, shared = web.options["keeps"]
    assert listener == int(web.arguments[2])
    # What every one of them has: as long as one lives, the next run waits.
    assert [each.options["keeps"] for each in children if each is not web] == [[shared]] * 3
    folder = Path(web.arguments[4])
    assert folder.stat().st_mode & 0o777 == 0o700
    stopping = asyncio.create_task(running.stop(end_now))
    await asyncio.sleep(0)
    assert not stopping.done()
    end_now.set()
    await stopping
    assert [each.past[-1] for each in children] == ["stopped"] * 4
    assert not folder.exists()


async def test_a_process_that_cannot_serve_ends_them_all(
    tmp_path: Path, children: list[StandIn]
) -> None:
    StandIn.code = EXIT_SETTINGS
    with pytest.raises(EndedError) as ended:
        await new_machine(tmp_path).start()
    assert ended.value.code == EXIT_SETTINGS
    StandIn.code = -9
    with pytest.raises(EndedError) as ended:
        await new_machine(tmp_path).start()
    assert ended.value.code == EXIT_UNAVAILABLE
    assert {each.past[-1] for each in children} == {"stopped"}


async def test_a_port_that_is_in_use_is_said_so(
    tmp_path: Path, children: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    first = new_machine(tmp_path)
    await first.start()
    second = new_machine(tmp_path, CALLER_PORT=str(first._settings.port))
    with pytest.raises(EndedError):
        await second.start()
    assert "CALLER_PORT" in capsys.readouterr().err
    end_now = asyncio.Event()
    end_now.set()
    await first.stop(end_now)
