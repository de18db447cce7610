"""Why an address cannot be listened on, in words and as an exit code."""

import socket

import pytest

from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.roles.listening import refusal


def refused(host, port):
    """Return the refusal of an address that cannot be bound."""
    with socket.socket() as probe, pytest.raises(OSError) as caught:  # noqa: PT011 - any of its kinds
        probe.bind((host, port))
    return refusal("--host", "--port", f"TCP port {port} of {host}", caught.value)


def test_a_port_that_another_process_has():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text, code = refused("127.0.0.1", port)
    assert text.startswith(f"--port: TCP port {port} of 127.0.0.1 is in use by another process.")
    assert code == EXIT_UNAVAILABLE


def test_a_host_that_is_another_machine():
    assert refused("192.0.2.1", 8090) == (
        "--host is not an address of this machine.",
        EXIT_SETTINGS,
    )


@pytest.mark.parametrize("number", [13, 97])
def test_an_address_that_may_not_be_listened_on(number):
    error = PermissionError(number, "No") if number == 13 else OSError(number, "Not so")
    text, code = refusal("--host", "--port", "TCP port 80 of ::", error)
    assert "TCP port 80 of ::" in text
    assert code == EXIT_SETTINGS
