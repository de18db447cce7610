"""Checks, without a server, whether Valkey's append-only files can be read back at all.

A manifest lists the files that make up the data (aof.c of Valkey: one line for each, `file NAME seq
NUMBER type b|h|i`). Only the server can judge the content of these files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FOLDER: Final = "appendonlydir"
MANIFEST: Final = "appendonly.aof.manifest"
_FILE: Final = re.compile(r"file (?P<file>\S+) seq \d+ type (?P<type>[bhi])( \S+ \S+)*")
_MAGIC: Final = {"b": (b"REDIS", b"VALKEY", b"*"), "i": (b"*", b"#")}
"""How a data file begins, by its type: a snapshot, commands, or a timestamp annotation."""
ADVICE: Final = (
    "restore the folder from a copy, or move it away: its credits are then filled from SQL, but not"
    " what was not booked there yet."
)


def fault(data_dir: Path) -> str:
    """Return what prevents a server from reading its files, and what to do; empty for nothing."""
    folder = data_dir / FOLDER
    for _ in range(2):
        text = _read(folder / MANIFEST)
        found = _fault(folder, text)
        # A running server replaces its files, and the manifest last.
        if not found or text == _read(folder / MANIFEST):
            break
    return f"{found}: {ADVICE}" if found else ""


def _read(manifest: Path) -> bytes | None:
    try:
        return manifest.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _fault(folder: Path, text: bytes | None) -> str:
    if text is None:
        return ""
    manifest = folder / MANIFEST
    lines = [line for line in text.decode(errors="replace").splitlines() if line[:1] != "#"]
    if not lines:
        return f"{manifest} is empty"
    named = [_FILE.fullmatch(line.strip()) for line in lines]
    # An unreadable line may name the file that matters, so the whole manifest counts as damaged.
    # There cannot be two base snapshots.
    if not all(named) or [file["type"] for file in named if file].count("b") > 1:
        return f"{manifest} is damaged"
    # Only the name: a damaged manifest must not lead out of the folder.
    faults = (_fault_of(folder / Path(file["file"]).name, file["type"]) for file in named if file)
    return next(filter(None, faults), "")


def _fault_of(file: Path, kind: str) -> str:
    magic = _MAGIC.get(kind)
    if magic is None:  # superseded, and about to be deleted
        return ""
    try:
        with file.open("rb") as opened:
            head = opened.read(max(map(len, magic)))
    except OSError as error:
        return f"{file} cannot be read ({error.strerror})"
    # Empty is fine: the server has created the file and written nothing to it yet.
    return "" if not head or head.startswith(magic) else f"{file} is damaged"
