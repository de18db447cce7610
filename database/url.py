"""Reads a database's URL: `sqlite:///file`, or `postgresql://…` with what libpq's users write.

PostgreSQL's driver here has names of its own for libpq's parameters, and fails on all others only
when it connects. Opens nothing; no message quotes a value.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

_SSL_MODES: Final = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
_SESSIONS: Final = frozenset(
    {"any", "primary", "standby", "read-write", "read-only", "prefer-standby"}
)
_AS_THEY_ARE: Final = frozenset(
    {"host", "port", "user", "password", "database", "passfile", "krbsrvname"}
)
"""Parameters that mean the same to the driver."""
_SSL_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
_OPTION: Final = re.compile(r"(-c|--)(?P<name>[A-Za-z_][\w.]*)=.*", re.ASCII | re.DOTALL)


class UrlError(ValueError):
    """A URL that cannot be used; says why, without a value of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is, and how its server is to be asked."""

    url: URL
    """As SQLAlchemy reads it, with the asynchronous driver's name."""
    server_settings: dict[str, str] = field(default_factory=dict)
    """What the session is to begin with."""
    connect_timeout_s: float | None = None
    dsn: str = ""
    """What the driver takes in no other way: the files of TLS."""


def parse(url: str | URL) -> Place:
    """Read a URL. Raises UrlError that names the parameter which is wrong."""
    try:
        parsed = make_url(url)
    except (ValueError, sa.exc.ArgumentError):
        # Their messages quote the URL.
        raise UrlError("must be sqlite:///file or postgresql://…") from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+asyncpg"):
        return _postgresql(parsed.set(drivername="postgresql+asyncpg"))
    if parsed.drivername in ("sqlite", "sqlite+aiosqlite"):
        return Place(_sqlite(parsed).set(drivername="sqlite+aiosqlite"))
    raise UrlError("must be SQLite's or PostgreSQL's: sqlite:///file or postgresql://…")


def _sqlite(url: URL) -> URL:
    if url.database in (None, "", ":memory:"):
        raise UrlError("must name a file for SQLite: sqlite:///file")
    for name in url.query:
        raise UrlError(f"has {_shown(name)}, but SQLite's file takes none")
    return url


def _postgresql(url: URL) -> Place:
    kept: dict[str, str | tuple[str, ...]] = {}
    begins: dict[str, str] = {}
    files: dict[str, str] = {}
    timeout_s: float | None = None
    for name, value in url.query.items():
        # Several hosts are several servers, tried in turn.
        if name in _AS_THEY_ARE and (isinstance(value, str) or name in ("host", "port")):
            kept[name] = value
        elif not isinstance(value, str):
            raise UrlError(f"has {_shown(name)} more than once")
        elif name in ("ssl", "sslmode"):
            kept["ssl"] = _one_of(name, value, _SSL_MODES)
        elif name == "target_session_attrs":
            kept[name] = _one_of(name, value, _SESSIONS)
        elif name in _SSL_FILES:
            if not Path(value).is_file():
                raise UrlError(f"has {_shown(name)}, which names a file that cannot be read")
            files[name] = value
        elif name == "application_name":
            begins[name] = value
        elif name == "options":
            begins |= _options(value)
        elif name == "connect_timeout":
            if not re.fullmatch(r"[0-9]{1,6}", value):
                raise UrlError(f"has {_shown(name)}, which must be whole seconds")
            # libpq's 0 waits for ever; the caller has a bound of its own.
            timeout_s = float(value) or None
        else:
            raise UrlError(f"has {_shown(name)}, which Caller does not know")
    dsn = (
        f"postgresql://?{urlencode({'sslmode': kept.pop('ssl', 'prefer'), **files})}"
        if files
        else ""
    )
    return Place(url.set(query=kept), begins, timeout_s, dsn)


def _one_of(name: str, value: str, known: frozenset[str]) -> str:
    if value not in known:
        raise UrlError(f"has {_shown(name)}, which must be one of {', '.join(sorted(known))}")
    return value


def _options(text: str) -> dict[str, str]:
    """Return what libpq's options set: `-c name=value`, or `--name=value`."""
    refused = UrlError(
        f"has {_shown('options')}, which must be -c name=value, once or more, percent-encoded"
    )
    try:
        words = shlex.split(text)
    except ValueError:
        raise refused from None
    found: dict[str, str] = {}
    waiting = iter(words)
    for word in waiting:
        whole = word + next(waiting, "") if word == "-c" else word
        if not (match := _OPTION.fullmatch(whole)):
            raise refused
        # The server takes a dash for an underscore in a long option's name.
        found[match["name"]] = whole.partition("=")[2]
    return found


def _shown(name: str) -> str:
    # What is no plain word may be a part of a password that was not encoded.
    return f"the parameter {name}" if re.fullmatch(r"[a-z_]{1,40}", name) else "a parameter"
