"""Checks whether a picture is plain SVG, which runs nothing and fetches nothing."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

_SVG: Final = "{http://www.w3.org/2000/svg}"
_XHTML: Final = "{http://www.w3.org/1999/xhtml}"
_ACTIVE: Final = frozenset(
    {
        "script",
        "handler",
        "listener",
        "foreignobject",
        "iframe",
        "embed",
        "object",
        "audio",
        "video",
        "canvas",
        # Could set an attribute of another element to a value that would be refused there.
        "animate",
        "animatecolor",
        "animatemotion",
        "animatetransform",
        "set",
    }
)
"""Elements that run something, or embed a document (SVG 2, 5.12, 12 and 15.9; SVG Animations)."""
_OWN: Final = re.compile(r"#|data:image/(png|jpeg|gif|webp);base64,", re.IGNORECASE)
"""What a reference may begin with: a part of the picture, or pixels within it."""
_FETCHING: Final = re.compile(r"@import|(image-set|image|cross-fade|src)\(", re.IGNORECASE)
"""What takes a URL as plain text (CSS Images 4, 2.4; CSS Values 5, 6.1)."""
_URLS: Final = re.compile(r"url\(\s*['\"]?\s*([^)]{0,32})", re.IGNORECASE)


def is_svg(content: bytes) -> bool:
    """Return whether a file is SVG without entities, with which few bytes can fill memory."""
    return _read(content) is not None


def fault_of(content: bytes) -> str:
    """Return why an SVG is refused, for the operator; empty if it is only a picture.

    Raises ValueError if it is not SVG.
    """
    root = _read(content)
    if root is None:
        raise ValueError("no SVG")
    if re.search(rb"<\?\s*xml-stylesheet", content, re.IGNORECASE):
        return "refers to a style sheet"
    for element in root.iter():
        name = str(element.tag).rpartition("}")[2]
        if name.lower() in _ACTIVE or str(element.tag).startswith(_XHTML):
            return f"has an element <{name[:32]}>, which can run or embed something"
        if fault := _fault_of_attributes(element):
            return fault
        if name.lower() == "style":
            # Including text after nested elements.
            sheet = "".join(element.itertext())
            # An at-rule fetches without brackets, and an escape may hide its name.
            if fault := _fault_of_style(sheet + "(" if "@" in sheet else sheet):
                return fault
    return ""


def _fault_of_attributes(element: ElementTree.Element) -> str:
    for key, value in element.attrib.items():
        name = key.rpartition("}")[2].lower()
        if name.startswith("on"):
            return f"has an attribute {name[:32]}, which runs something"
        if name == "base":
            return "has an attribute xml:base, which leads elsewhere"
        if name in {"href", "src"} and not _OWN.match(value.strip()):
            return f"refers to another place by {name}"
        if fault := _fault_of_style(value):
            return fault
    return ""


def _fault_of_style(text: str) -> str:
    # An escape may hide any word (CSS Syntax 3, 4.3.7), and a logo needs none.
    is_hidden = "\\" in text and "(" in text
    if is_hidden or _FETCHING.search(text):
        return "refers to another place in a style"
    leads_out = any(not _OWN.match(target) for target in _URLS.findall(text))
    return "refers to another place by url()" if leads_out else ""


def _read(content: bytes) -> ElementTree.Element | None:
    # Before parsing: nested entities can fill any memory.
    if re.search(rb"<!(DOCTYPE|ENTITY)", content, re.IGNORECASE) or b"\0" in content:
        return None
    try:
        # From a file of the operator's own, bounded, and without entities.
        root = ElementTree.fromstring(content)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    return root if root.tag == f"{_SVG}svg" else None
