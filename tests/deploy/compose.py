"""The files of Compose as a reader that is no Docker sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
ROLES = DEPLOY / "compose.roles.yaml"
SECRETS = "/run/secrets/"
"""Where a service finds what it is given of them."""


def read(file: Path) -> dict[str, Any]:
    """Return a file with what it merges."""
    return dict(yaml.safe_load(file.read_text()))


def interpolated(value: str, environ: Mapping[str, str]) -> str:
    """Return a value as Compose hands it on: `${NAME}`, `${NAME:-default}`, `${NAME:?error}`."""

    def given(found: re.Match[str]) -> str:
        name, rule, text = found.groups()
        if environ.get(name):
            return environ[name]
        assert rule == "-", f"{name}: {text}"
        return text

    return re.sub(r"\$\{(\w+)(?::([?-])([^}]*))?\}", given, value)


def environment(service: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the file itself gives a service."""
    listed = service.get("environment", {})
    return {name: interpolated(str(value), environ) for name, value in listed.items()}


def of_image() -> dict[str, str]:
    """Return the variables that the image sets for whatever runs in it."""
    text = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", "")
    lines = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def of_env_file(text: str) -> dict[str, str]:
    """Return what a file of the kind of `caller.env.example` sets."""
    lines = (line.partition("=") for line in text.splitlines() if re.match(r"\w+=", line))
    return {name: value for name, _, value in lines}


def seconds(duration: str) -> int:
    """Return a duration such as `90s`."""
    found = re.fullmatch(r"(\d+)s", duration)
    assert found, duration
    return int(found[1])
