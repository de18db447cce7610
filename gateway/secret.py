"""Wraps a text that no log, traceback or message may show."""

from __future__ import annotations

import hmac
from typing import Any, Final

_HIDDEN: Final = "…"


class Secret:
    """A credential, or an address that holds one; only `reveal` returns it.

    False when empty. Equal to a secret of the same text, compared in constant time.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str = "") -> None:
        self.__text = text

    def reveal(self) -> str:
        """Return the text; call this only where it is handed over, and store it nowhere."""
        return self.__text

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Bytes, because it accepts no text beyond ASCII.
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())

    def __hash__(self) -> int:
        return hash(self.__text)

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN if self else ''})"

    def __copy__(self) -> Secret:
        # Defined, because copying would go through `__reduce__` otherwise.
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written anywhere")
