"""A world of people for each test."""

import pytest

from tests.gateway.people.memory import World


@pytest.fixture
def world():
    return World()
