"""A lossy piece of network between a browser and the gateway's UDP port, and speech measured by it.

Every browser address has a socket of its own towards the gateway, as behind a NAT.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int]

# Makes the page send to the relay what the gateway's answer names another port for.
REDIRECT = """
const setRemote = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
  const sdp = answer.sdp.replace(/(candidate:.* udp \\d+ \\S+) \\d+ /g, '$1 RELAY_PORT ');
  return setRemote.call(this, { type: answer.type, sdp });
};
"""


@dataclass
class Weather:
    """What the network does to each datagram from now on."""

    loss: float = 0.0
    jitter_s: float = 0.0
    is_cut: bool = False
    is_cut_up: bool = False
    """Whether nothing of what browsers send arrives."""
    is_cut_down: bool = False
    holds_back: bool = False
    """Whether datagrams are kept, to be let go together."""


class UdpRelay:
    """Carries datagrams both ways between browsers and one port."""

    def __init__(self, target: Address, seed: int = 1) -> None:
        self.weather = Weather()
        self.port = 0
        self._target = target
        self._random = random.Random(seed)
        self._held: list[Callable[[], None]] = []
        self._front: Any = None
        self._backs: dict[Address, asyncio.DatagramTransport] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def release(self) -> None:
        """Deliver what was held back, all at once."""
        self.weather.holds_back = False
        held, self._held = self._held, []
        for deliver in held:
            deliver()

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self._from_browser), local_addr=("127.0.0.1", 0)
        )
        self.port = self._front.get_extra_info("sockname")[1]

    async def stop(self) -> None:
        """Close every socket."""
        self._front.close()
        await asyncio.gather(*self._opening)
        for transport in self._backs.values():
            transport.close()
        # Transports close their sockets in the loop's next pass.
        await asyncio.sleep(0)

    def _from_browser(self, data: bytes, source: Address) -> None:
        back = self._backs.get(source)
        if back is None:
            task = asyncio.get_running_loop().create_task(self._open(data, source))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._carry_up(back, data)

    async def _open(self, data: bytes, source: Address) -> None:
        loop = asyncio.get_running_loop()
        back, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(lambda reply, _: self._carry_down(reply, source)),
            local_addr=("127.0.0.1", 0),
        )
        self._backs.setdefault(source, back)
        if self._backs[source] is not back:
            back.close()
            return
        self._carry_up(back, data)

    def _carry_up(self, back: asyncio.DatagramTransport, data: bytes) -> None:
        if not self.weather.is_cut_up:
            self._carry(lambda: back.sendto(data, self._target))

    def _carry_down(self, data: bytes, source: Address) -> None:
        if not self.weather.is_cut_down:
            self._carry(lambda: self._front.sendto(data, source))

    def _carry(self, deliver: Callable[[], None]) -> None:
        weather = self.weather
        if weather.is_cut or self._random.random() < weather.loss:
            return
        if weather.holds_back:
            self._held.append(deliver)
        elif weather.jitter_s:
            delay_s = self._random.uniform(0, weather.jitter_s)
            asyncio.get_running_loop().call_later(delay_s, deliver)
        else:
            deliver()


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._receive(data, addr)


@contextlib.asynccontextmanager
async def udp_relay(port: int) -> AsyncIterator[UdpRelay]:
    """Put a relay before a port of this machine."""
    relay = UdpRelay(("127.0.0.1", port))
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
