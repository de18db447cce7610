"""Handles one connection of a shared port: hands it to the process that a request is for.

Everything that is for this process is answered here, as by `OnePortProtocol`. Knows no route.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from gateway.sockets.door import DATA_BYTES_MAX, Door
from gateway.sockets.http_protocol import OnePortProtocol
from gateway.sockets.owner import MAY_BE_A_NODES, node_of
from gateway.sockets.parcel import Parcel
from gateway.sockets.plain_answers import TOO_LARGE, plain_answer, without_body

AWAY: Final = plain_answer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The node is not there at the moment. Try again.\n",
    {"Retry-After": "1"},
)
_UNWRITTEN_S: Final = 0.02
"""How soon an answer that has not left yet is looked at again: the kernel takes most at once."""


class FrontProtocol(OnePortProtocol):
    """The one port's protocol, in front of nodes that have no port."""

    may_be_elsewhere = MAY_BE_A_NODES

    def __init__(self, doors: Mapping[str, Door], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doors = doors
        self._parcel: Parcel | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the engine's watch, and what is to be handed over."""
        if self._parcel is not None:
            self._parcel.withdraw()
            self._parcel = None
        super().connection_lost(exc)

    def _is_set_aside(self, data: bytes) -> bool:
        """Hand a request for a node over, or keep what may be one until its turn."""
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

    def _hand_over(self, data: bytes, door: Door) -> None:
        self._unset_keepalive_if_required()
        if len(data) > DATA_BYTES_MAX:
            self._refuse(TOO_LARGE)
            return
        # What still comes is for the node to read. The deadline of the head runs on.
        self._ignores_input = True
        self.flow.pause_reading()
        answer = without_body(AWAY) if data.startswith(b"HEAD ") else AWAY
        self._parcel = Parcel(
            self._descriptor, data, lambda is_taken: self._settle(is_taken, answer)
        )
        door.hand_over(self._parcel)

    def _descriptor(self) -> int:
        raw = self._raw
        return -1 if raw.is_closing() else int(raw.get_extra_info("socket").fileno())

    def _settle(self, is_taken: bool, answer: bytes) -> None:
        self._parcel = None
        if is_taken:
            # Closes our descriptor and nothing else: the connection lives by the node's.
            self._raw.abort()
        else:
            self.transport.write(answer)
            self.transport.close()
