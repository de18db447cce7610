"""The proxies' files of `deploy/` as they are, TLS included, read by the programs themselves."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.calls.proxy import (
    CADDY,
    DEPLOY,
    HAPROXY,
    caddy_configuration,
    caddy_environment,
    configuration,
    haproxy_configuration,
)
from tests.calls.world import PATIENCE_S
from tests.certificates import Authority
from tests.valkey import free_port


@pytest.mark.thorough
@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_haproxy_accepts_its_file_without_a_warning(tmp_path: Path) -> None:
    pair = tmp_path / "pair.pem"
    certificate, key = Authority(tmp_path).issue(tmp_path, hosts=("calls.example.com",))
    pair.write_bytes(certificate.read_bytes() + key.read_bytes())
    file = tmp_path / "haproxy.cfg"
    text = (DEPLOY / "haproxy.cfg").read_text()
    file.write_text(text.replace("/etc/haproxy/calls.example.com.pem", str(pair)))
    done = subprocess.run(
        [str(HAPROXY), "-c", "-f", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.thorough
@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
@pytest.mark.parametrize(("descriptors", "least", "most"), [(1024, 400, 512), (16384, 8000, 8192)])
def test_haproxy_takes_as_many_connections_as_its_descriptors_allow(
    tmp_path: Path, descriptors: int, least: int, most: int
) -> None:
    port = free_port()
    file, stats = tmp_path / "haproxy.cfg", tmp_path / "stats"
    text = haproxy_configuration(port, {"n1": free_port(), "n2": free_port()})
    file.write_text(text.replace("global\n", f"global\n    stats socket {stats}\n", 1))
    limited = f"ulimit -n {descriptors} && exec {HAPROXY} -db -f {file}"
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(["bash", "-c", limited], stdout=output, stderr=output)
    try:
        due_s = time.monotonic() + PATIENCE_S
        while not (told := _asked(stats, "show info")):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < due_s
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(10)
    assert "ALERT" not in log.read_text()
    found = re.search(r"^Maxconn: (\d+)$", told, re.M)
    assert found is not None
    assert least <= int(found[1]) <= most


def _asked(path: Path, command: str) -> str:
    """Return what HAProxy says at its socket; empty while it does not listen."""
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(str(path))
        client.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()
    return ""


@pytest.mark.thorough
@pytest.mark.skipif(CADDY is None, reason="caddy is not installed")
def test_caddy_understands_its_file_of_several_nodes(tmp_path: Path) -> None:
    command = [str(CADDY), "adapt", "--adapter", "caddyfile", "--config"]
    done = subprocess.run(
        [*command, str(DEPLOY / "Caddyfile.nodes")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "/readyz" in done.stdout


@pytest.mark.thorough
@pytest.mark.skipif(CADDY is None, reason="caddy is not installed")
def test_caddy_is_the_release_whose_image_is_shipped() -> None:
    pinned = re.search(r"^CADDY_IMAGE=caddy:(\S+)$", (DEPLOY / "pin_images.sh").read_text(), re.M)
    assert pinned is not None
    done = subprocess.run([str(CADDY), "version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == f"v{pinned[1]}"


def test_a_node_s_own_paths_lead_to_it_first() -> None:
    nodes = {"n1": 1001, "n2": 1002}
    texts = haproxy_configuration(1, nodes), configuration(1, nodes, nodes.values())
    for node, port in nodes.items():
        for text in texts:
            own = re.search(
                rf"(?:backend|upstream) node_{node}.*?127\.0\.0\.1:(\d+)", text, re.DOTALL
            )
            assert own is not None
            assert own[1] == str(port)
    text, told = caddy_configuration(), caddy_environment(1, nodes)
    for node, port in nodes.items():
        handled = text.partition(f"handle /n/{node}/* {{\n")[2].partition("\n")[0]
        name, default, others, _ = re.findall(r"\$(\w+)|:(127[^}]*)", handled)
        assert told[name[0]] == f"127.0.0.1:{port}"
        assert default[1] == {"n1": "127.0.0.1:8080", "n2": "127.0.0.1:8081"}[node]
        assert others[0] == "CALLER_OTHERS"
