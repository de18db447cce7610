"""Runs the tests that keep time beside all others, and ahead of them.

`python -m tests.in_time PYTEST [ARGUMENT...]` runs PYTEST twice at once: for `IN_TIME`, whose
browsers and servers must answer within milliseconds, in one process; and for all the rest with the
processes that it was given, at a lower priority, which needs no privilege. What the first says is
shown when the second is done. Where files are named in the arguments, it becomes PYTEST.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

IN_TIME = "tests/e2e"
NICENESS = 10
"""Of all the rest: a tenth of the processor's time beside one that wants all of it."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(command: Sequence[str]) -> int:
    """Run both; return the code of the one that failed, or of both."""
    if any(Path(argument.partition("::")[0]).exists() for argument in command[1:]):
        os.execvp(command[0], command)
    # They go when this process does, however that ends.
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    in_time = [*guard, *command, "--numprocesses=0", "-p", "no:cacheprovider", IN_TIME]
    others = [*guard, "nice", "-n", str(NICENESS), *command, f"--ignore={IN_TIME}"]
    with tempfile.TemporaryFile() as said:
        # In groups of their own, each is told once that it is to end.
        running = [
            subprocess.Popen(others, process_group=0),
            subprocess.Popen(in_time, process_group=0, stdout=said, stderr=subprocess.STDOUT),
        ]
        for number in FORWARDED:
            signal.signal(number, lambda number, _: [each.send_signal(number) for each in running])
        codes = [each.wait() for each in running]
        said.seek(0)
        print(f"\n{IN_TIME}, beside the others:", flush=True)
        shutil.copyfileobj(said, sys.stdout.buffer)
        sys.stdout.flush()
    return code_of(codes)


def code_of(codes: Sequence[int]) -> int:
    """Return the code that stands for several: a failure, or that none has found a test."""
    none_found = int(pytest.ExitCode.NO_TESTS_COLLECTED)
    failed = [code for code in codes if code not in (0, none_found)]
    return failed[0] if failed else min(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
