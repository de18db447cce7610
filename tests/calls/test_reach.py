"""The way from outside before any node runs: `caller check` behind each proxy of `deploy/`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.calls.proxy import INSTALLED, proxy_of
from tests.calls.world import PATIENCE_S, World
from tests.valkey import free_port

LOOKED_S = 3.0
"""Two checks of the ports or the paths by each of the files, and one to spare."""
pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("node", ["n1", "n2", "n7"])
@pytest.mark.parametrize("proxy", sorted(INSTALLED))
def test_the_check_finds_its_way_through_a_proxy_that_has_no_node_yet(
    tmp_path: Path, own_valkey: Any, proxy: str, node: str
) -> None:
    if INSTALLED[proxy] is None:
        pytest.skip(f"{proxy} is not installed")
    port = free_port()
    world = World(
        tmp_path,
        CALLER_NODE=node,
        CALLER_REDIS_URL=own_valkey.url,
        CALLER_PUBLIC_ORIGIN=f"http://127.0.0.1:{port}",
    )
    other = "n2" if node == "n1" else "n1"
    # One that the proxy does not list is found as any other; here it is in the place of n2.
    nodes = {other: free_port(), "n2" if node == "n7" else node: world.port}
    with proxy_of(proxy, tmp_path, port, dict(sorted(nodes.items()))):
        # Until the proxy has looked, and knows that nobody is there.
        time.sleep(LOOKED_S)
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "check", "--json"],
            env=world.environ,
            capture_output=True,
            check=False,
            timeout=PATIENCE_S,
        )
    said = {each["subject"]: each for each in json.loads(done.stdout)}
    assert said["reach"]["text"].endswith(f"leads to port {world.port} of this machine."), said
    assert said["sockets"]["text"] == "WebSockets pass."
