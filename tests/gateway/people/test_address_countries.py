"""Countries of addresses out of a file, which may be any file, and another one at any time."""

import os

import pytest
from structlog.testing import capture_logs

from gateway.errors import SettingsError
from gateway.people import address_countries
from gateway.people.address_countries import AddressCountries
from tests import mmdb

HOME, ABROAD, NEW = "203.0.113.7", "2001:db8::7", "198.51.100.7"


@pytest.fixture
def file(tmp_path):
    return mmdb.write(tmp_path / "countries.mmdb", {"203.0.113.0/24": "DE", "2001:db8::/32": "fr"})


def test_addresses_of_both_kinds_are_found(file):
    countries = AddressCountries(file)
    assert [countries.country(one) for one in (HOME, ABROAD, NEW)] == ["DE", "FR", ""]
    # As a browser's address is told where it came by IPv6 to an IPv4 one.
    assert countries.country("::ffff:203.0.113.7") == "DE"


@pytest.mark.parametrize("address", ["", "unknown", "203.0.113", "/run/caller.sock", "1.2.3.4%x"])
def test_what_is_no_address_is_nowhere(file, address):
    assert AddressCountries(file).country(address) == ""


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"country_code": "DE"}, "DE"),
        ({"country": "DE"}, "DE"),
        ({"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "FR"}}, "DE"),
    ],
)
def test_records_of_each_publisher_are_understood(tmp_path, record, code):
    file = tmp_path / "any.mmdb"
    file.write_bytes(mmdb.database({"203.0.113.0/24": record}))
    assert AddressCountries(file).country(HOME) == code


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a database in MaxMind's format"),
        (b"<html>Not found</html>", "not a database in MaxMind's format"),
        (
            mmdb.database({"203.0.113.0/24": {"country": {"iso_code": "DE"}}})[:-40],
            "not a database",
        ),
        (mmdb.MARKER + mmdb.encoded({"a": "b"}), "not a database in MaxMind's format"),
        (mmdb.database({"203.0.113.0/24": {"asn": "AS1"}}), "name no country"),
        (mmdb.database({"203.0.113.0/24": {"country": "Germany"}}), "name no country"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_with_what_to_do(tmp_path, content, why):
    file = tmp_path / "any.mmdb"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"CALLER_ADDRESS_COUNTRIES names .*{why}.*Give a"):
        AddressCountries(file)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="not a regular file"):
        AddressCountries(tmp_path / "pipe")


def test_a_file_that_is_too_large_is_not_read(file, monkeypatch):
    monkeypatch.setattr(address_countries, "SIZE_BYTES_MAX", 100)
    with pytest.raises(SettingsError, match="larger than"):
        AddressCountries(file)


async def test_another_file_in_its_place_is_read_and_a_broken_one_is_not(file):
    countries = AddressCountries(file)
    replaced(file, {f"{NEW}/32": "IT"})
    await countries.refresh()
    assert [countries.country(one) for one in (HOME, NEW)] == ["", "IT"]
    for break_it in (lambda: file.write_bytes(b"broken"), file.unlink):
        break_it()
        with capture_logs() as logs:
            await countries.refresh()
        (said,) = logs
        assert (said["log_level"], said["event"]) == (
            "warning",
            "countries of addresses not read again",
        )
        assert "CALLER_ADDRESS_COUNTRIES" in said["hint"]
        assert countries.country(NEW) == "IT"
    replaced(file, {f"{HOME}/32": "AT"})
    await countries.refresh()
    assert countries.country(HOME) == "AT"


async def test_a_file_that_has_not_changed_is_read_once(file, monkeypatch):
    countries = AddressCountries(file)
    monkeypatch.setattr(address_countries, "_read", lambda _path: pytest.fail("read again"))
    await countries.refresh()


def replaced(file, countries):
    """Put another database in the place of a file, as download tools do."""
    other = mmdb.write(file.with_suffix(".new"), countries)
    os.replace(other, file)
