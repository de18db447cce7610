"""What tests of the WebRTC port share: what is written in C, and both ways to move audio."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from gateway.webrtc import direct
from tests.compiling import native_module


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """What is written in C; compiled for these tests where it is not installed with the sources."""
    if sys.platform != "linux":
        pytest.skip("platform: recvmmsg is Linux's")
    module = native_module("gateway.webrtc._native", tmp_path_factory.mktemp("native"))
    direct.begin(module, is_known=True)
    return module


@pytest.fixture(params=["python", "direct"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Move audio by Python, then past it."""
    way: str = request.param
    if way == "python":
        monkeypatch.setattr(direct, "IS_AVAILABLE", False)
    else:
        go_direct(monkeypatch, request.getfixturevalue("native"))
    return way


def go_direct(monkeypatch: pytest.MonkeyPatch, native: ModuleType) -> None:
    """Let what begins from now on be moved past Python, the sources' too."""
    monkeypatch.setattr(direct, "IS_AVAILABLE", True)
    monkeypatch.setattr(direct, "BATCH", native.BATCH)
    monkeypatch.setattr(direct, "_native", native, raising=False)
