"""What a process opens: stores and rate decks, what it refuses, and that none stays open then."""

import os
import time

import pytest

from billing.errors import RateDeckError
from database.errors import StoreUnavailableError
from gateway.errors import SettingsError
from gateway.roles import storage
from gateway.roles.prices import load_deck
from gateway.settings_variables import from_mapping
from tests.valkey import free_port


def test_without_a_database_url_the_book_lies_in_the_data_folder(tmp_path):
    settings = from_mapping({"CALLER_DATA_DIR": str(tmp_path)})
    assert storage.database_url(settings) == f"sqlite:///{tmp_path / 'caller.db'}"
    given = from_mapping({"CALLER_DATABASE_URL": "postgresql://host/db"})
    assert storage.database_url(given) == "postgresql://host/db"


def test_the_rate_deck_is_the_operators_or_the_example(tmp_path):
    assert load_deck(from_mapping({})).lookup("+15005551000") is not None
    path = tmp_path / "deck.csv"
    path.write_text(
        "prefix,description,country,rate_per_minute,connect_fee,first,next\n44,GB,,1,0,1,1\n"
    )
    deck = load_deck(from_mapping({"CALLER_RATE_DECK": str(path)}))
    assert deck.lookup("+442079460018") is not None
    assert deck.lookup("+15005551000") is None


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_rate_deck_that_cannot_be_read_is_a_setting_to_correct(tmp_path, content):
    path = tmp_path / "deck.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="CALLER_RATE_DECK"):
        load_deck(from_mapping({"CALLER_RATE_DECK": str(path)}))


def test_a_rate_deck_that_is_wrong_says_where(tmp_path):
    path = tmp_path / "deck.csv"
    path.write_text("prefix\n44\n")
    with pytest.raises(RateDeckError) as caught:
        load_deck(from_mapping({"CALLER_RATE_DECK": str(path)}))
    assert caught.value.line == 1


async def test_stores_open_ready_for_use(tmp_path, valkey_url):
    settings = from_mapping({"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": valkey_url})
    for _ in range(2):
        stores = await storage.open_stores(settings)
        assert await stores.gate.is_ready(0)
        assert await stores.gate.balance("nobody") == 0
        assert await stores.accounts.account("nobody") is None
        assert await storage.build_drainer(stores, settings).drain_once() == 0
        await stores.close()
    assert (tmp_path / "caller.db").exists()


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:notaport/0", "redis://[::1/0", "redis://127.0.0.1:99999/0"]
)
async def test_a_redis_url_that_is_none_is_a_setting_to_correct(tmp_path, url):
    environ = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": url}
    with pytest.raises((SettingsError, StoreUnavailableError)) as caught:
        await storage.open_stores(from_mapping(environ))
    assert "99999" in url or isinstance(caught.value, SettingsError)


async def test_a_database_url_that_is_none_is_a_setting_to_correct(tmp_path, valkey_url):
    environ = {
        "CALLER_DATA_DIR": str(tmp_path),
        "CALLER_REDIS_URL": valkey_url,
        "CALLER_DATABASE_URL": "postgresql://host:port/db",
    }
    with pytest.raises(SettingsError, match="CALLER_DATABASE_URL"):
        await storage.open_stores(from_mapping(environ))


async def test_a_redis_that_is_not_there_is_told_soon(tmp_path):
    url = f"redis://127.0.0.1:{free_port()}/0"
    environ = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": url}
    before = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await storage.open_stores(from_mapping(environ))
    assert time.monotonic() - before < 15


async def test_files_of_the_stores_are_for_their_owner_only(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    before = os.umask(0o022)
    try:
        stores = await storage.open_stores(from_mapping({"CALLER_DATA_DIR": str(folder)}))
        await stores.accounts.create_account("acme", "USD")
        paths = [folder, *folder.rglob("*")]
        await stores.close()
    finally:
        os.umask(before)
    names = {path.name for path in paths}
    assert {"caller.db", "caller.db-wal", "caller.db-shm", "valkey.sock", "owner.lock"} <= names
    assert [path for path in paths if path.exists() and path.stat().st_mode & 0o077] == []


async def test_a_folder_that_is_not_closed_says_what_to_do(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "other").write_text("")
    with pytest.raises(SettingsError, match="mode to 700"):
        await storage.open_stores(from_mapping({"CALLER_DATA_DIR": str(tmp_path)}))
