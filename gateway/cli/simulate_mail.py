"""Implements `caller simulate-mail`: runs the simulated mail server without a demo."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.command import read_settings, run
from gateway.roles import simulate_mail as role

app = typer.Typer(add_completion=False)


@app.command("simulate-mail")
def simulate_mail(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="Address of the page; who reaches it reads every mail.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any.")
    ] = role.PORT,
) -> None:
    """Run the simulated mail server: takes every mail, and shows it on a page. Nothing is sent on.

    It takes mails at CALLER_SMTP_URL, such as smtp://127.0.0.1:8101, and keeps the newest 200 in
    memory.
    """
    run(role.work(read_settings(context), is_child=False, host=host, port=port))
