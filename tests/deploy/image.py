"""The steps of the `Dockerfile`, taken in a clean folder: that needs no builder of images."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 900
OF_THE_SYSTEM = ("apt-get ", "groupadd ")
"""Steps that change the machine itself: its packages and its users."""
NOT_OURS = {".git", "node_modules", ".venv"}


@dataclass(frozen=True)
class Step:
    """One instruction of the file, such as RUN with its words."""

    name: str
    words: str


@dataclass
class Image:
    """What the steps have made below a folder that stands for the root of the file system."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    user: str = "0:0"
    left_out: list[str] = field(default_factory=list)

    def here(self, text: str) -> str:
        """Return a text with places of the image at this machine."""
        return re.sub(r"(?<![\w/.])/(opt|src|data)(?=[/\s:\"']|$)", rf"{self.root}/\1", text)


def stages(text: str) -> list[list[Step]]:
    """Return the steps of a Dockerfile, one list for each image that it makes."""
    found: list[list[Step]] = []
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, _, words = line.partition(" ")
        if name == "FROM":
            found.append([])
        elif found:
            found[-1].append(Step(name, words.strip()))
    return found


def sent(folder: Path, ignored: str) -> Iterator[Path]:
    """Yield what a builder is sent of a folder, relative to it, by the text of `.dockerignore`."""
    rules = [line for line in ignored.splitlines() if line and not line.startswith("#")]
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if each not in NOT_OURS]
        for file in files:
            path = (Path(place) / file).relative_to(folder)
            # What tests have compiled beside its sources is in no checkout.
            if not _is_ignored(path, rules) and path.suffix != ".so":
                yield path


def _is_ignored(path: Path, rules: list[str]) -> bool:
    names = ["/".join(path.parts[: n + 1]) for n in range(len(path.parts))]
    is_ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        deep = pattern.removeprefix("**/")
        matches = any(
            fnmatch(name, pattern) or (deep != pattern and fnmatch(Path(name).name, deep))
            for name in names
        )
        if matches:
            is_ignored = not rule.startswith("!")
    return is_ignored


def build(root: Path, others: Mapping[str, str]) -> Image:
    """Take all steps below a folder; `others` go before its variables, and unset them if empty."""
    first, last = stages((ROOT / "Dockerfile").read_text())
    image = Image(root)
    for step in first:
        _take(image, step, others)
    made = Image(root, left_out=image.left_out)
    for step in last:
        _take(made, step, others)
    return made


def _take(image: Image, step: Step, others: Mapping[str, str]) -> None:
    match step.name:
        case "ENV":
            image.environ |= dict(pair.split("=", 1) for pair in step.words.split())
        case "WORKDIR":
            image.workdir = step.words
            Path(image.here(step.words)).mkdir(parents=True, exist_ok=True)
        case "COPY":
            _copy(image, step.words)
        case "RUN":
            _run(image, re.sub(r"--mount=\S+\s+", "", step.words), others)
        case "USER":
            image.user = step.words
        case "ENTRYPOINT":
            image.entrypoint = json.loads(step.words)
        case "CMD":
            image.command = json.loads(step.words)
        case "HEALTHCHECK":
            image.healthcheck = json.loads(step.words.partition("CMD ")[2])
        case _:
            assert step.name in {"ARG", "VOLUME", "EXPOSE", "STOPSIGNAL"}, step


def _copy(image: Image, words: str) -> None:
    # From the stage before: both are below the same folder here.
    if words.startswith("--from="):
        _, source, target = words.split()
        assert source == target
        assert Path(image.here(target)).is_dir()
        return
    source, target = words.split()
    for path in sent(ROOT, (ROOT / ".dockerignore").read_text()):
        if source == "." or str(path) == source:
            place = Path(image.here(image.workdir)) / (path if source == "." else target)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, place)


def _run(image: Image, command: str, others: Mapping[str, str]) -> None:
    if command.startswith(OF_THE_SYSTEM):
        image.left_out.append(command)
        return
    done = subprocess.run(
        ["sh", "-c", image.here(command)],
        cwd=image.here(image.workdir),
        env={k: v for k, v in {**os.environ, **image.environ, **others}.items() if v},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    assert done.returncode == 0, (command, done.stderr[-4000:])
