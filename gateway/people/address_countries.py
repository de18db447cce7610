"""Looks up the country of an IP address in a database file in MaxMind's format.

The operator provides the file; no service is asked, and nothing leaves the machine. Understands the
records of country databases by MaxMind, DB-IP, IPinfo and ip-location-db.
"""

from __future__ import annotations

import asyncio
import ipaddress
import stat
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import SettingsError

if TYPE_CHECKING:
    from maxminddb.reader import Reader

INTERVAL_S: Final = 60.0
"""How soon a replaced file is read."""
SIZE_BYTES_MAX: Final = 64 << 20
"""Country databases have 2 to 15 MB; a database of cities would only waste memory."""
NETWORKS_LOOKED_AT: Final = 1_000
"""At least one of the first so many must have a country."""
_SAMPLE: Final = "192.0.2.1"
_CODE_CHARACTERS: Final = 2

_log = structlog.get_logger(__name__)


class AddressCountries:
    """The countries of one file, read as a whole so that the file may be overwritten."""

    def __init__(self, path: Path) -> None:
        """Read a file. Raises SettingsError: missing, or not such a database."""
        self._path = path
        self._reader, self._version = _read(path)

    def country(self, address: str) -> str:
        """Return the ISO 3166 alpha-2 code of an IP address; empty if the file has none."""
        try:
            parsed = ipaddress.ip_address(address)
            found = self._reader.get(getattr(parsed, "ipv4_mapped", None) or parsed)
        except (ValueError, LookupError, RuntimeError):
            # Not an address; an IPv6 address in a file of IPv4; a damaged record.
            return ""
        return _code(found)

    async def refresh(self) -> None:
        """Read the file again if it has changed; if that fails, keep what was read before."""
        # Off the loop: megabytes are read and checked.
        try:
            if await asyncio.to_thread(_version, self._path) == self._version:
                return
            self._reader, self._version = await asyncio.to_thread(_read, self._path)
        except SettingsError as error:
            _log.warning("countries of addresses not read again", hint=str(error))
        else:
            _log.info("countries of addresses read again")


def read_countries(file: str) -> AddressCountries | None:
    """Return the countries of a file; None if no file is named. Raises SettingsError."""
    return AddressCountries(Path(file)) if file else None


def _version(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe would block.
        raise _unusable(path, "it is not a regular file")
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read(path: Path) -> tuple[Reader, tuple[int, int, int]]:
    # Imported only when a file is set: most gateways have none.
    import maxminddb  # noqa: PLC0415

    version = _version(path)
    if version[-1] > SIZE_BYTES_MAX:
        raise _unusable(path, f"it is larger than {SIZE_BYTES_MAX >> 20} MiB")
    try:
        # Not mapped: a file truncated while it is being read would kill the process.
        reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        reader.get(_SAMPLE)
        # A database of networks, or of cities alone, opens as well.
        has_country = any(_code(record) for _, record in islice(reader, NETWORKS_LOOKED_AT))
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error
    except Exception as error:
        # The library raises whatever a damaged file leads to: KeyError, TypeError, struct.error.
        raise _unusable(path, "it is not a database in MaxMind's format") from error
    if not has_country:
        raise _unusable(path, "its records name no country")
    return reader, version


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"CALLER_ADDRESS_COUNTRIES names {path}, which cannot be used: {why}. Give a country"
        " database in MaxMind's format (.mmdb), or leave it empty."
    )


def _code(record: object) -> str:
    if not isinstance(record, Mapping):
        return ""
    country = record.get("country_code") or record.get("country")
    if isinstance(country, Mapping):
        country = country.get("iso_code")
    if not isinstance(country, str) or len(country) != _CODE_CHARACTERS or not country.isascii():
        return ""
    return country.upper()
