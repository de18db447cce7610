"""Implements `caller serve`: runs the gateway until it is told to stop."""

from __future__ import annotations

import typer

from gateway.cli.command import announce, complain, read_settings, run, stop_on_signal
from gateway.roles import preflight
from gateway.roles.serve import Node
from gateway.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def serve(context: typer.Context) -> None:
    """Run the gateway: pages, API, webhooks and media on one port."""
    settings = read_settings(context)

    async def work() -> None:
        stop, node = stop_on_signal(), Node(settings, context.obj)
        if not await stop.covers(_start(node, settings)):
            announce(f"Caller serves {settings.origin} as node {settings.node}.")
            await stop.wait()
            announce("Stopping: no new calls; running ones may finish.")
            # Unbounded here: draining and the stop of each part have their own time-outs.
            await node.stop(stop.end_now)
        # Everything is closed; after Ctrl-C the exit code is 130 all the same.
        stop.leave()

    run(work(), settings)


async def _start(node: Node, settings: Settings) -> None:
    await require_preflight(settings)
    await node.start()


async def require_preflight(settings: Settings) -> None:
    """Check what a start needs before anything is started; print what is missing, and exit."""
    found = await preflight.findings(settings, is_starting=True)
    if code := preflight.exit_code(found):
        for finding in found:
            # Weaknesses keep no node from starting; `caller check` reports them.
            if finding.is_fatal:
                complain(finding.text, "`caller check` says more.")
        raise typer.Exit(code)
