"""Why a database or a credit store does not let us in, as a sentence with what to do.

A wrong password, a missing database and a dead server need three different repairs. No sentence
names a host: of an address that is not encoded, a part of the password is read as one.
"""

from __future__ import annotations

import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from billing.errors import UnfitBookError

RIGHTS: Final = (
    "The user of CALLER_DATABASE_URL lacks rights in the database: make it the database's owner, or"
    " GRANT it USAGE and CREATE on the schema and all rights on its tables."
)
_SQLSTATES: Final = {
    "28P01": "The database refuses the password of CALLER_DATABASE_URL.",
    "28000": "The database refuses the user of CALLER_DATABASE_URL: see the server's pg_hba.conf.",
    "3D000": "The server has no database of that name: create it (CREATE DATABASE), or correct"
    " CALLER_DATABASE_URL.",
    "42501": RIGHTS,
    # No schema of its search path may be used.
    "3F000": RIGHTS,
}
"""PostgreSQL's error codes that trying again does not change (its manual, appendix A)."""

_SQLITE_CODES: Final = {
    sqlite3.SQLITE_CANTOPEN: "The file of the database cannot be opened; see its folder's rights.",
    sqlite3.SQLITE_READONLY: "The file of the database cannot be written; see its rights.",
    sqlite3.SQLITE_PERM: "The file of the database cannot be opened; see its rights.",
    sqlite3.SQLITE_NOTADB: "The file is no SQLite database.",
    sqlite3.SQLITE_CORRUPT: "The file of the database is damaged: restore a copy of it.",
}

_PASSING: Final = {
    ssl.SSLCertVerificationError: "Its certificate is not accepted.",
    socket.gaierror: "Its name is not known to DNS.",
    ConnectionRefusedError: "Nothing listens at its address.",
    FileNotFoundError: "Its socket does not exist.",
    PermissionError: "Its socket may not be opened.",
    TimeoutError: "It does not answer in time.",
}


def lasting(error: BaseException) -> str:
    """Return why the book of record will not let us in, also later; empty for any other failure."""
    for each in _chain(error):
        state = str(getattr(each, "sqlstate", "") or getattr(each, "pgcode", "") or "")
        code = getattr(each, "sqlite_errorcode", -1) & 0xFF
        if sentence := _SQLSTATES.get(state) or _SQLITE_CODES.get(code):
            return sentence
    return ""


def passing(error: BaseException) -> str:
    """Return how a server could not be reached."""
    for each in _chain(error):
        for kind, sentence in _PASSING.items():
            if isinstance(each, kind):
                return sentence
    return "It does not answer."


def of_credit_store(error: BaseException) -> str:
    """Return why the credit store will not let us in, also later; empty for any other failure."""
    for each in _chain(error):
        text = str(each).upper()
        if isinstance(each, NoPermissionError):
            return "The user of CALLER_REDIS_URL lacks rights there: see its ACL (`ACL GETUSER`)."
        if isinstance(each, AuthenticationError):
            return "The server refuses the user or the password of CALLER_REDIS_URL."
        if isinstance(each, ResponseError) and "NOAUTH" in text:
            return "The server wants a password; CALLER_REDIS_URL has none."
        if isinstance(each, ResponseError) and "INDEX" in text:
            return "The server has no database of the number in CALLER_REDIS_URL."
    return ""


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what trying again does not change into UnfitBookError."""
    try:
        yield
    except Exception as error:
        if sentence := lasting(error):
            raise UnfitBookError(sentence) from error
        raise


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what caused it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, sa.exc.DBAPIError):
            waiting.append(each.orig)
        waiting += getattr(each, "exceptions", ())
