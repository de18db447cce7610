"""Nodes begin on migrated books."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _begins_on_migrated_books(migrated_books: None) -> None:
    """Spare each test the migrations."""
