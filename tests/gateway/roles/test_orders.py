"""A process that a supervisor started: what it is told, and what it does then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.fleet.messages import NotStartedAgain, Reply, Restarting, Stopping
from gateway.roles import children, node, orders, web
from gateway.roles.children import DRAIN, END_NOW, RESTART_CODE
from gateway.roles.orders import ChildStop
from gateway.roles.process import EndedError
from gateway.roles.serve import Role
from gateway.roles.stopping import STOPPING_S


@pytest.fixture
def alarms() -> list[int]:
    """After how many seconds the kernel is to end this process, as often as it is told."""
    return []


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch, alarms: list[int]) -> Iterator[socket.socket]:
    """The parent's end of this process's standard input."""
    ours, its = socket.socketpair()
    monkeypatch.setattr(children.sys, "stdin", its)  # type: ignore[attr-defined]
    monkeypatch.setattr(children, "signal", SimpleNamespace(alarm=alarms.append))
    yield ours
    ours.close()
    its.close()


async def test_it_drains_and_ends_when_told_to(parent: socket.socket) -> None:
    stop = ChildStop()
    obeying = asyncio.create_task(orders.obey(stop))
    parent.send(b"?")
    parent.send(DRAIN)
    await stop.wait()
    assert not stop.end_now.is_set()
    parent.send(END_NOW)
    await stop.end_now.wait()
    parent.close()
    await obeying


async def test_without_a_parent_it_ends_at_once(parent: socket.socket) -> None:
    stop = ChildStop()
    parent.close()
    await orders.obey(stop)
    assert stop.is_set()
    assert stop.end_now.is_set()


class FakeGateway:
    """Notes what it is made of, and what becomes of it."""

    made: list[FakeGateway]

    def __init__(
        self,
        settings: Any,
        _environ: Any,
        role: Role,
        entrance: Any,
        restart: Callable[[], Reply] = NotStartedAgain,
    ) -> None:
        self.settings, self.role, self.entrance = settings, role, entrance
        self.restart = restart
        self.stopped_by: asyncio.Event | None = None
        FakeGateway.made.append(self)

    async def start(self, on_step: Callable[[str], None]) -> None:
        on_step("stores")

    async def stop(self, end_now: asyncio.Event) -> None:
        self.stopped_by = end_now


@pytest.mark.parametrize("role", ["web", "media"])
async def test_each_role_has_its_entrance_and_says_when_it_serves(
    parent: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, role: str
) -> None:
    FakeGateway.made = []
    monkeypatch.setattr(web, "Gateway", FakeGateway)
    monkeypatch.setattr(node, "Gateway", FakeGateway)
    settings: Any = SimpleNamespace(node="n1-1")
    work = (
        web.work(
            settings,
            is_child=True,
            environ={},
            listener=socket.create_server(("127.0.0.1", 0)).detach(),
            folder=tmp_path,
            nodes=["n1-1", "n1-2"],
        )
        if role == "web"
        else node.work(settings, is_child=True, environ={}, folder=tmp_path)
    )
    working = asyncio.create_task(work)
    parent.setblocking(False)
    said = b""
    while not said.endswith(b"."):
        said += await asyncio.get_running_loop().sock_recv(parent, 100)
    assert said == b"+stores\n."
    parent.send(DRAIN)
    await working
    (made,) = FakeGateway.made
    assert made.role == role
    assert made.stopped_by is not None
    if role == "web":
        assert list(made.entrance.doors) == ["n1-1", "n1-2"]
        made.entrance.listener.close()
    else:
        assert made.entrance.inbox == tmp_path / "n1-1.sock"


async def serving(parent: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Return the work of a node that serves, and its gateway."""
    FakeGateway.made = []
    monkeypatch.setattr(node, "Gateway", FakeGateway)
    settings: Any = SimpleNamespace(node="n1-1", drain_timeout_s=30)
    working = asyncio.create_task(node.work(settings, is_child=True, environ={}, folder=tmp_path))
    parent.setblocking(False)
    while not (await asyncio.get_running_loop().sock_recv(parent, 100)).endswith(b"."):
        pass
    return working, FakeGateway.made[0]


async def test_a_node_that_is_told_to_restart_ends_with_the_code_for_it(
    parent: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, alarms: list[int]
) -> None:
    working, gateway = await serving(parent, monkeypatch, tmp_path)
    # It may be asked twice.
    assert [gateway.restart(), gateway.restart()] == [Restarting(calls_s=30)] * 2
    with pytest.raises(EndedError) as ended:
        await working
    assert ended.value.code == RESTART_CODE
    assert gateway.stopped_by is not None
    assert not gateway.stopped_by.is_set()
    # Nobody would end it if it hung.
    assert alarms == [30 + STOPPING_S]


@pytest.mark.parametrize("is_restart_first", [True, False])
async def test_a_node_whose_parent_ends_it_is_not_started_again(
    parent: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, is_restart_first: bool
) -> None:
    working, gateway = await serving(parent, monkeypatch, tmp_path)
    told, stopped = asyncio.Event(), asyncio.Event()

    async def stop(end_now: asyncio.Event) -> None:
        told.set()
        await end_now.wait()
        stopped.set()

    gateway.stop = stop
    if is_restart_first:
        assert gateway.restart() == Restarting(calls_s=30)
        await told.wait()
    parent.send(DRAIN)
    await told.wait()
    async with asyncio.timeout(20):
        while gateway.restart() != Stopping():
            await asyncio.sleep(0.01)
    assert not stopped.is_set()
    parent.send(END_NOW)
    await working
    assert stopped.is_set()
