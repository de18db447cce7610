"""Reassembles fragmented messages, and checks that text is UTF-8.

Pure. The protocol library has already checked the order of frames.
"""

from __future__ import annotations

import codecs

from websockets.frames import Frame, Opcode

_new_decoder = codecs.getincrementaldecoder("utf-8")


def is_utf8(payload: bytes) -> bool:
    """Tell whether a complete text payload is valid UTF-8 (RFC 6455, 8.1)."""
    try:
        # Python's codec refuses what RFC 3629 forbids: surrogates and overlong forms.
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


class MessageAssembly:
    """Collects the data frames of one message at a time."""

    __slots__ = ("_decoder", "_parts", "_text", "in_progress")

    def __init__(self) -> None:
        self._parts = bytearray()
        self._text = False
        self._decoder = _new_decoder("strict")
        self.in_progress = False
        """True between a first fragment and the last one."""

    def add(self, frame: Frame) -> tuple[bool, bytes] | None:
        """Take the next data frame; return `(is_text, payload)` when it completes a message.

        Raises:
            UnicodeDecodeError: the text so far cannot become valid UTF-8.

        """
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self.in_progress = not frame.fin
        if self._text:
            # Incremental, so that a fault in an early fragment is not buffered to the end; a code
            # point may be cut by the fragment boundary (5.4).
            self._decoder.decode(frame.data, final=frame.fin)
        self._parts += frame.data
        if not frame.fin:
            return None
        payload = bytes(self._parts)
        self._parts.clear()
        return self._text, payload
