"""Which addresses a browser is told: the one listened on, or those that lead outside."""

from ipaddress import ip_address

import pytest

from gateway.roles.addresses import reachable_addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "203.0.113.7"])
def test_an_address_stands_for_itself(host):
    assert reachable_addresses(host) == (host,)


def test_a_name_stands_for_its_addresses():
    assert set(reachable_addresses("localhost")) <= {"127.0.0.1", "::1"}


def test_a_name_that_nobody_knows_leaves_this_machine():
    assert reachable_addresses("no-such-host.invalid") == ("127.0.0.1",)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_interface_stands_for_those_that_lead_outside(host):
    found = [ip_address(address) for address in reachable_addresses(host)]
    assert found
    assert not any(address.is_unspecified for address in found)
    if host == "0.0.0.0":
        assert all(address.version == 4 for address in found)
