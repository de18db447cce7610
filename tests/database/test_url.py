"""What may stand in a database's URL, and what is said of the rest: never a value of it."""

import pytest

from database.engine import TIMEOUT_S, create_engine, reading
from database.errors import UnfitBookError
from database.url import UrlError, parse

PLACE = "postgresql://u:p@db/caller"


def test_what_libpq_names_otherwise_is_translated():
    place = parse(
        f"{PLACE}?application_name=books&connect_timeout=2&sslmode=verify-full"
        "&options=-c%20search_path%3Dbooks%20--work_mem%3D8MB&target_session_attrs=primary"
    )
    assert place.server_settings == {
        "application_name": "books",
        "search_path": "books",
        "work_mem": "8MB",
    }
    assert place.connect_timeout_s == 2
    assert dict(place.url.query) == {"ssl": "verify-full", "target_session_attrs": "primary"}
    assert parse(f"{PLACE}?connect_timeout=0").connect_timeout_s is None


def test_files_of_tls_are_handed_on(tmp_path):
    root = tmp_path / "root.pem"
    root.write_text("")
    place = parse(f"{PLACE}?sslmode=verify-full&sslrootcert={root}")
    assert place.dsn.startswith("postgresql://?sslmode=verify-full&sslrootcert=")
    assert not place.url.query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("foo=hunter2", "the parameter foo, which Caller does not know"),
        ("Hunter2=hunter2", "has a parameter, which"),
        ("command_timeout=5", "the parameter command_timeout"),
        ("connect_timeout=hunter2", "whole seconds"),
        ("connect_timeout=1&connect_timeout=2", "connect_timeout more than once"),
        ("sslmode=hunter2", "sslmode, which must be one of allow, disable"),
        ("ssl=true", "ssl, which must be one of"),
        ("target_session_attrs=hunter2", "must be one of any"),
        ("options=hunter2", "options, which must be -c name=value"),
        ("options=-c", "options, which must be"),
        ("options='hunter2", "options, which must be"),
        ("sslrootcert=/hunter2", "sslrootcert, which names a file that cannot be read"),
    ],
)
def test_what_the_driver_does_not_know_is_refused_by_name(query, words):
    with pytest.raises(UrlError) as refused:
        create_engine(f"{PLACE}?{query}")
    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite:///a.db?foo=hunter2", "nothing", "mysql://a/hunter2"])
def test_what_is_no_url_of_ours_is_refused(url):
    with pytest.raises(UrlError) as refused:
        parse(url)
    assert "hunter2" not in str(refused.value)


@pytest.fixture
def server_url(postgres_server):
    name = postgres_server.lend_database()
    yield postgres_server.url(name)
    postgres_server.take_back_database(name)


async def shown(url, name):
    engine = create_engine(url)
    try:
        async with reading(engine, TIMEOUT_S) as connection:
            return (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
    finally:
        await engine.dispose()


@pytest.mark.thorough
async def test_a_server_begins_with_what_the_url_says(server_url):
    url = f"{server_url}&application_name=books&connect_timeout=5&options=-c%20work_mem%3D8MB"
    assert await shown(url, "application_name") == "books"
    assert await shown(url, "work_mem") == "8MB"
    assert await shown(url, "statement_timeout") == "5s", "ours stay"
    assert await shown(server_url, "application_name") == "caller"


@pytest.mark.parametrize(
    "option", ["no_such%3D1", "work_mem%3Dhunter2", "jit%3Dhunter2", "port%3D1"]
)
async def test_a_server_that_refuses_an_option_is_a_sentence(server_url, option):
    with pytest.raises(UnfitBookError) as refused:
        await shown(f"{server_url}&options=-c%20{option}", "work_mem")
    assert "options of CALLER_DATABASE_URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)
