"""Devices: recognised by a secret that is not stored."""

import threading

from accounts.device import families
from accounts.holder import Device
from gateway.http.visitor import device_id, families_of, recognised
from tests.gateway.people.memory import BEGINNING, a_visitor


def test_a_device_is_recognised_by_its_secret():
    device = Device(device_id("secret"), "Firefox", "Linux", BEGINNING, BEGINNING)
    assert recognised(a_visitor(device_secret="secret"), [device]) == device.id
    assert recognised(a_visitor(device_secret="other"), [device]) == ""
    assert recognised(a_visitor(), [device]) == ""
    assert recognised(a_visitor(), [Device("", "", "", BEGINNING, BEGINNING)]) == ""


def test_no_secret_is_stored_or_shown():
    assert "secret" not in device_id("secret")
    assert len(device_id("secret")) == 32
    assert "topsecret" not in repr(a_visitor(device_secret="topsecret"))


async def test_a_header_is_read_beside_the_loop(monkeypatch):
    def read(user_agent):
        readers.append(threading.current_thread())
        return families(user_agent)

    readers = []
    monkeypatch.setattr("gateway.http.visitor.families", read)
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    assert await families_of(a_visitor(user_agent=firefox)) == ("Firefox", "Linux")
    assert readers != []
    assert threading.current_thread() not in readers
