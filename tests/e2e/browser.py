"""Finds Chromium and starts it with a fake microphone. Knows no page."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Browser, Error, Playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)

INSTALL_S = 300


def find_chromium() -> str | None:
    """Return the browser to use, or None to let Playwright take its own."""
    return _first("chromium", "google-chrome")


def find_headless() -> str | None:
    """Return the browser without windows, or the whole one where there is none."""
    return _first("chromium-headless-shell", "chromium", "google-chrome")


def _first(*names: str) -> str | None:
    named = os.environ.get("CALLER_CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else names)), None)


def install_chromium() -> str | None:
    """Install Debian's Chromium where this process may; return it, or None."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "chromium"]):
        try:
            subprocess.run(
                command, env=environment, capture_output=True, timeout=INSTALL_S, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
    return find_chromium()


async def launch(
    playwright: Playwright,
    *,
    microphone: Path | None,
    grants: bool = True,
    is_whole: bool = True,
    flags: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
) -> Browser:
    """Start a browser whose microphone plays this WAV file over and over, or that has none.

    With `grants`, every page may use it; else each is asked about as a person's browser would. Only
    a whole browser asks; one without windows shows the same pages with half the work. `without`
    takes back flags that Playwright starts every browser with.
    Skips the test where there is no browser; tests/conftest.py turns that into a failure under CI.
    """
    arguments = [*FLAGS, *flags]
    if microphone is not None:
        arguments += [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
        ]
    if grants:
        arguments.append("--use-fake-ui-for-media-stream")
    executable = find_chromium() if is_whole else find_headless()
    if executable is None and not Path(playwright.chromium.executable_path).exists():
        executable = install_chromium()
    try:
        # Playwright gives every browser a fresh profile.
        return await playwright.chromium.launch(
            executable_path=executable, args=arguments, ignore_default_args=[*without]
        )
    except Error as error:
        pytest.skip(f"No Chromium: {error.message.splitlines()[0]}")
