"""Callbacks on the stage of the calls' tests: virtual time, stores in memory, no sockets."""

from tests.gateway.http.conftest import client_of
from tests.gateway.stage import pytest_asyncio_loop_factories, stage

__all__ = ["client_of", "pytest_asyncio_loop_factories", "stage"]
