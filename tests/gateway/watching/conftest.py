"""A mail server, as other mails are tested with."""

from tests.gateway.post.conftest import closed_mailbox, mailbox

__all__ = ["closed_mailbox", "mailbox"]
