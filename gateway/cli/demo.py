"""Implements `caller demo`: runs the gateway with everything around it."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from gateway.cli.command import announce, err, out, run, stop_on_signal
from gateway.cli.serve import require_preflight
from gateway.logs import formats
from gateway.roles.demo import Demo
from gateway.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    context: typer.Context,
    with_history: Annotated[
        bool,
        typer.Option(
            "--with-history",
            help="Make up a year of calls and payments first. Needs a new data folder.",
        ),
    ] = False,
) -> None:
    """Run everything at once, with a simulated phone network and an account with credit.

    With a carrier's credentials, a caller id and a public origin in the environment, it calls real
    phones.
    """

    async def work() -> None:
        stop, show = stop_on_signal(), Demo(context.obj, with_history=with_history)
        settings = show.settings()
        formats.configure(settings.log_level, settings.log_format)
        with contextlib.nullcontext() if formats.is_json() else err.status("Starting the gateway…"):
            # A signal during the start cancels it and closes what was opened.
            is_stopped = await stop.covers(_start(show, settings))
        if not is_stopped:
            show.explain(out)
            await stop.wait()
            announce("Stopping…")
            await show.stop(stop.end_now)
        stop.leave()

    run(work())


async def _start(show: Demo, settings: Settings) -> None:
    # First, so that no simulator has to be stopped again.
    await require_preflight(settings)
    await show.start()
