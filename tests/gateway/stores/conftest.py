"""Databases for the tests of the gateway's SQL stores."""

from tests.postgres import database_url, engine, postgres_server, postgres_url

__all__ = ["database_url", "engine", "postgres_server", "postgres_url"]
