"""Lists what reading somebody else's JSON may raise."""

from __future__ import annotations

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""Not JSON or not the expected shape, nested too deep, or text that is not UTF-8: all the sender's
fault. msgspec raises the last two as they are."""
