"""A mail server for the tests of mail."""

import pytest

from tests.gateway.post.mailbox import Mailbox


@pytest.fixture
async def closed_mailbox(tmp_path):
    """A mail server that does not listen yet."""
    made = Mailbox(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def mailbox(closed_mailbox):
    """A mail server that listens."""
    await closed_mailbox.open()
    return closed_mailbox
