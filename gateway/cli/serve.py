"""Implements `caller serve`: runs the gateway, or one of its roles, until it is asked to stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, NoReturn

import typer

from gateway.cli.command import (
    announce,
    complain,
    fail,
    read_settings,
    run,
    stop_on_signal,
    warn_of_open_settings,
)
from gateway.errors import EXIT_SETTINGS, SettingsError
from gateway.logs import formats
from gateway.roles import drain, earlier_run, machine, preflight
from gateway.roles.children import HOME
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
    media: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=machine.NODES_MAX,
            help="Take it apart on this machine, behind the same port: a process for pages and API,"
            " so many that hold calls, and one for what may take its time.",
        ),
    ] = None,
) -> None:
    """Run the gateway: pages, API, webhooks and media on one port; or one of its roles."""
    settings = read_settings(context)
    warn_of_open_settings(context)
    if media is not None:
        _supervise(settings, context.obj, role, media)
    if role is not Role.ALL and not settings.redis_url:
        hint = "Set CALLER_REDIS_URL, the same for all of them."
        fail("Processes of several roles need a Valkey that they share.", hint, EXIT_SETTINGS)
    if role is Role.MEDIA:
        formats.sign(node=settings.node)
    elif role is Role.WEB:
        formats.sign(role=role.value)
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
        # Everything is closed; after Ctrl-C the exit code is still 130.
        stop.leave()

    run(work(), settings)


def _supervise(settings: Settings, environ: Mapping[str, str], role: Role, media: int) -> NoReturn:
    """Check what a start needs, and continue as the supervisor of this many nodes."""
    if role is not Role.ALL:
        hint = "--role starts one process, --media all those of a machine."
        fail("--role and --media exclude each other.", hint, EXIT_SETTINGS)
    try:
        machine.refuse_unfit(settings, media)
    except SettingsError as error:
        fail(str(error), "See docs/operations.md, One machine.", EXIT_SETTINGS)
    run(earlier_run.ended(settings), settings)
    run(require_preflight(settings), settings)
    # Replaced, because the modules imported by the checks and the command line, some 100 MB, would
    # stay. A child is of the same release, see `children.Child`.
    search = os.pathsep.join(filter(None, (HOME, environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", "gateway", "supervise", "--media", str(media)]
    os.execve(sys.executable, command, {**environ, "PYTHONPATH": search})  # noqa: S606


async def _start(gateway: Gateway, settings: Settings) -> None:
    await require_preflight(settings)
    await gateway.start()


async def require_preflight(settings: Settings) -> None:
    """Check what a start needs before anything is started; print what is missing, and exit."""
    found = await preflight.findings(settings, is_starting=True)
    if code := preflight.exit_code(found):
        for finding in found:
            # Warnings keep no node from starting; `caller check` reports them.
            if finding.is_fatal:
                complain(finding.text, "`caller check` says more.")
        raise typer.Exit(code)
