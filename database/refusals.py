"""Explains why a database or a credit store refuses us, in a sentence that says what to do.

A wrong password, a missing database and a dead server need three different repairs. No sentence
names a host: if the password in a URL is not encoded, a part of it may be parsed as the host.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    ResponseError,
)

from database.errors import (
    StoreFullError,
    StoreRightError,
    StoreUnavailableError,
    UnfitBookError,
    UnfitFileError,
)

RIGHTS: Final = (
    "The user of CALLER_DATABASE_URL lacks rights in the database: make it the database's owner, or"
    " GRANT it USAGE and CREATE on the schema and all rights on its tables."
)
OPTIONS: Final = (
    "The server refuses one of the options of CALLER_DATABASE_URL: it has no such setting, does not"
    " take that value, or lets no session set it."
)
_SQLSTATES: Final = {
    "28P01": "The database refuses the password of CALLER_DATABASE_URL: correct it there, or give"
    " the role that one (ALTER ROLE … PASSWORD).",
    "28000": "The database refuses the user of CALLER_DATABASE_URL: see the server's pg_hba.conf.",
    "3D000": "The server has no database of that name: create it (CREATE DATABASE), or correct"
    " CALLER_DATABASE_URL.",
    "42501": RIGHTS,
    # No schema of its search path may be used.
    "3F000": RIGHTS,
    "55P02": OPTIONS,
}
"""PostgreSQL's error codes that retrying does not help against (its manual, appendix A)."""

_ROUTINES: Final = {
    ("28000", "InitializeSessionUserId"): "The database refuses the user of CALLER_DATABASE_URL:"
    " there is no such role (CREATE ROLE), or it may not log in (ALTER ROLE … LOGIN).",
    ("42501", "CheckMyDatabase"): "The user of CALLER_DATABASE_URL may not connect to that"
    " database: GRANT it CONNECT on it.",
    # What we set ourselves every server knows.
    ("42704", "find_option"): OPTIONS,
    ("22023", "parse_and_validate_value"): OPTIONS,
}
"""What an error code means if this routine of the server reports it. Routines tell such cases apart
because their names are not translated; the texts of errors are."""

_SQLITE_CODES: Final = {
    sqlite3.SQLITE_CANTOPEN: "The file of the database cannot be opened; see its folder's rights.",
    sqlite3.SQLITE_READONLY: "The file of the database cannot be written; see its rights.",
    sqlite3.SQLITE_PERM: "The file of the database cannot be opened; see its rights.",
    sqlite3.SQLITE_NOTADB: "The file of the database is no SQLite database: name another, restore a"
    " copy of it, or move it away, and a new one is made.",
    sqlite3.SQLITE_CORRUPT: "The file of the database is damaged: restore a copy of it.",
}

_FULL_SQLSTATES: Final = {"53100"}
"""disk_full."""
_FULL_SQLITE_CODES: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
"""SQLITE_IOERR, because on a full disk SQLite fails to extend its shared memory file, too."""
DISK_FULL: Final = "Its disk is full, or cannot be written."

_ENDS: Final = "It ends the connection at once: see whether PostgreSQL is what listens there."
_PASSING_SQLSTATES: Final = {
    "53300": "It takes no more connections: raise the role's CONNECTION LIMIT, the database's, or"
    " max_connections.",
    # What asyncpg says when the connection ends before the server has let us in.
    "08003": _ENDS,
}
_ASYNCPG_WORDS: Final = {
    "rejected SSL upgrade": "It takes no TLS, which CALLER_DATABASE_URL asks for (ssl, sslmode), or"
    " is no PostgreSQL.",
    "unexpected connection_lost()": _ENDS,
}
"""Parts of the messages of asyncpg's plain ConnectionErrors, which in full name a host."""

_PASSING: Final = {
    InvalidResponse: "What listens there does not speak Redis: correct host and port.",
    ssl.SSLCertVerificationError: "Its certificate is not accepted: let it have one for"
    " its name, of an authority that this machine trusts.",
    socket.gaierror: "Its name is not known to DNS: correct it, or this machine's resolver.",
    ConnectionRefusedError: "Nothing listens at its address: start the server, or correct host and"
    " port.",
    FileNotFoundError: "Its socket does not exist: start the server, or correct the path.",
    PermissionError: "Its socket may not be opened: let this user read and write it.",
    TimeoutError: "It does not answer in time: see whether it runs, and whether a firewall is"
    " in the way.",
}


_COMMAND: Final = re.compile(r"'([a-z_|-]{1,40})' command", re.IGNORECASE)
"""In the message of a server that lets a user run no such command (its source, acl.c)."""


