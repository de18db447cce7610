"""Two machines on a wire of their own: network namespaces that end with their last process.

They have no names, so that nothing of them is left on the system, however the tests end; and no
way out, so that nothing leaves them. The process itself moves: what it starts or opens inside
stays inside. Knows no browser and no gateway.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

CLONE_NEWNET = 0x40000000
OWN_NAMESPACE = "/proc/thread-self/ns/net"
PREFIX_BITS = 30
LINK = "wire"


class Machine:
    """A network namespace with an address on the wire."""

    def __init__(self, address: str) -> None:
        """Make one. Raises OSError where that is not allowed."""
        self.address = address
        with staying():
            _system_call("unshare", CLONE_NEWNET)
            self.namespace = os.open(OWN_NAMESPACE, os.O_RDONLY)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be on this machine meanwhile, in this thread."""
        with staying():
            _system_call("setns", self.namespace, CLONE_NEWNET)
            yield

    def take_wire(self) -> None:
        """Go on the network with the end of the wire that is here."""
        with self.entered():
            _ip("link", "set", "lo", "up")
            _ip("address", "add", f"{self.address}/{PREFIX_BITS}", "dev", LINK)
            _ip("link", "set", LINK, "up")
            # Moved behind the rule of `swallow_udp`, which would never be asked else.
            _ip("rule", "add", "priority", "2", "lookup", "local")
            _ip("rule", "delete", "priority", "0")

    def swallow_udp(self, swallows: bool) -> None:
        """Drop each datagram that arrives, or no longer."""
        rule = ("priority", "1", "iif", LINK, "ipproto", "udp", "blackhole")
        with self.entered():
            _ip("rule", "add" if swallows else "delete", *rule)

    def close(self) -> None:
        os.close(self.namespace)


class Wire(NamedTuple):
    """Two machines that reach each other and nobody else."""

    near: Machine
    far: Machine

    @contextlib.contextmanager
    def without_udp(self) -> Iterator[None]:
        """Lose all datagrams meanwhile; neither end is told."""
        for machine in self:
            machine.swallow_udp(True)
        try:
            yield
        finally:
            for machine in self:
                machine.swallow_udp(False)


@contextlib.contextmanager
def wire(near: str, far: str) -> Iterator[Wire]:
    """Make two machines with these addresses, joined by a wire.

    Skips the test where the system does not let this process; tests/conftest.py turns that into a
    failure under CI.
    """
    if sys.platform != "linux":
        pytest.skip("platform: network namespaces are Linux's")
    if shutil.which("ip") is None:
        pytest.skip("No ip: install iproute2.")
    with contextlib.ExitStack() as stack:
        ends = []
        for address in (near, far):
            try:
                ends.append(Machine(address))
            except OSError as error:
                pytest.skip(f"No network namespaces: {error.strerror}")
            stack.callback(ends[-1].close)
        made = Wire(*ends)
        peer = ("peer", "name", LINK, "netns", f"/proc/{os.getpid()}/fd/{made.far.namespace}")
        with made.near.entered():
            _ip("link", "add", LINK, "type", "veth", *peer)
        for machine in made:
            machine.take_wire()
        yield made


@contextlib.contextmanager
def staying() -> Iterator[None]:
    """Come back to the network that this thread is on, whatever happens."""
    home = os.open(OWN_NAMESPACE, os.O_RDONLY)
    try:
        yield
    finally:
        _system_call("setns", home, CLONE_NEWNET)
        os.close(home)


def _system_call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*arguments: str) -> None:
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, (arguments, done.stderr)
