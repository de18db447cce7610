"""Commands begin on migrated books, and each is put together once."""

from collections.abc import Iterator
from functools import cache

import pytest
from typer.main import get_command


@pytest.fixture(scope="module", autouse=True)
def _begins_on_migrated_books(migrated_books: None) -> None:
    """Spare each test the migrations."""


@pytest.fixture(scope="module", autouse=True)
def _commands_are_put_together_once() -> Iterator[None]:
    """Typer reads every signature of an application again whenever one of its commands is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield
