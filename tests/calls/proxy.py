"""nginx in front of gateways, with the file of `deploy/` but without its TLS."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def configuration(port: int, nodes: Mapping[str, int], others: Iterable[int]) -> str:
    """Return the deployed configuration on a port without TLS.

    `nodes` are ports by node, `others` those of the processes that answer everything else.
    """
    text = CONFIGURATION.read_text()
    # The server that leads to https goes, and of the other its certificate.
    text = re.sub(r"server \{\n\s+listen 80;.*?\n\}\n", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"\n\s+(ssl_certificate|listen \[::\]|server_name)[^;]*;", "", text)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    lines = "".join(f"    {node} 127.0.0.1:{port};\n" for node, port in nodes.items())
    text = re.sub(r"    n1 +127\.0\.0\.1:8080;\n", lines, text)
    servers = "".join(f"    server 127.0.0.1:{port};\n" for port in others)
    return text.replace("    server 127.0.0.1:8080;\n", servers)


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
