"""Implements `caller serve`: runs the gateway, or one of its roles, until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.command import announce, complain, fail, read_settings, run, stop_on_signal
from gateway.errors import EXIT_SETTINGS
from gateway.roles import drain, preflight
from gateway.roles.serve import Gateway, Role
from gateway.settings import Settings

app = typer.Typer(add_completion=False)


_SAID = {
    Role.ALL: "Caller serves {origin} as node {node}.",
    Role.MEDIA: "Caller holds calls of {origin} as node {node}.",
    Role.WEB: "Caller serves the pages and the API of {origin}.",
}


@app.command()
def serve(
    context: typer.Context,
    role: Annotated[
        Role,
        typer.Option(
            help="What this process does: all of it; hold calls (media); pages and API (web); or "
            "what may take its time: books, mails, exports (worker)."
        ),
    ] = Role.ALL,
) -> None:
    """Run the gateway: pages, API, webhooks and media on one port; or one of its roles."""
    settings = read_settings(context)
    if role is not Role.ALL and not settings.redis_url:
        hint = "Set CALLER_REDIS_URL, the same for all of them."
        fail("Processes of several roles need a Valkey that they share.", hint, EXIT_SETTINGS)
    if role is Role.WORKER:
        run(drain.work(settings, is_child=False), settings)
        return

    async def work() -> None:
        stop, gateway = stop_on_signal(), Gateway(settings, context.obj, role)
        if not await stop.covers(_start(gateway, settings)):
            announce(_SAID[role].format(origin=settings.origin, node=settings.node))
            await stop.wait()
            announce("Stopping: no new calls; running ones may finish.")
            # Unbounded here: draining and the stop of each part have their own time-outs.
            await gateway.stop(stop.end_now)
        # Everything is closed; after Ctrl-C the exit code is 130 all the same.
        stop.leave()

    run(work(), settings)


async def _start(gateway: Gateway, settings: Settings) -> None:
    await require_preflight(settings)
    await gateway.start()


async def require_preflight(settings: Settings) -> None:
    """Check what a start needs before anything is started; print what is missing, and exit."""
    found = await preflight.findings(settings, is_starting=True)
    if code := preflight.exit_code(found):
        for finding in found:
            # Weaknesses keep no node from starting; `caller check` reports them.
            if finding.is_fatal:
                complain(finding.text, "`caller check` says more.")
        raise typer.Exit(code)
