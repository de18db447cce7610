"""Finds the keys under which secrets are kept in SQL: those set, or the one in the data folder."""

from __future__ import annotations

import secrets

from gateway.settings import Settings
from gateway.stores import private_files
from gateway.stores.key_file import kept_key

_KEY_BYTES = 32


def secret_keys(settings: Settings) -> list[str]:
    """Return the keys; none where nodes share a database and no key is set.

    Raises SettingsError for a file of a key that cannot be read.
    """
    keys = [key.reveal() for key in settings.second_factor_keys]
    if not keys and not settings.database_url:
        file = settings.data_dir / private_files.SECOND_FACTOR_KEY
        keys = [kept_key(file, lambda: secrets.token_urlsafe(_KEY_BYTES))]
    return keys
