"""Keys of operators, and a mail server, as the pages and mails are tested with."""

from tests.gateway.http.conftest import client_of
from tests.gateway.post.conftest import closed_mailbox, mailbox

__all__ = ["client_of", "closed_mailbox", "mailbox"]
