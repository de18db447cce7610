"""Generates load: compiles generator.c, runs its loop on a thread, reads its counters.

Knows connected sockets only. How a call is set up, and what is between its two legs, is in
`benchmarks.peers`.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from benchmarks.histogram import BUCKETS, percentile_us

SOURCE = Path(__file__).with_name("generator.c")
COMPILER_FLAGS = ("-O2", "-std=c11", "-fPIC", "-shared", "-pthread")
DRAIN_S = 0.25
"""How long a window's frames may come when it is over; later ones are lost to a listener."""

# In the order of `enum command` in generator.c.
_ADD_CALL, _START_WINDOW, _END_WINDOW, _TAKE_SNAPSHOT, _SPIN, _IDLE, _STOP = range(7)


class CompilerMissingError(Exception):
    """There is no C compiler; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames and messages of a measurement, both directions together."""

    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    corrupted: int
    invented: int
    """Pieces that the carrier was sent and no browser had spoken: a gap that was filled."""
    skipped: int
    """Not sent, because the server did not read."""
    closed: int
    """Legs that the server ended."""
    clears: int
    """Times the server told the carrier to throw audio away."""
    events: int
    marks: int
    pings: int

    def __sub__(self, earlier: Counts) -> Counts:
        """Return what happened since; a frame that was late, not lost, never counts below zero."""
        names = [field.name for field in fields(self)]
        return Counts(*(max(0, getattr(self, name) - getattr(earlier, name)) for name in names))

    @property
    def faults(self) -> dict[str, int]:
        """Everything that a listener could hear as a gap or as noise, with its count."""
        names = (
            "lost",
            "duplicated",
            "reordered",
            "corrupted",
            "invented",
            "skipped",
            "closed",
            "clears",
        )
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @property
    def damage(self) -> dict[str, int]:
        """The faults by which audio was not only missing but wrong, or a call was ended."""
        names = ("duplicated", "reordered", "corrupted", "closed")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the generator saw during one window."""

    counts: Counts
    """Since the previous measurement: also what happened while calls were coming up."""
    before: Counts
    """Of that what happened before the window began."""
    p50_us: float
    p99_us: float
    max_us: float
    """Latency of frames that arrived in the window, from write to read."""
    late_p99_us: float
    """How far behind its own schedule the generator was."""
    late_max_us: float
    last_text: str
    """The last control message on the leg that was closed first, if one was."""

    @property
    def faults(self) -> dict[str, int]:
        """What a listener could hear within the window, and what had been damaged before."""
        return (self.counts - self.before).faults | self.before.damage


# Mirrors `struct counts`, field for field in the order of `Counts`.
class _Counts(ctypes.Structure):
    _fields_: ClassVar = [(field.name, ctypes.c_uint64) for field in fields(Counts)]


class _Histogram(ctypes.Structure):
    _fields_: ClassVar = [("buckets", ctypes.c_uint64 * BUCKETS), ("max_ns", ctypes.c_uint64)]


class _Snapshot(ctypes.Structure):
    _fields_: ClassVar = [
        ("counts", _Counts),
        ("latency", _Histogram),
        ("lateness", _Histogram),
        ("last_text", ctypes.c_char * 256),
    ]


# Mirrors `struct new_call`.
class _NewCall(ctypes.Structure):
    _fields_: ClassVar = [
        ("browser_fd", ctypes.c_int),
        ("carrier_fd", ctypes.c_int),
        ("stream_sid", ctypes.c_char_p),
        ("seed", ctypes.c_uint64),
    ]


def _counts_of(counts: _Counts) -> Counts:
    return Counts(*(getattr(counts, field.name) for field in fields(Counts)))


def _cache_directory() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(root) / "caller-benchmarks"
    try:
        # For this user only: what lies in it is loaded as code.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        # Without a home to write to, each run compiles for itself.
        return Path(tempfile.mkdtemp(prefix="caller-benchmarks-"))
    return directory


def compile_library() -> Path:
    """Compile generator.c unless this very source has been compiled before; return the library.

    Raises:
        CompilerMissingError: there is neither `$CC` nor `cc`.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CompilerMissingError(
            "The load generator needs a C compiler: `apt install gcc libc6-dev` on Debian and "
            "Ubuntu, `dnf install gcc` on Fedora; or name yours in $CC."
        )
    # Compiler and flags belong to the name: another one makes another library.
    content = SOURCE.read_bytes() + " ".join((compiler, *COMPILER_FLAGS)).encode()
    name = f"generator-{hashlib.sha256(content).hexdigest()[:16]}.so"
    library = _cache_directory() / name
    if not library.exists():
        # Under a name of this process, then renamed: another run never loads half a file.
        unfinished = library.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, *COMPILER_FLAGS, "-o", unfinished, SOURCE], check=True)
        unfinished.replace(library)
    return library


