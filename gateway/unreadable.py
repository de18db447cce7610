"""Names what reading JSON of somebody else may raise."""

from __future__ import annotations

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""No JSON or not the shape that is wanted, nested too deep, text inside that is not UTF-8: all the
sender's fault. msgspec raises the last two as they are."""
