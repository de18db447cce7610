"""Devices: recognised by a secret that is not stored."""

from accounts.holder import Device
from gateway.people.visitor import device_id, recognised
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
