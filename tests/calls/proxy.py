"""nginx, HAProxy and Caddy in front of gateways, with their files of `deploy/` without TLS."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.certificates import Pair

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIGURATION = DEPLOY / "nginx.conf"
_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
NGINX = shutil.which("nginx", path=_PATH)
HAPROXY = shutil.which("haproxy", path=_PATH)
CADDY = shutil.which("caddy", path=_PATH)


def configuration(port: int, nodes: Mapping[str, int], others: Iterable[int]) -> str:
    """Return the deployed configuration on a port without TLS.

    `nodes` are ports by node, `others` those of the processes that answer everything else.
    """
    text = CONFIGURATION.read_text()
    # The server that leads to https goes, and of the other its certificate.
    text = re.sub(r"server \{\n\s+listen 80;.*?\n\}\n", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"\n\s+(ssl_certificate|listen \[::\]|server_name)[^;]*;", "", text)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    others = list(others)
    if (*nodes,) == ("n1", "n2") and others == [*nodes.values()]:
        # As it is, but for the addresses.
        return text.replace(":8080", f":{nodes['n1']}").replace(":8081", f":{nodes['n2']}")
    names = "".join(f"    {node} node_{node};\n" for node in nodes)
    text = re.sub(r"    n1 +node_n1;\n    n2 +node_n2;\n", names, text)
    text = re.sub(r"^upstream .*?\n\}\n", "", text, flags=re.DOTALL | re.MULTILINE)
    first = "    server 127.0.0.1:{} max_fails=0;\n"
    rest = "".join(f"    server 127.0.0.1:{each} max_fails=0 backup;\n" for each in others)
    of_nodes = {f"node_{node}": first.format(number) + rest for node, number in nodes.items()}
    of_others = "".join(f"    server 127.0.0.1:{each};\n" for each in others)
    upstreams = {**of_nodes, "caller": of_others}
    return text + "".join(f"upstream {name} {{\n{body}}}\n" for name, body in upstreams.items())


@contextlib.contextmanager
def nginx(folder: Path, text: str) -> Iterator[None]:
    """Run nginx in the foreground, with all that it writes in a folder."""
    own = folder / "nginx"
    own.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {own}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (own / "nginx.conf").write_text(
        f"daemon off; pid {own}/pid; error_log {own}/error.log; worker_processes 1;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{ access_log off;\n{temporary}{text}\n}}\n"
    )
    command = [NGINX or "nginx", "-p", str(own), "-c", str(own / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def haproxy_configuration(port: int, nodes: Mapping[str, int], tls: str = "") -> str:
    """Return the deployed configuration of two nodes, n1 and n2, on a port with `tls` or none."""
    text = (DEPLOY / "haproxy.cfg").read_text()
    text = re.sub(r"frontend plain[^\n]*\n.*?\n\n", "", text, flags=re.DOTALL)
    text = re.sub(r"bind :443 .*", f"bind 127.0.0.1:{port}{tls}", text)
    return text.replace(":8080", f":{nodes['n1']}").replace(":8081", f":{nodes['n2']}")


def caddy_configuration() -> str:
    """Return the deployed configuration of two nodes; `caddy_environment` says where they are."""
    text = (DEPLOY / "Caddyfile.nodes").read_text()
    return "{\n\tadmin off\n\tauto_https off\n}\n" + text


def caddy_environment(
    port: int, nodes: Mapping[str, int], others: Iterable[int] = ()
) -> dict[str, str]:
    """Return what Caddy's file is told of two nodes, n1 and n2, and of a port without TLS.

    `others` are the ports of those that answer everything else, by default the nodes.
    """
    hosts = {
        f"CALLER_{node.upper()}": f"127.0.0.1:{number}" for node, number in sorted(nodes.items())
    }
    rest = [f"127.0.0.1:{number}" for number in others] or hosts.values()
    return {
        "CALLER_SITE": f"http://127.0.0.1:{port}",
        "CALLER_OTHERS": " ".join(rest),
        **hosts,
    }


@contextlib.contextmanager
def _running(
    command: list[str], folder: Path, told: Mapping[str, str] = MappingProxyType({})
) -> Iterator[None]:
    """Run a proxy in the foreground that keeps what it has in a folder."""
    environ = {"PATH": _PATH, "HOME": str(folder), "XDG_DATA_HOME": str(folder), **told}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
    try:
        yield
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def caddy(folder: Path, told: Mapping[str, str]) -> Iterator[None]:
    """Run Caddy with its file of several nodes, told where they are."""
    own = folder / "caddy"
    own.mkdir()
    file = own / "configuration"
    file.write_text(caddy_configuration())
    command = [CADDY or "caddy", "run", "--adapter", "caddyfile", "--config", str(file)]
    with _running(command, own, told):
        yield


@contextlib.contextmanager
def proxy_of(name: str, folder: Path, port: int, nodes: Mapping[str, int]) -> Iterator[None]:
    """Run one of the three in front of two nodes, whose ports are given by their names."""
    if name == "nginx":
        with nginx(folder, configuration(port, nodes, nodes.values())):
            yield
        return
    if name == "caddy":
        with caddy(folder, caddy_environment(port, nodes)):
            yield
        return
    with _haproxy(folder, haproxy_configuration(port, nodes)):
        yield


@contextlib.contextmanager
def haproxy_with_tls(
    folder: Path, port: int, nodes: Mapping[str, int], pair: Pair
) -> Iterator[None]:
    """Run HAProxy with its file in front of n1 and n2, on a port with TLS."""
    both = folder / "both.pem"
    both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    with _haproxy(folder, haproxy_configuration(port, nodes, f" ssl crt {both} alpn http/1.1")):
        yield


@contextlib.contextmanager
def _haproxy(folder: Path, text: str) -> Iterator[None]:
    own = folder / "haproxy"
    own.mkdir()
    file = own / "configuration"
    file.write_text(text)
    with _running([HAPROXY or "haproxy", "-db", "-f", str(file)], own):
        yield


INSTALLED = {"nginx": NGINX, "haproxy": HAPROXY, "caddy": CADDY}
