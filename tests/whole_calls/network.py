"""A network in memory: what is sent arrives in order after a delay, and a stall keeps it back.

It moves bytes and requests, and reads neither. Delays are those of the loop's virtual clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import httpx

from gateway.nanoseconds import SECOND_NS
from tests.gateway.virtual_time import VirtualTimeLoop, virtual_loop

ROUNDING_NS = 1_000
"""A loop counts seconds as floats: a timer may fire this much before its time."""


class Way:
    """One direction of the network between two machines."""

    def __init__(self, delay_ns: int, receive: Callable[[Any], None]) -> None:
        self.delay_ns = delay_ns
        self._receive = receive
        self._loop = virtual_loop()
        self._waiting: deque[tuple[int, Any]] = deque()
        """When each thing arrives."""
        self._free_ns = 0
        """Nothing arrives before this."""
        self._lost_until_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, what: Any) -> None:
        """Let this arrive after the delay, behind all that was sent before it."""
        if self._loop.now_ns < self._lost_until_ns:
            return
        due_ns = max(self._loop.now_ns + self.delay_ns, self._free_ns)
        self._waiting.append((due_ns, what))
        if self._timer is None:
            self._arm()

    def stall(self, seconds: float) -> None:
        """Let nothing arrive for a while, and then all of it at once."""
        self._free_ns = self._loop.now_ns + round(seconds * SECOND_NS)
        self._waiting = deque((max(due, self._free_ns), what) for due, what in self._waiting)

    def lose(self, seconds: float) -> None:
        """Let nothing that is sent in this time arrive at all."""
        self._lost_until_ns = self._loop.now_ns + round(seconds * SECOND_NS)

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._waiting[0][0] / SECOND_NS, self._deliver)

    def _deliver(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._loop.now_ns + ROUNDING_NS:
            self._receive(self._waiting.popleft()[1])
        self._timer = None
        if self._waiting:
            self._arm()


class Transport(asyncio.Transport):
    """One end of a TCP connection."""

    out: Way

    def __init__(self, protocol: asyncio.Protocol, peer: str) -> None:
        super().__init__({"peername": (peer, 5060)})
        self.protocol = protocol
        self._unread: list[bytes] | None = None
        """What has come while nobody reads; None while somebody does."""
        self._is_closing = False

    # What the protocol calls.

    def write(self, data: Any) -> None:
        if not self._is_closing:
            self.out.send(bytes(data))

    def write_eof(self) -> None:
        self.out.send(b"")

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self._is_closing:
            self.out.send(b"")
            self._end(None)

    def abort(self) -> None:
        if not self._is_closing:
            self.out.send(ConnectionResetError())
            self._end(None)

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self._unread = []

    def resume_reading(self) -> None:
        unread, self._unread = self._unread or [], None
        for data in unread:
            self.receive(data)

    # What the network calls.

    def receive(self, data: bytes | Exception) -> None:
        if self._is_closing:
            return
        if isinstance(data, Exception):
            self._end(data)
        elif self._unread is not None:
            self._unread.append(data)
        elif data:
            self.protocol.data_received(data)
        elif not self.protocol.eof_received():
            self.close()

    def _end(self, error: Exception | None) -> None:
        self._is_closing = True
        virtual_loop().call_soon(self.protocol.connection_lost, error)


def connect(client: asyncio.Protocol, server: asyncio.Protocol, delay_ns: int) -> Transport:
    """Join both by a TCP connection; return the client's end."""
    near, far = Transport(client, "192.0.2.1"), Transport(server, "198.51.100.7")
    near.out, far.out = Way(delay_ns, far.receive), Way(delay_ns, near.receive)
    server.connection_made(far)
    client.connection_made(near)
    return near


class NetworkLoop(VirtualTimeLoop):
    """A virtual loop on which whoever dials gets a connection in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.serve: Callable[[], asyncio.Protocol]
        """Makes the server's end of a connection."""
        self.delay_ns = 0

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        client = protocol_factory()
        return connect(client, self.serve(), self.delay_ns), client


class Request:
    """A request under way: awaited, or entered like aiohttp's."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __await__(self) -> Generator[Any, Any, Reply]:
        return self._answer.__await__()

    async def __aenter__(self) -> Reply:
        return await self._answer

    async def __aexit__(self, *_: object) -> None:
        pass


class Reply:
    """An answer, as far as aiohttp's is asked."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, response.headers
        self.content = asyncio.StreamReader()
        self.content.feed_data(response.content)
        self.content.feed_eof()

    async def text(self) -> str:
        return (await self.content.read()).decode()


class Requests:
    """An aiohttp session whose every request goes to one application in memory."""

    def __init__(self, app: Any, delay_ns: int) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        self._delay_s = delay_ns / SECOND_NS

    def request(self, method: str, url: object, **fields: Any) -> Request:
        fields = {name: fields.get(name) for name in ("params", "data", "headers", "auth")}
        return Request(self._ask(method, str(url), fields))

    async def _ask(self, method: str, url: str, fields: dict[str, Any]) -> Reply:
        if isinstance(fields["data"], str):
            fields["content"] = fields.pop("data")
        await asyncio.sleep(self._delay_s)
        reply = Reply(await self._client.request(method, url, **fields))
        await asyncio.sleep(self._delay_s)
        return reply

    async def close(self) -> None:
        await self._client.aclose()
