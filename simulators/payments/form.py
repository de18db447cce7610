"""Parses Stripe's form encoding, such as `line_items[0][price_data][currency]=eur`. Pure.

Knows the encoding and how a malformed field is refused, and no endpoint.
https://docs.stripe.com/api?lang=curl
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from simulators.payments.errors import ApiError

FIELDS_MAX: Final = 500
DEPTH_MAX: Final = 8
TEXT_MAX: Final = 5000
METADATA_KEYS_MAX: Final = 50
METADATA_KEY_MAX: Final = 40
METADATA_VALUE_MAX: Final = 500
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")

Tree: TypeAlias = "dict[str, str | Tree]"


def parse(encoded: str) -> Tree:
    """Return the nested fields of a form or a query; lists are dictionaries keyed by index.

    Raises:
        ApiError: it is no form, has too many fields, or names one both as a value and as a mapping.
    """
    try:
        # Blank values are kept: an empty field is how a client unsets something.
        pairs = parse_qsl(
            encoded, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError as error:
        raise ApiError("Invalid request: the form could not be read") from error
    tree: Tree = {}
    for name, value in pairs:
        _insert(tree, name, value)
    return tree


def _insert(tree: Tree, name: str, value: str) -> None:
    match = _NAME.fullmatch(name)
    # `a[b][c]` becomes a, b, c; an empty index, as in `a[]`, is numbered below.
    path = [match[1], *match[2][1:-1].split("][")] if match and match[2] else [name]
    # Bounded, for readers of the tree descend it by recursion.
    if match is None or len(path) > DEPTH_MAX:
        raise ApiError("Invalid request: malformed parameter name", param=name[:100])
    node = tree
    for key in path[:-1]:
        below = node.setdefault(key or str(len(node)), {})
        # One name cannot be a value and a mapping at once.
        if isinstance(below, str):
            raise ApiError(f"Invalid object: {name[:100]}", param=path[0][:100])
        node = below
    last = path[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise ApiError(f"Invalid object: {name[:100]}", param=path[0][:100])
    node[last] = value


class Form:
    """Typed access to nested fields; each complaint names the field as the client wrote it."""

    def __init__(self, tree: Mapping[str, str | Tree], prefix: str = "") -> None:
        self._tree = tree
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        return name in self._tree

    def param(self, name: str) -> str:
        """Return a field's full name: `payment_intent_data[metadata]`."""
        return f"{self._prefix}[{name}]" if self._prefix else name

    def only(self, allowed: Iterable[str]) -> None:
        """Refuse fields that are not among these.

        Raises:
            ApiError: there is an unknown one.
        """
        # Stripe refuses what it does not know, so that a misspelt field is found at once.
        for name in self._tree.keys() - set(allowed):
            param = self.param(name)[:200]
            raise ApiError(
                f"Received unknown parameter: {param}", code="parameter_unknown", param=param
            )

    def text(self, name: str, length_max: int = TEXT_MAX) -> str | None:
        """Return a text; None when it is absent or empty, which is how a client unsets one.

        Raises:
            ApiError: it is a mapping, or too long.
        """
        value = self._tree.get(name)
        if isinstance(value, dict):
            raise ApiError(f"Invalid string: {self.param(name)}", param=self.param(name))
        if value is not None and len(value) > length_max:
            message = f"Invalid string: {self.param(name)} must be at most {length_max} characters"
            raise ApiError(message, param=self.param(name))
        return value or None

    def required(self, name: str, length_max: int = TEXT_MAX) -> str:
        """Return a text that must be there.

        Raises:
            ApiError: it is not.
        """
        value = self.text(name, length_max)
        if value is None:
            param = self.param(name)
            message = f"Missing required param: {param}."
            raise ApiError(message, code="parameter_missing", param=param)
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number, None when absent.

        Raises:
            ApiError: it is none.
        """
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            param = self.param(name)
            message = f"Invalid integer: {value[:50]}"
            raise ApiError(message, code="parameter_invalid_integer", param=param)
        return int(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a truth value.

        Raises:
            ApiError: it is neither `true` nor `false`.
        """
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise ApiError(f"Invalid boolean: {str(value)[:50]}", param=self.param(name))
        return default if value is None else value == "true"

    def choice(self, name: str, allowed: Iterable[str]) -> str | None:
        """Return one of some words, None when absent.

        Raises:
            ApiError: it is another word.
        """
        value = self.text(name)
        words = sorted(allowed)
        if value is not None and value not in words:
            message = f"Invalid {self.param(name)}: must be one of {', '.join(words)}"
            raise ApiError(message, param=self.param(name))
        return value

    def below(self, name: str) -> Form:
        """Return the fields nested under a name; empty when absent.

        Raises:
            ApiError: it is a plain value.
        """
        value = self._tree.get(name, {})
        if isinstance(value, str):
            if value:
                raise ApiError(f"Invalid object: {self.param(name)}", param=self.param(name))
            value = {}
        return Form(value, self.param(name))

    def items(self, name: str) -> Iterator[Form]:
        """Yield the forms of a list of mappings.

        Raises:
            ApiError: it is no list, or holds plain values.
        """
        below = self.below(name)
        return (below.below(index) for index in below._indices())

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts.

        Raises:
            ApiError: it is no list, or holds mappings.
        """
        below = self.below(name)
        return tuple(below.required(index) for index in below._indices())

    def _indices(self) -> list[str]:
        # Short indices only: they are sorted as numbers, and `isdigit` alone would admit other
        # scripts.
        if not all(key.isascii() and key.isdigit() and len(key) < 6 for key in self._tree):
            raise ApiError(f"Invalid array: {self._prefix}", param=self._prefix)
        # By number, not by arrival: a client may send the fields of a list in any order.
        return sorted(self._tree, key=int)

    def metadata(self, name: str = "metadata") -> dict[str, str]:
        """Return a mapping of texts; an empty value says that a key is to go.

        Raises:
            ApiError: there are too many, or one is too long.
        """
        below = self.below(name)
        if len(below._tree) > METADATA_KEYS_MAX:
            raise ApiError("Metadata can have at most 50 keys", param=self.param(name))
        for key in below._tree:
            if len(key) > METADATA_KEY_MAX:
                raise ApiError(
                    "Metadata keys must be at most 40 characters", param=below.param(key)
                )
        return {key: below.text(key, METADATA_VALUE_MAX) or "" for key in below._tree}
