"""What holds for every test: which run, that none is skipped in silence under CI, and examples.

`make test` leaves out what `tests/thorough.py` lists and what is marked `thorough`; with
`--thorough`, or named on the command line, they run.

A test that needs a server, a browser or a compiler skips with its reason on a person's machine.
Under CI (the variable `CI` is set) the same skip is a failure, because a check that did not run
has proven nothing. A reason that begins with `platform:` may skip anywhere: it says that the test
can never run on this operating system or Python.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import signal
import socket
import ssl
import sys
from collections.abc import Generator, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.thorough import ROOT, is_left_out
from tests.trees import parsed

pytest_plugins = ("tests.alone", "tests.sharing_out", "tests.valkey", "tests.postgres")

IS_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
ALWAYS_ALLOWED = "platform:"
LONGEST = (
    # The first two have tests that are alone: all wait then until nobody is in the middle of one.
    # So those come first, and beside them the pages, of which each takes seconds.
    "benchmarks/",
    "calls/test_two_nodes.py",
    "web/",
    "calls/",
    "e2e/",
    "whole_calls/test_variations.py",
    "gateway/cli/test_ledger.py",
    "money/",
    "gateway/cli/test_setup.py",
    "gateway/payments/test_proof.py",
    "gateway/cli/test_payments.py",
    "gateway/cli/test_outages.py",
    "billing/sql/test_gate_audit.py",
    "media/test_stalls.py",
    "gateway/people/test_interleavings.py",
    "gateway/test_access.py",
    "gateway/roles/",
    "gateway/test_api_document.py",
    "whole_calls/",
    "test_tidy.py",
    "media/test_playout_simulation.py",
    "gateway/payments/",
)
"""Folders and files of which some take half a minute and more: one worker runs a file."""

# Time limits per example say more about a busy machine than about the code. Under CI Hypothesis
# tries the same examples every time.
UNHURRIED = settings(
    settings.get_profile("ci" if IS_CI else "default"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("few", UNHURRIED, max_examples=25)
settings.register_profile("many", UNHURRIED)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--thorough`."""
    parser.addoption(
        "--thorough", action="store_true", help="run also what needs servers, browsers or minutes"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples property tests try, and how a run ends that is broken off."""
    # Whoever starts the tests in the background may let them ignore Ctrl-C, and with them all that
    # they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Every program that a test starts here would read it, and it may name a real account.
    if Path("caller.env").exists():
        raise pytest.UsageError("Tests would read the settings in ./caller.env: move it elsewhere.")
    config.addinivalue_line("markers", "thorough: needs more than `make test` takes")
    settings.load_profile("many" if config.getoption("thorough") else "few")
    # Whoever ends a run so, as make and CI do, leaves as little behind as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _named(config: pytest.Config) -> list[Path]:
    """Return the files and folders that were asked for on the command line."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return []
    return [Path(config.invocation_params.dir, arg.partition("::")[0]) for arg in config.args]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files and folders that only `make test-all` runs."""
    if config.getoption("thorough") or not is_left_out(collection_path, _named(config)):
        return None
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out single tests that only `make test-all` runs; begin with the files that take long.

    Otherwise everybody waits for one of them in the end.
    """
    if not config.getoption("thorough") and not _named(config):
        left_out = [item for item in items if _is_thorough(item)]
        items[:] = [item for item in items if not _is_thorough(item)]
        config.hook.pytest_deselected(items=left_out)
    first = tuple(f"tests/{place}" for place in LONGEST)
    items.sort(key=lambda item: (*map(item.nodeid.startswith, first), True).index(True))


def pytest_sessionstart() -> None:
    """Look for no garbage among what is only being imported: a fifth of what that takes."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Spare the garbage collector what all tests share: the libraries, and the tests themselves."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import a share of the tests before the others, each worker its own.

    pytest keeps what it has made of a file's assertions beside the file. In a tree where nothing is
    kept yet, workers that began with the same file would each make it of all.
    """
    # Not by the environment, which a pytest that a test starts has from its worker.
    worker = getattr(session.config, "workerinput", None)
    if worker is None or _named(session.config):
        return
    modules = (name for file in sorted(ROOT.rglob("test_*.py")) for name in _imported_as(file))
    first, step = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for name in islice(modules, first, None, step):
        # Whatever is wrong with a file is told when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception, pytest.fail.Exception):
            importlib.import_module(name)


def _imported_as(file: Path) -> Iterator[str]:
    """Yield the name of a module of tests that is part of a package, and runs by `make test`."""
    is_part = (file.parent / "__init__.py").exists()
    if is_part and not any(is_left_out(path, ()) for path in (file, *file.parents)):
        yield ".".join(file.relative_to(ROOT.parent).with_suffix("").parts)


@pytest.fixture
def heeded_signals() -> Iterator[None]:
    """Heed what this run was told to ignore, and let what is started inherit that.

    nohup(1) ignores SIGHUP, a shell SIGINT for what it starts in the background.
    """
    told = (signal.SIGHUP, signal.SIGINT)
    ignored = [number for number in told if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session", autouse=True)
def _tells_of_faults_plainly() -> None:
    """Let tracebacks in logs be Python's own: to draw them with all variables takes 0.3 s each."""
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, structlog.dev.ConsoleRenderer):
            processor.exception_formatter = structlog.dev.plain_traceback


@pytest.fixture(scope="module", autouse=True)
def _forgets_trees() -> Iterator[None]:
    """Let the syntax trees of a file of tests go."""
    yield
    parsed.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def _reads_certificates_once() -> Iterator[None]:
    """Let HTTP clients share the authorities they trust: each would read 140 certificates anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", _trusting)
        yield


def _trusting(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    environ = (os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return _trusting_so(verify, cert, trust_env, *environ)


@cache
def _trusting_so(verify: Any, cert: Any, trust_env: bool, *_environ: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context(verify, cert, trust_env)


@pytest.fixture(scope="session", autouse=True)
def _looks_for_sniffio_once() -> Iterator[None]:
    """Let HTTP clients know at once that there is no `sniffio`.

    They ask for it some times in each request, and Python looks through all folders again for what
    it has not found: a twentieth of what tests cost that send requests.
    """
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("sniffio") is None:
            patch.setitem(sys.modules, "sniffio", None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _sends_at_once() -> Iterator[None]:
    """Let asyncio's connections wait for no acknowledgement, as uvloop's do, on which we run.

    Of those that a listener accepts asyncio leaves out all whose protocol is not named, and none is
    by `socket.create_server`: each answer in two parts then takes the peer's 40 ms.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.base_events._set_nodelay", _set_nodelay)
        yield


def _set_nodelay(connection: socket.socket) -> None:
    is_inet = connection.family in (socket.AF_INET, socket.AF_INET6)
    if is_inet and connection.type == socket.SOCK_STREAM:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _is_thorough(item: Any) -> bool:
    if item.get_closest_marker("thorough") or "postgres_server" in item.fixturenames:
        return True
    callspec = getattr(item, "callspec", None)
    return callspec is not None and "postgres" in callspec.id.split("-")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one under CI."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped test file into a failed one under CI."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: Any) -> None:
    if not (IS_CI and report.skipped):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALWAYS_ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI, where every test must run: {reason}"