def lasting(error: BaseException) -> str:
    """Return why the book of record refuses us for good; empty for any other failure."""
    chain = list(_chain(error))
    for each in chain:
        routine = (_sqlstate(each), getattr(each, "server_source_function", ""))
        if sentence := _ROUTINES.get(routine):
            return sentence
    # The routine says more than the code alone, so codes come second.
    for each in chain:
        if sentence := _SQLSTATES.get(_sqlstate(each)) or _SQLITE_CODES.get(_sqlite_code(each)):
            return sentence
    return ""


def passing(error: BaseException) -> str:
    """Return how a server could not be reached."""
    if is_full(error):
        return DISK_FULL
    for each in _chain(error):
        if sentence := _PASSING_SQLSTATES.get(_sqlstate(each)):
            return sentence
        if isinstance(each, ConnectionError):
            for words, sentence in _ASYNCPG_WORDS.items():
                if words in str(each):
                    return sentence
        for kind, sentence in _PASSING.items():
            if isinstance(each, kind):
                return sentence
    return "It does not answer: see whether it runs, and what its log says."


def is_full(error: BaseException) -> bool:
    """Return whether a store, SQL or Redis, refused to write for want of disk space."""
    return any(
        _sqlstate(each) in _FULL_SQLSTATES
        or _sqlite_code(each) in _FULL_SQLITE_CODES
        # The answer of Valkey and Redis to writes while they cannot persist to disk.
        or (isinstance(each, ResponseError) and "MISCONF" in str(each))
        for each in _chain(error)
    )


def unavailable(what: str, error: BaseException) -> StoreUnavailableError:
    """Return the error to raise for a store that failed.

    A full disk gets its own class, and so does a right that is missing.
    """
    if is_full(error):
        return StoreFullError(f"{what}: its disk is full, or cannot be written")
    if rule := _lacked(error):
        return StoreRightError(f"{what}: the {_right(rule)}", [rule])
    return StoreUnavailableError(what)


def _right(rule: str) -> str:
    return f"user of CALLER_REDIS_URL lacks {rule} there; `caller check` says what to write"


def _lacked(error: BaseException) -> str:
    """Return the right for want of which the credit store has refused; empty for another failure.

    Servers name the command, but not the key or channel that may not be used. Of what a script
    does they say it in an error that has no class of its own.
    """
    for each in _chain(error):
        if isinstance(each, ResponseError) and "no permissions" in str(each).lower():
            if found := _COMMAND.search(str(each)):
                return f"+{found[1].lower()}"
            return "channels" if "channel" in str(each) else "keys"
    return ""


def _sqlstate(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", "") or getattr(error, "pgcode", "") or "")


def _sqlite_code(error: BaseException) -> int:
    """Return SQLite's primary error code; extended codes have more bits."""
    return int(getattr(error, "sqlite_errorcode", -1)) & 0xFF


def of_credit_store(error: BaseException) -> str:
    """Return why the credit store refuses us for good; empty for any other failure."""
    for each in _chain(error):
        text = str(each).upper()
        if lacked := _lacked(each):
            return f"The {_right(lacked)}."
        # Never the answer to a client that sent a password; redis-py omits the code.
        if isinstance(each, ResponseError | AuthenticationError) and _wants_password(text):
            return (
                "The server wants a password; CALLER_REDIS_URL has none: write"
                " redis://user:password@host:6379/0."
            )
        if isinstance(each, AuthenticationError):
            return (
                "The server refuses the user or the password of CALLER_REDIS_URL. Write there what"
                " the server's access list has (deploy/valkey.sh: `caller`, VALKEY_PASSWORD)."
            )
        if isinstance(each, ResponseError) and "INDEX" in text:
            return (
                "The server has no database of the number in CALLER_REDIS_URL: write /0 at its end."
            )
    return ""


def _wants_password(text: str) -> bool:
    return "NOAUTH" in text or "AUTHENTICATION REQUIRED" in text or "HELLO MUST BE" in text


@contextmanager
def told_plainly() -> Iterator[None]:
    """Convert errors that retrying does not help against into UnfitBookError."""
    try:
        yield
    except Exception as error:
        if sentence := lasting(error):
            # SQLite's sentences are about its file: another message, and another repair.
            is_file = sentence in _SQLITE_CODES.values()
            raise (UnfitFileError if is_file else UnfitBookError)(sentence) from error
        raise


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that caused it, nearest first."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        # A chain of causes and contexts may come back to an error it has passed.
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        # SQLAlchemy wraps the driver's error, which alone has codes.
        if isinstance(each, sa.exc.DBAPIError):
            waiting.append(each.orig)
        # Connecting to several addresses of one host may fail with a group of errors.
        waiting += getattr(each, "exceptions", ())
