"""Mailboxes in memory, as bounded as those in the store, and facts of nodes for tests."""

import asyncio

from database.errors import StoreUnavailableError
from gateway.fleet.roster import NodeFacts
from gateway.stores.mailboxes import LETTERS_MAX


class MemoryMailboxes:
    """`fleet.exchange.Mailboxes`."""

    def __init__(self):
        self.boxes: dict[str, asyncio.Queue[bytes]] = {}
        self.is_away = False

    def box(self, name):
        return self.boxes.setdefault(name, asyncio.Queue(LETTERS_MAX))

    async def send(self, to, letter):
        if self.is_away:
            raise StoreUnavailableError("away")
        if self.box(to).full():
            return False
        self.box(to).put_nowait(letter)
        return True

    async def receive(self, own):
        if self.is_away:
            raise StoreUnavailableError("away")
        try:
            async with asyncio.timeout(2):
                letters = [await self.box(own).get()]
        except TimeoutError:
            return []
        while not self.box(own).empty():
            letters.append(self.box(own).get_nowait())
        return letters


class MemoryDirectory:
    """`fleet.roster.NodeDirectory`."""

    def __init__(self):
        self.kept: dict[str, NodeFacts] = {}
        self.is_away = False

    async def write(self, facts):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.kept[facts.node] = facts

    async def read(self):
        if self.is_away:
            raise StoreUnavailableError("away")
        return list(self.kept.values())


def facts_of(node="n1", **values):
    """Return the facts of an empty node."""
    usual = {
        "process": f"process of {node}",
        "origin": "https://calls.example.com",
        "release": "1.0",
        "started_at": "2026-03-01T00:00:00Z",
        "calls": 0,
        "calls_max": 100,
        "is_draining": False,
        "lag_ms": 0.0,
    }
    return NodeFacts(node=node, **usual | values)
