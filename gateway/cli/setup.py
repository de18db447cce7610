"""Implements `caller setup`: asks for what a first real call needs, tests it, and saves it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway import settings_file
from gateway.carriers.port import CarrierAdapter
from gateway.cli.check import AsJson, examine
from gateway.cli.command import (
    confirm,
    fail,
    leaving_at_ctrl_c,
    out,
    prompt,
    prompt_secret,
    run,
)
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, SettingsError
from gateway.finding import Finding, wrong
from gateway.logs import formats
from gateway.roles import process
from gateway.roles.answers import Answers
from gateway.roles.setup import carrier_of, questions, steps
from gateway.settings import SETTINGS_FILE
from gateway.setup_steps import Question, SetupStep
from gateway.stores import settings_files

app = typer.Typer(add_completion=False)

_CORRECT_THERE = "It is in the file or the environment: correct it there."
_BY_HAND = "Write the file by hand (docs/configuration.md); `caller check` checks it."


@app.command("setup")
def setup(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            help="File to write, and to read before; default: CALLER_SETTINGS, or caller.env here."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Ask nothing: check the present settings, as `caller check`."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prepare the first real call: ask, try every answer, write the settings file.

    Asks for the carrier's credentials, the number to show, the stores and the public origin, and
    tries each at once: this changes nothing there and places no call. Enter keeps what is shown or
    set, a dash clears it. The file, which only its owner may read, is written at the end and not
    before.
    """
    if file is not None:
        context.obj[SETTINGS_FILE] = str(file)
    if check:
        examine(context, as_json=as_json)
        return
    if as_json:
        fail("--json goes with --check.", "The questions are for people.", EXIT_SETTINGS)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("`caller setup` asks questions, and needs a terminal.", _BY_HAND, EXIT_SETTINGS)
    path = settings_files.place(context.obj) or Path(settings_files.NAME)
    # Outages are findings here, and the log would repeat them.
    formats.configure("error", "text")
    if problem := settings_files.refusal(path):
        fail(problem, "Nothing was asked yet.", EXIT_SETTINGS)
    try:
        with leaving_at_ctrl_c():
            answers, kept = _interview(context, path)
            _write(path, answers)
    except (typer.Exit, typer.Abort):
        out.print(f"\nNothing was written: {path.absolute()} is as it was.", soft_wrap=True)
        raise
    _conclude(path, answers, kept, is_named=SETTINGS_FILE in context.obj)


def _interview(context: typer.Context, path: Path) -> tuple[Answers, list[str]]:
    """Ask and check step by step; return the answers, and which were kept despite a failure."""
    written = settings_file.parse(_read(path))
    carrier = _carrier(written, context)
    answers = Answers(questions(carrier), written, context.obj, Path.cwd())
    _require_readable(answers)
    if written:
        out.print(f"{path.absolute()} provides the defaults.", soft_wrap=True)
    if text := settings_files.exposure(path):
        out.print(f"{text} That is corrected when the file is written.", soft_wrap=True)
    kept: list[str] = []
    for step in steps(carrier):
        kept += _take(step, answers)
    return answers, kept


def _read(path: Path) -> str:
    """Return the current file; empty if there is none."""
    try:
        return settings_files.read(path, is_named=True) if path.exists() else ""
    except SettingsError as error:
        fail(str(error), "Correct it, or choose another file with --file.", EXIT_SETTINGS)


def _carrier(written: Mapping[str, str], context: typer.Context) -> CarrierAdapter:
    """Return the carrier whose questions are asked."""
    try:
        return carrier_of(written, context.obj)
    except SettingsError as error:
        fail(str(error), _CORRECT_THERE, EXIT_SETTINGS)


def _require_readable(answers: Answers) -> None:
    """Refuse settings that no answer could fix."""
    try:
        answers.unasked()
    except SettingsError as error:
        fail(str(error), _CORRECT_THERE, EXIT_SETTINGS)


def _take(step: SetupStep, answers: Answers) -> list[str]:
    """Ask a step's questions until they pass, or are kept; return what still fails."""
    out.print(Text(f"\n{step.title}", style="bold"))
    while True:
        for question in step.questions:
            if answers.is_asked(question):
                _ask(question, answers)
        failed = [finding.subject for finding in _checked(step, answers) if finding.is_fatal]
        if not failed:
            return []
        match _decision():
            case "k":
                return failed
            case "l":
                raise typer.Exit(EXIT_FINDINGS)


def _ask(question: Question, answers: Answers) -> None:
    known = answers.known(question)
    while True:
        if question.is_secret:
            there = " [the one that is set]" if known else ""
            typed = prompt_secret(f"{question.words}{there}")
        else:
            typed = prompt(question.words, known)
        complaint = answers.give(question, typed)
        if not complaint:
            return
        out.print(complaint, soft_wrap=True)


def _checked(step: SetupStep, answers: Answers) -> list[Finding]:
    """Check the answers of a step, and print the findings, one per line."""
    out.print(Text("Checking …", style="dim"))
    try:
        settings = answers.settings()
    except SettingsError as error:
        found = [wrong("settings", str(error))]
    else:
        found = []

        async def work() -> None:
            found.extend(await step.check(settings))

        run(work(), settings)
    for finding in found:
        line = Text.assemble(finding.mark, f"  {finding.subject}: {finding.text}")
        out.print(line, soft_wrap=True)
    return found


def _decision() -> str:
    while True:
        typed = prompt("Correct the answers or check again (c), keep them (k), or leave (l)?", "c")
        if (letter := typed.strip().lower()[:1]) in ("c", "k", "l"):
            return letter


def _write(path: Path, answers: Answers) -> None:
    """Write the answers into the file as it is now, after confirmation."""
    out.print()
    is_there = path.exists()
    question = "Replace {}? Its comments and other settings stay." if is_there else "Write {}?"
    # Yes by default, because the answers would be lost otherwise.
    confirm(question.format(path.absolute()), yes=False, default=True)
    try:
        text = settings_file.updated(_read(path), answers.changes())
        # Must not be interrupted: the message about it would be wrong.
        with process.on_interrupt(lambda *_: None):
            settings_files.write(path, text)
    except SettingsError as error:
        fail(str(error), "Answer without it.", EXIT_SETTINGS)
    except OSError as error:
        hint = "Choose another file with --file."
        fail(f"{path.absolute()}: {error.strerror}.", hint, EXIT_SETTINGS)


def _conclude(path: Path, answers: Answers, kept: list[str], *, is_named: bool) -> None:
    lines = [f"Written: {path.absolute()}. It holds secrets, and only you may read it."]
    if kept:
        failed = ", ".join(kept)
        lines.append(f"Kept although they failed: {failed}. `caller check` tries them again.")
    if overruled := answers.overruled():
        named = ", ".join(overruled)
        lines.append(f"The environment overrides the file: {named}.")
    where = f"{SETTINGS_FILE}={shlex.quote(str(path))} " if is_named else ""
    lines.append(f"Next: {where}{_program()} serve")
    out.print("\n".join(lines), soft_wrap=True)


def _program() -> str:
    """Return how this program was started: `caller` alone is a builtin of Bash."""
    if Path(sys.argv[0]).name == "caller":
        return shlex.quote(sys.argv[0])
    return f"{shlex.quote(sys.executable)} -m gateway"
