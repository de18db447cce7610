"""These tests run in virtual time, on a stage where everybody else is played."""

from tests.gateway.http.conftest import client_of
from tests.gateway.stage import pytest_asyncio_loop_factories, stage

__all__ = ["client_of", "pytest_asyncio_loop_factories", "stage"]
