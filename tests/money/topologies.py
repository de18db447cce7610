"""Several Valkey servers that belong together: a master and its replica, sentinels, a cluster.

Knows servers only, nothing of credits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from gateway.stores import rights
from tests.valkey import CREDENTIALS, ValkeyServer, free_port, shipped_user

WAIT_S = 20
SLOTS = 16_384


def until(holds: Callable[[], bool]) -> None:
    """Wait for what servers do by themselves."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, "the servers did not come together"
        time.sleep(0.02)


@contextmanager
def master_and_replica() -> Iterator[tuple[ValkeyServer, ValkeyServer]]:
    """A master, and a replica that is in step with it."""
    master = ValkeyServer("--repl-diskless-sync-delay", "0", with_port=True).start()
    replica = ValkeyServer("--replicaof", f"127.0.0.1 {master.port}", with_port=True)
    try:
        replica.start()
        until(lambda: b"master_link_status:up" in replica.command("INFO", "replication"))
        yield master, replica
    finally:
        master.close()
        replica.close()


@contextmanager
def sentinels(master: ValkeyServer, count: int = 3) -> Iterator[tuple[str, list[ValkeyServer]]]:
    """Sentinels that watch a master and its replicas; yields the URL of what they watch, too."""
    lines = (
        f"sentinel monitor main 127.0.0.1 {master.port} 2",
        "sentinel down-after-milliseconds main 400",
        "sentinel failover-timeout main 2000",
    )
    config = "".join(f"{line}\n" for line in lines)
    servers = [ValkeyServer("--sentinel", with_port=True, config=config) for _ in range(count)]
    try:
        for server in servers:
            server.start()
        for server in servers:
            until(partial(_knows_all, server, count))
        ports = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        yield f"redis+sentinel://{CREDENTIALS}@{ports}/main", servers
    finally:
        for server in servers:
            server.close()


def _knows_all(sentinel: ValkeyServer, count: int) -> bool:
    """Return whether one of so many sentinels has heard of the replica and of all others."""
    words = sentinel.command("SENTINEL", "MASTER", "main").split(b"\r\n")
    if b"num-slaves" not in words:
        return False
    values = [words[words.index(name) + 2] for name in (b"num-slaves", b"num-other-sentinels")]
    return values == [b"1", b"%d" % (count - 1)]


class Cluster:
    """Masters that share the slots evenly."""

    def __init__(self, count: int) -> None:
        self.servers = [self._server() for _ in range(count)]
        self.ids = [bulk(server.command("CLUSTER", "MYID")).decode() for server in self.servers]
        bounds = [SLOTS * n // count for n in range(count + 1)]
        for n, server in enumerate(self.servers):
            server.command("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1))
            server.command("CLUSTER", "ADDSLOTSRANGE", str(bounds[n]), str(bounds[n + 1] - 1))
            if n:
                bus = str(self._bus(self.servers[0]))
                first = str(self.servers[0].port)
                server.command("CLUSTER", "MEET", "127.0.0.1", first, bus)
        for server in self.servers:
            until(partial(self._is_whole, server))

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"redis+cluster://{CREDENTIALS}@{self._hosts()}"

    @property
    def operator_url(self) -> str:
        """By what somebody connects who may do anything."""
        return f"redis+cluster://{self._hosts()}"

    def _hosts(self) -> str:
        return ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def owner(self, key: str) -> int:
        """Return which server has the slot of a key, as the first server knows it."""
        slot = self.slot(key)
        for n, server in enumerate(self.servers):
            ranges = server.command("CLUSTER", "NODES").decode()
            mine = next(line for line in ranges.splitlines() if "myself" in line).split()[8:]
            for text in mine:
                low, _, high = text.partition("-")
                if low.isdigit() and int(low) <= slot <= int(high or low):
                    return n
        raise LookupError(key)

    def slot(self, key: str) -> int:
        """Return the slot of a key."""
        return int(self.servers[0].command("CLUSTER", "KEYSLOT", key)[1:])

    def close(self) -> None:
        """End all servers."""
        for server in self.servers:
            server.close()

    def _is_whole(self, server: ValkeyServer) -> bool:
        info = server.command("CLUSTER", "INFO")
        count = len(self.servers)
        return b"cluster_state:ok" in info and b"cluster_known_nodes:%d\r" % count in info

    def _bus(self, server: ValkeyServer) -> int:
        return int(server._arguments[server._arguments.index("--cluster-port") + 1])

    @staticmethod
    def _server() -> ValkeyServer:
        bus = str(free_port())
        arguments = ("--cluster-enabled", "yes", "--cluster-port", bus)
        user = f"{shipped_user().rstrip()} {' '.join(rights.CLUSTER)}\n"
        return ValkeyServer(*arguments, with_port=True, config=user).start()


def bulk(reply: bytes) -> bytes:
    """Return the text of a bulk reply."""
    return reply.split(b"\r\n")[1]
