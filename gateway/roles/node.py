"""Runs a node without a port of its own, which receives connections: `python -m gateway media`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.fleet.messages import Reply, Restarting, Stopping
from gateway.logs import formats
from gateway.roles import orders
from gateway.roles.serve import Gateway, Role
from gateway.settings import Settings
from gateway.sockets.door import inbox_of
from gateway.sockets.one_port import Entrance


async def work(
    settings: Settings, *, is_child: bool, environ: Mapping[str, str], folder: Path
) -> None:
    """Hold calls until asked to stop; `folder` is where its inbox goes."""
    assert is_child
    formats.sign(node=settings.node)
    entrance, stop = Entrance(inbox=inbox_of(folder, settings.node)), orders.ChildStop()

    def restart() -> Reply:
        return Restarting(calls_s=settings.drain_timeout_s) if stop.restart() else Stopping()

    await orders.run(Gateway(settings, environ, Role.MEDIA, entrance, restart), stop)
