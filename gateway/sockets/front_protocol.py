"""Handles one connection of a shared port: hands it to the process that a request is for.

The first bytes of a request decide: what is under `/n/<node>/` is for that node, media sockets and
the carrier's callbacks. Everything else is answered here, as by `OnePortProtocol`, and so is what a
node does not take because it is gone, restarting or stalled.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from gateway.sockets.closing import TOO_LARGE, plain_answer, with_fields
from gateway.sockets.door import DATA_BYTES_MAX, NodeDoor, Parcel
from gateway.sockets.http_protocol import OnePortProtocol, is_media_request

MAY_BE_A_NODES: Final = re.compile(
    rb"[A-Z]{1,20} /n/|[A-Z]{1,20}(?: (?:/n?)?)?\Z",
)
"""Where a request for a node may begin in what was received, its first bytes cut off included."""

_OF_NODE: Final = re.compile(rb"[A-Z]{1,20} /n/([a-z0-9-]{1,64})/")
_UNDECIDED: Final = re.compile(rb"[A-Z]{0,20}(?: (?:/(?:n(?:/[a-z0-9-]{0,64})?)?)?)?")


def node_of(head: bytes) -> str | None:
    """Return the node that a request which begins with `head` asks for, "" where it asks for none.

    None when more is needed: only while it could still become a request for a node, so that nothing
    else is kept waiting for bytes that need not come.
    """
    if found := _OF_NODE.match(head):
        return found[1].decode()
    return None if _UNDECIDED.fullmatch(head) else ""


AWAY: Final = plain_answer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The node is not there at the moment. Try again.\n",
    {"Retry-After": "1"},
)
"""What a media socket is answered: only the node could take it."""
PATIENCE_S: Final = 2.0
"""How long a node may take to take a connection over. One that lives does so within milliseconds;
the carrier waits for an answer for 15 s."""
_UNWRITTEN_S: Final = 0.02
"""How soon an answer that has not left yet is looked at again: the kernel takes most at once."""


class FrontProtocol(OnePortProtocol):
    """The one port's protocol, in front of nodes that have no port."""

    may_be_elsewhere = MAY_BE_A_NODES

    def __init__(self, doors: Mapping[str, NodeDoor], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doors = doors
        self._parcel: Parcel | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._is_ours = False
        """Whether the next request is answered here, whichever node it asks for."""
        self._is_last = False
        """Whether the next request is the connection's last: a node may have it as well."""

    def on_headers_complete(self) -> None:
        """Let the application begin."""
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the engine's watch, and what is to be handed over."""
        self._take_back()
        super().connection_lost(exc)

    def _is_set_aside(self, data: bytes) -> bool:
        """Hand a request for a node over, or keep what may be one until its turn."""
        if self._is_ours:
            self._is_ours = False
            return super()._is_set_aside(data)
        node = node_of(data)
        door = None if node is None else self._doors.get(node)
        if node is not None and door is None:
            return super()._is_set_aside(data)
        if self._is_responding():
            # Handed over now, the connection would leave the answer nowhere to go.
            self._undecided = data
            self.flow.pause_reading()
        elif door is None:
            self._unset_keepalive_if_required()
            self._undecided = data
        elif self._raw.get_write_buffer_size():
            self._unset_keepalive_if_required()
            self._undecided = data
            self.flow.pause_reading()
            self.loop.call_later(_UNWRITTEN_S, self._look_again)
        else:
            self._hand_over(data, door)
        return True

    def _look_again(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(b"")

    def _hand_over(self, data: bytes, door: NodeDoor) -> None:
        self._unset_keepalive_if_required()
        if len(data) > DATA_BYTES_MAX:
            self._refuse(TOO_LARGE)
            return
        # What still comes is for the node to read. The deadline of the head runs on.
        self._ignores_input = True
        self.flow.pause_reading()
        self._parcel = Parcel(self._descriptor, data, lambda is_taken: self._settle(is_taken, data))
        # Only the node can take a media socket, so it waits as long as its head may take.
        if is_media_request(data) is False:
            self._patience = self.loop.call_later(PATIENCE_S, self._give_up, data)
        door.hand_over(self._parcel)

    def _give_up(self, data: bytes) -> None:
        """Take a connection back from a node that is stalled and may resume at any time.

        It would then answer what has been answered. Callbacks may arrive twice, and an end of the
        connection that is shut down leaves the second answer nowhere to go.
        """
        self._is_last = True
        self._settle(False, data)

    def _take_back(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._parcel is not None:
            self._parcel.withdraw()
            self._parcel = None

    def _descriptor(self) -> int:
        raw = self._raw
        return -1 if raw.is_closing() else int(raw.get_extra_info("socket").fileno())

    def _settle(self, is_taken: bool, data: bytes) -> None:
        self._take_back()
        if is_taken:
            # Closes our descriptor and nothing else: the connection lives by the node's.
            self._raw.abort()
        elif is_media_request(data):
            self.transport.write(with_fields(AWAY, self._engine.answer_fields))
            self.transport.close()
        else:
            self._is_ours = True
            self._ignores_input = False
            self.flow.resume_reading()
            self._undecided = data
            self.data_received(b"")
