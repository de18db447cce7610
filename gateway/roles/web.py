"""Runs the pages and API of a machine, and accepts for its nodes: `python -m gateway web`."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.logs import formats
from gateway.roles import orders
from gateway.roles.serve import Gateway, Role
from gateway.settings import Settings
from gateway.sockets.door import NodeDoor, inbox_of
from gateway.sockets.one_port import Entrance


async def work(
    settings: Settings,
    *,
    is_child: bool,
    environ: Mapping[str, str],
    listener: int,
    folder: Path,
    nodes: Sequence[str],
) -> None:
    """Serve until asked to stop.

    Args:
        settings: The operator's settings.
        is_child: It always is one.
        environ: The process's environment.
        listener: Descriptor of the listening socket.
        folder: Where the nodes have their inboxes.
        nodes: Those of this machine.
    """
    assert is_child
    formats.sign(role=Role.WEB.value)
    doors = {node: NodeDoor(node, inbox_of(folder, node)) for node in nodes}
    entrance = Entrance(socket.socket(fileno=listener), doors)
    await orders.run(Gateway(settings, environ, Role.WEB, entrance), orders.ChildStop())
