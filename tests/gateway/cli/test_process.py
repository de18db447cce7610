"""Ctrl-C, at whatever moment of a command: no traceback; and terminals that lack letters."""

import os
import subprocess
import sys

import pytest

from gateway.errors import EXIT_INTERRUPTED

pytestmark = pytest.mark.usefixtures("heeded_signals")

INTERRUPTED_AT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[0]:
            os.kill(os.getpid(), signal.SIGINT)

name, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = name
from gateway.__main__ import main
sys.meta_path.insert(0, Finder())
main()
"""

AT_WORK = """
import asyncio, os, signal
from gateway.__main__ import main
from gateway.cli import command
from gateway.cli.settings import app

@app.callback(invoke_without_command=True)
def interrupted():
    async def work():
        {}
    command.run(work())

import sys
sys.argv = ["caller", "settings"]
main()
"""

WITHOUT_GARBAGE = """
import gc, sys
looks = []
gc.callbacks.append(lambda phase, _info: looks.append(phase))
from gateway.cli import process
from gateway.roles.process import run

async def work():
    print(len(looks), gc.isenabled(), gc.get_freeze_count() > 100_000, file=sys.stderr)

sys.argv = ["caller", "serve", "--help"]
try:
    process.main()
except SystemExit:
    run(work())
"""


def ended(script, *arguments, **options):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("CALLER_")}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "gateway.cli.process",
        "asyncio",
        "typer",
        "structlog",
        "gateway.cli.app",
        "gateway.cli.demo",
        "numpy",
        "stripe",
        "sqlalchemy",
        "gateway.roles.demo",
    ],
)
def test_while_something_is_imported(module, tmp_path):
    code, said = ended(INTERRUPTED_AT, module, "demo", cwd=tmp_path)
    assert (code, said) == (EXIT_INTERRUPTED, "")


@pytest.mark.parametrize(
    "work",
    [
        "os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(60)",
        "await command.stop_on_signal().wait() if os.kill(os.getpid(), signal.SIGINT) else None;"
        " await asyncio.sleep(60)",
        "asyncio.get_running_loop().call_later(0.2, signal.raise_signal, signal.SIGINT);"
        " await asyncio.sleep(60)",
    ],
)
def test_while_it_works(work):
    code, said = ended(AT_WORK.format(work))
    assert (code, said) == (EXIT_INTERRUPTED, "")


def test_garbage_is_looked_for_when_its_work_begins_and_not_among_what_it_has_imported():
    assert ended(WITHOUT_GARBAGE) == (0, "0 True True\n")


def test_while_it_asks():
    reader, writer = os.pipe()
    work = "signal.setitimer(signal.ITIMER_REAL, 0.5); command.confirm('Really?', yes=False)"
    script = AT_WORK.format(work).replace(
        "async def work",
        "signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), 2))\n    async def work",
    )
    code, said = ended(script, stdin=reader)
    os.close(reader)
    os.close(writer)
    assert (code, said.strip()) == (EXIT_INTERRUPTED, "")


def test_letters_that_the_terminal_lacks_are_written_as_their_numbers():
    script = AT_WORK.format("from gateway.roles.console import out; out.print('日本')")
    environ = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"\\u65e5\\u672c\n"), done.stderr
