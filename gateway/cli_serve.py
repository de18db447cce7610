"""`caller serve`: the gateway as a process."""

from __future__ import annotations

import typer

from gateway.command import err, read_settings, run, stop_on_signal
from gateway.node import Node

app = typer.Typer(add_completion=False)


@app.command()
def serve(context: typer.Context) -> None:
    """Run the gateway: pages, API, webhooks and media on one port."""
    read = read_settings(context)

    async def work() -> None:
        stop = stop_on_signal()
        node = Node(read, context.obj)
        await node.start()
        err.print(f"Caller serves {read.origin} as node {read.node}.", highlight=False)
        await stop.wait()
        err.print("Stopping: no new calls; running ones may finish.", highlight=False)
        await node.stop()

    run(work())
