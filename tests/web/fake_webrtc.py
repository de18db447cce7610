"""The far end of the page's WebRTC: answers one offer after another and echoes what it hears.

It is aiortc's, which shares no code with the gateway's own.
"""

from __future__ import annotations

import re

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from av.audio.frame import AudioFrame
from av.frame import Frame

LOCAL_NAME = re.compile(r"a=candidate:.*\.local .*\r\n")
"""A candidate that only a resolver of multicast DNS could use."""


class Echo(MediaStreamTrack):
    """Gives back what comes while it is selected; else gives nothing."""

    kind = "audio"

    def __init__(self, source: MediaStreamTrack, peer: EchoPeer) -> None:
        super().__init__()
        self._source = source
        self._peer = peer

    async def recv(self) -> Frame:
        while True:
            frame = await self._source.recv()
            assert isinstance(frame, Frame)
            self._peer.frames += 1
            if self._peer.selected:
                self._peer.loudest = max(self._peer.loudest or 0, _peak(frame))
            if self._peer.selected and not self._peer.silent:
                self._peer.sent += 1
                return frame


def _peak(frame: Frame) -> int:
    assert isinstance(frame, AudioFrame)
    return int(abs(frame.to_ndarray().astype(int)).max())


class EchoPeer:
    """One call's audio by WebRTC."""

    def __init__(self) -> None:
        self.offers: list[str] = []
        self.frames = 0
        """Frames of the page's microphone, silent ones among them."""
        self.loudest: int | None = None
        """Largest sample that came while this path was taken."""
        self.selected = False
        self.silent = False
        """Send nothing, though the page expects it."""
        self.sent = 0
        """Frames that were given back."""
        self._connection: RTCPeerConnection | None = None

    async def answer(self, offer: str) -> str:
        """Return the answer to an offer; each makes the connection anew."""
        self.offers.append(offer)
        await self.close()
        connection = self._connection = RTCPeerConnection()
        description = RTCSessionDescription(LOCAL_NAME.sub("", offer), "offer")
        await connection.setRemoteDescription(description)
        source = connection.getTransceivers()[0].receiver.track
        connection.addTrack(Echo(source, self))
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    async def close(self) -> None:
        """End the connection without a word to the page's signalling."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