@cache
def _load_library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(compile_library()))
    handle = ctypes.c_void_p
    # Declared, for ctypes takes a pointer for an int otherwise, and cuts it in half.
    library.generator_create.argtypes = [ctypes.c_uint32]
    library.generator_create.restype = handle
    library.generator_run.argtypes = [handle, ctypes.c_int]
    library.generator_run.restype = None
    library.generator_submit.argtypes = [handle, ctypes.c_int, ctypes.c_void_p]
    library.generator_submit.restype = ctypes.c_int
    library.generator_destroy.argtypes = [handle]
    library.generator_destroy.restype = None
    return library


class Generator:
    """A running load generator. Frames flow on a call as soon as it is added."""

    def __init__(self, calls_max: int, *, core: int = -1, seed: int = 1) -> None:
        """Prepare for at most `calls_max` calls; `core` is the loop's own, negative for any."""
        self._library = _load_library()
        self._handle = self._library.generator_create(calls_max)
        if not self._handle:
            raise MemoryError
        # A foreign call releases the interpreter's lock: the loop runs beside Python.
        self._thread = threading.Thread(
            target=self._library.generator_run, args=(self._handle, core), name="generator"
        )
        self._seed = seed
        self._earlier = self._at_start = Counts(*(0 for _ in fields(Counts)))
        self.calls = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._submit(_STOP)
        self._thread.join()
        self._library.generator_destroy(self._handle)

    def _submit(self, command: int, argument: ctypes.Structure | None = None) -> None:
        # The loop reads and writes it before this returns, so that it lives long enough.
        pointer = None if argument is None else ctypes.byref(argument)
        result = self._library.generator_submit(self._handle, command, pointer)
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    def add_call(self, browser: socket.socket, carrier: socket.socket, stream_sid: str) -> None:
        """Take over both legs of a call, past their handshakes; their sockets are closed by us."""
        # Two at a time: each leg adds its role to the seed of the call.
        self._seed += 2
        # Detached: the sockets belong to the loop from here on, which closes them.
        call = _NewCall(browser.detach(), carrier.detach(), stream_sid.encode(), self._seed)
        self._submit(_ADD_CALL, call)
        self.calls += 1

    def start_window(self) -> None:
        """Begin to measure: from here on the loop spins, and latencies count."""
        counts = _Counts()
        # First, so that no latency of the window is that of a sleep.
        self._submit(_SPIN)
        self._submit(_START_WINDOW, counts)
        self._at_start = _counts_of(counts)

    def finish_window(self) -> Measurement:
        """End the window, wait for what of it is under way, and return it; the calls go on."""
        snapshot = _Snapshot()
        self._submit(_END_WINDOW)
        time.sleep(DRAIN_S)
        self._submit(_TAKE_SNAPSHOT, snapshot)
        # Between windows the loop sleeps: while calls come up nothing is measured.
        self._submit(_IDLE)
        counts = _counts_of(snapshot.counts)
        # From one measurement to the next, so that nothing that happens between windows is missed.
        earlier, self._earlier = self._earlier, counts
        latency = list(snapshot.latency.buckets)
        return Measurement(
            counts=counts - earlier,
            before=self._at_start - earlier,
            p50_us=percentile_us(latency, 0.5),
            p99_us=percentile_us(latency, 0.99),
            max_us=snapshot.latency.max_ns / 1000,
            late_p99_us=percentile_us(list(snapshot.lateness.buckets), 0.99),
            late_max_us=snapshot.lateness.max_ns / 1000,
            last_text=snapshot.last_text.decode(errors="replace"),
        )

    def measure(self, seconds: float) -> Measurement:
        """Run one window of `seconds`."""
        self.start_window()
        time.sleep(seconds)
        return self.finish_window()
